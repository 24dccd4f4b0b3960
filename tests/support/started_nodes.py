"""Clusters as people start them: ``ray start`` for a head and some nodes, each in processes and folders of
its own."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import psutil
from ray_machines import end

OBJECT_STORE_BYTES = 80 * 2**20
START_SECONDS = 120.0
SCRIPTS = Path(sys.executable).parent


@dataclass
class StartedCluster:
    """A head whose token is in a file, and what is needed to join it."""

    folder: Path
    port: int
    dashboard_port: int
    token: Path
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
        return {**without_tokens(), "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(self.token)}

    def add_node(self, *arguments: str, **environment: str) -> None:
        """Starts a node with one CPU; does not wait for it."""
        self._start(
            [
                *["--address", self.address, "--num-cpus", "1"],
                *["--object-store-memory", str(OBJECT_STORE_BYTES), *arguments],
            ],
            environment,
        )

    def wait_for(self, num_nodes: int) -> None:
        """Returns once so many machines are alive."""
        program = (
            "import ray, sys; ray.init(address=sys.argv[1], log_to_driver=False, logging_level='error'); "
            "print(sum(node['Alive'] for node in ray.nodes()))"
        )
        deadline = time.monotonic() + START_SECONDS
        while True:
            done = subprocess.run(
                [sys.executable, "-c", program, self.address],
                env=self.environment,
                capture_output=True,
                text=True,
            )
            if done.stdout.strip() == str(num_nodes):
                return
            assert time.monotonic() < deadline, done.stdout + done.stderr + self.said()
            time.sleep(0.5)

    def said(self) -> str:
        """The end of what the nodes said."""
        return "\n".join(log.read_text(errors="replace")[-1500:] for log in self.folder.glob("*.log"))

    def _start(self, arguments: list[str], environment: dict[str, str]) -> None:
        number = len(self.processes)
        with (self.folder / f"{number}.log").open("wb") as log:
            self.processes.append(
                subprocess.Popen(
                    [sys.executable, "-m", "ray.scripts.scripts", "start", "--block", *arguments],
                    cwd=self.folder,
                    env={**self.environment, **environment},
                    stdout=log,
                    stderr=subprocess.STDOUT,
                    start_new_session=True,
                )
            )


@contextlib.contextmanager
def started_cluster(num_nodes: int, *, dashboard: bool = True) -> Iterator[StartedCluster]:
    """A head without CPUs, with tokens, and so many nodes with one CPU each; nothing of it is left."""
    folder = Path(tempfile.mkdtemp(prefix="lmc", dir="/tmp")).resolve()  # short: sockets lie below it
    token = folder / "token"
    token.write_text(secrets.token_hex(32))
    cluster = StartedCluster(folder, free_port(), free_port(), token)
    try:
        _start_head(cluster, dashboard)
        for number in range(num_nodes):  # one by one: a node that is slow to start gives up
            cluster.add_node()
            cluster.wait_for(2 + number)
        yield cluster
    finally:
        for process in cluster.processes:
            _end_tree(process.pid)
        end(folder)
        shutil.rmtree(folder, ignore_errors=True)


def _start_head(cluster: StartedCluster, dashboard: bool) -> None:
    """Starts the head; again on a machine so busy that Ray's own patience with its parts ends."""
    for _ in range(3):
        arguments = ["--head", "--port", str(cluster.port), "--num-cpus", "0"]
        arguments += ["--temp-dir", str(cluster.folder / "r"), "--node-ip-address", "127.0.0.1"]
        arguments += ["--include-dashboard", str(dashboard).lower()]
        arguments += ["--dashboard-port", str(cluster.dashboard_port)]
        arguments += ["--ray-client-server-port", str(free_port())]
        cluster._start([*arguments, "--object-store-memory", str(OBJECT_STORE_BYTES)], {})
        log, head = cluster.folder / f"{len(cluster.processes) - 1}.log", cluster.processes[-1]
        while head.poll() is None:
            if b"block forever" in log.read_bytes():
                return
            time.sleep(0.2)
        _end_tree(head.pid)
    raise AssertionError(cluster.said())


def without_tokens() -> dict[str, str]:
    """This environment without anything that says how Ray authenticates or where it is, and a home of its
    own.

    Commands of this installation are found first.
    """
    kept = {name: value for name, value in os.environ.items() if not name.startswith("RAY_")}
    path = os.pathsep.join([str(SCRIPTS), kept.get("PATH", "")])
    return {**kept, "RAY_USAGE_STATS_ENABLED": "0", "OMP_NUM_THREADS": "1", "PATH": path}


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


def _end_tree(pid: int) -> None:
    """kill -9 to a process and to all that it started."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        for one in [*process.children(recursive=True), process]:
            with contextlib.suppress(psutil.Error):
                one.send_signal(signal.SIGKILL)
