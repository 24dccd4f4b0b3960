"""Clusters as people start them: ``ray start`` for a head and some nodes, each in processes and folders of
its own."""

from __future__ import annotations

import contextlib
import os
import random
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from ray_machines import end

OBJECT_STORE_BYTES = 80 * 2**20
ATTEMPTS = 4
QUICK = {"RAY_metrics_report_interval_ms": "1000"}
SCRIPTS = Path(sys.executable).parent


@dataclass
class StartedCluster:
    """A head whose token is in a file, and what is needed to join it."""

    folder: Path
    token: Path
    port: int = 0
    dashboard_port: int = 0
    metrics_port: int = 0
    processes: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def address(self) -> str:
        """Of the head."""
        return f"127.0.0.1:{self.port}"

    @property
    def dashboard(self) -> str:
        """URL of the job server."""
        return f"http://127.0.0.1:{self.dashboard_port}"

    @property
    def environment(self) -> dict[str, str]:
        """Of a process that has the token."""
        return {**without_tokens(), "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.token), **QUICK}

    def add_head(self, dashboard: bool) -> None:
        """Starts the head, which has no CPU; on other ports where somebody has taken one meanwhile."""

        def arguments() -> list[str]:
            self.port, self.dashboard_port, self.metrics_port = free_port(), free_port(), free_port()
            return [
                *["--head", "--port", str(self.port), "--num-cpus", "0", "--node-ip-address", "127.0.0.1"],
                *["--temp-dir", str(self.folder / "r"), "--object-store-memory", str(OBJECT_STORE_BYTES)],
                *["--include-dashboard", str(dashboard).lower(), "--dashboard-port"],
                *[str(self.dashboard_port), "--ray-client-server-port", str(free_port())],
                *["--metrics-export-port", str(self.metrics_port)],
            ]

        self.start(arguments, {})

    def add_node(self, *arguments: str, **environment: str) -> None:
        """Starts a node with one CPU."""
        told = [
            *["--address", self.address, "--num-cpus", "1"],
            *["--object-store-memory", str(OBJECT_STORE_BYTES), *arguments],
        ]
        self.start(lambda: told, environment)

    def logs(self, pattern: str) -> list[Path]:
        """Files of the session's logs."""
        return sorted((self.folder / "r" / "session_latest" / "logs").glob(pattern))

    def said(self) -> str:
        """The end of what the nodes said."""
        return "\n".join(log.read_text(errors="replace")[-1500:] for log in self.folder.glob("*.log"))

    def start(self, arguments: Callable[[], list[str]], environment: dict[str, str]) -> None:
        """Returns once a node is up; tried again, with arguments made anew, where Ray does not come up.

        A busy machine is too slow for it, or a port was taken meanwhile.
        """
        for _ in range(ATTEMPTS):
            log = self.folder / f"{len(self.processes)}.log"
            with log.open("wb") as file:
                node = subprocess.Popen(
                    [
                        *[sys.executable, "-m", "ray.scripts.scripts", "start", "--block"],
                        *["--dashboard-agent-listen-port", str(free_port()), *arguments()],
                    ],
                    cwd=self.folder,
                    env={**self.environment, **environment},
                    stdout=file,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            self.processes.append(node)
            while node.poll() is None:
                if b"block forever" in log.read_bytes():
                    return
                time.sleep(0.2)
            _end_tree(node.pid)
        raise AssertionError(self.said())


@contextlib.contextmanager
def started_cluster(num_nodes: int, *, dashboard: bool = True) -> Iterator[StartedCluster]:
    """A head without CPUs, with tokens, and so many nodes with one CPU each; nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="lmc", dir="/tmp")).resolve()  # short: sockets lie below it
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    cluster = StartedCluster(folder, token)
    try:
        cluster.add_head(dashboard)
        for _ in range(num_nodes):
            cluster.add_node()
        yield cluster
    finally:
        for process in cluster.processes:
            _end_tree(process.pid)
        end(folder)
        shutil.rmtree(folder, ignore_errors=True)


def without_tokens() -> dict[str, str]:
    """This environment without anything that says how Ray authenticates or where it is, and a home of its
    own.

    Commands of this installation are found first.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    path = os.pathsep.join([str(SCRIPTS), kept.get("PATH", "")])
    return {**kept, "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1", "PATH": path}


def free_port() -> int:
    """A port that nobody listens on now, and that the system gives to nobody who asks for any.

    What binds it is another process, later: ports that the system hands out (32768 and up on Linux) may be
    somebody's by then, and Ray's workers take 10002 to 19999.
    """
    while True:
        port = random.SystemRandom().randrange(20_000, 32_000)
        with socket.socket() as found, contextlib.suppress(OSError):
            found.bind(("", port))
            return port


@contextlib.contextmanager
def deaf_port() -> Iterator[int]:
    """A port on which nobody can listen as long as the block lasts: who connects is refused."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield int(held.getsockname()[1])


def _end_tree(pid: int) -> None:
    """kill -9 to a process and to all that it started."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in [*process.children(recursive=True), process]:
            with contextlib.suppress(psutil.Error):
                one.send_signal(signal.SIGKILL)
