"""A Ray cluster as the executor sees it: joined or started, its machines, whether it is still there, its end.

Decisions that come from what Ray does:

- ``address="local"`` always means a cluster of our own. Plain ``ray.init()`` attaches to any that it finds.
- A local cluster gets a random token in the environment of this process and its children, so that nobody
  else on the machine can run code in it and no token file is left in the home directory. The environment
  is put back at the end.
- Ray puts the working directory first on its workers' path, where a folder called ``lmc_sweep`` (a clone of
  the repository, say) hides an editable installation. So the place of our packages is on that path too.
- Started by ``uv run``, Ray would rebuild the environment on every worker; that hook is switched off.
- When the head's service (GCS) is gone, a call that needs it blocks, and Ray ends this process after a
  minute. So its port is tried before each such call.
"""

from __future__ import annotations

import functools
import math
import os
import secrets
import signal
import socket
import threading
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lmc_sweep.errors import SweepError
from lmc_sweep.execution.executor import ExecutorGone

OBJECT_STORE_BYTES = 80 * 2**20  # receipts are small; Ray accepts no less than 75 MiB
CONNECT_SECONDS = 5.0
LOOK_SECONDS = 2.0
GONE_SECONDS = 20.0
"""A head that has not answered for so long is gone; well before Ray ends the process for it."""
EMPTY_SECONDS = 60.0
"""A cluster without any machine for so long is gone."""
SHUTDOWN_SECONDS = 20.0
_OWN_TOKEN = ("RAY_AUTH_MODE", "RAY_AUTH_TOKEN")
_PATH = "PYTHONPATH"
_ALL_DEVICES = "RAY_EXPERIMENTAL_NOSET_CUDA_VISIBLE_DEVICES"


@dataclass(frozen=True)
class Node:
    """A machine that is alive: its id and what it offers."""

    id: str
    cpus: float
    gpus: float


class RayCluster:
    """A connection to a cluster, which ends with it if it is our own."""

    def __init__(self, address: str, uses_gpus: bool) -> None:
        """Starts (``local``) or joins (``auto``, ``HOST:PORT``) a cluster.

        Raises:
            SweepError: If the cluster is not there or refuses us.
        """
        self.is_own = address == "local"
        self._environment = {name: os.environ.get(name) for name in (*_OWN_TOKEN, _PATH)}
        before = _children() if self.is_own else set()
        try:
            self.ray = _connect(address, uses_gpus)
        except BaseException:
            self._restore_environment()
            raise
        self._started = _children() - before if self.is_own else set()
        self._head = _split(self.ray.get_runtime_context().gcs_address)
        self._answered = self._populated = time.monotonic()
        self._looked = -math.inf
        self._nodes: list[Node] = []

    @property
    def answers(self) -> bool:
        """Whether the head answered when it was last looked for."""
        return self._answered >= self._looked

    def answers_now(self) -> bool:
        """Whether the head answers at this moment: to be asked before any call that would wait for it."""
        self._looked = time.monotonic()
        if _accepts(*self._head, timeout=LOOK_SECONDS):
            self._answered = time.monotonic()
        return self.answers

    def nodes(self) -> list[Node]:
        """The machines that are alive, asked for again every few seconds while the head answers."""
        if time.monotonic() - self._looked >= LOOK_SECONDS and self.answers_now():
            self._nodes = [_node(told) for told in self.ray.nodes() if told["Alive"]]
            if self._nodes:
                self._populated = time.monotonic()
        return self._nodes

    def look(self) -> None:
        """Looks for the head and its machines, unless that was done a moment ago.

        Raises:
            ExecutorGone: If they have been missing for too long.
        """
        self.nodes()
        now = time.monotonic()
        if now - self._answered > GONE_SECONDS or now - self._populated > EMPTY_SECONDS:
            raise gone()

    def close(self) -> None:
        """Leaves the cluster; our own ends, with its workers."""
        ending = threading.Thread(target=self.ray.shutdown, name="leave the cluster", daemon=True)
        ending.start()
        ending.join(SHUTDOWN_SECONDS)
        if ending.is_alive():
            self.kill()
        self._restore_environment()

    def kill(self) -> None:
        """Ends the processes of a cluster of our own at once; of another one, nothing."""
        for pid in self._started:
            for process in [*_children(pid), pid]:
                with suppress(ProcessLookupError, PermissionError):
                    os.kill(process, signal.SIGKILL)

    def _restore_environment(self) -> None:
        """Takes a private cluster's token and path out of this process."""
        for name, value in self._environment.items():
            if value is None:
                os.environ.pop(name, None)
            else:
                os.environ[name] = value


def _place() -> str:
    """The folder that holds our packages."""
    return str(Path(__file__).absolute().parents[2])


def gone() -> ExecutorGone:
    """The cluster does not answer any more."""
    return ExecutorGone("the cluster is gone. What had finished is stored; the same command carries on.")


def _children(pid: int | None = None) -> set[int]:
    """Processes below one (this one), at any depth."""
    import psutil  # Ray carries it along

    with suppress(psutil.Error):
        return {child.pid for child in psutil.Process(pid).children(recursive=True)}
    return set()


def _node(told: dict[str, Any]) -> Node:
    found = told["Resources"]
    return Node(told["NodeID"], found.get("CPU", 0.0), found.get("GPU", 0.0))


def _split(address: str) -> tuple[str, int]:
    """Host and port."""
    host, _, port = address.rpartition(":")
    return host.strip("[]"), int(port)


def _accepts(host: str, port: int, timeout: float) -> bool:
    """Whether something listens there."""
    try:
        socket.create_connection((host, port), timeout=timeout).close()
    except OSError:
        return False
    return True


def _connect(address: str, uses_gpus: bool) -> Any:
    """The ray module, connected."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    os.environ.setdefault("RAY_ENABLE_UV_RUN_RUNTIME_ENV", "0")
    options: dict[str, Any] = {"address": address, "logging_level": "error", "log_to_driver": False}
    if address == "local":
        os.environ.setdefault(_ALL_DEVICES, "1")
        os.environ.update(zip(_OWN_TOKEN, ("token", _token()), strict=True))
        os.environ[_PATH] = os.pathsep.join(filter(None, (os.environ.get(_PATH), _place())))
        options |= {
            "num_cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
            "include_dashboard": False,
            "object_store_memory": OBJECT_STORE_BYTES,
        }
    else:
        _require_address(address)
        if uses_gpus:
            options["runtime_env"] = {"env_vars": {_ALL_DEVICES: "1"}}
    try:
        import ray
    except ImportError as error:
        raise SweepError("Ray is not installed here. Use --inline, or install it: pip install ray") from error
    try:
        ray.init(**options)
    except ConnectionError as error:
        raise SweepError(
            f"--address {address}: no Ray cluster answers there. Start one with `ray start --head`, or leave "
            f"--address out to run on this machine."
        ) from error
    except ray.exceptions.AuthenticationError as error:
        raise SweepError(
            f"--address {address}: the cluster wants a token. Set RAY_AUTH_MODE=token, and "
            "RAY_AUTH_TOKEN or the file ~/.ray/auth_token as on the head node."
        ) from error
    except (RuntimeError, ValueError, OSError, ray.exceptions.RayError) as error:
        told = " ".join(str(error).split())[:500]
        raise SweepError(f"--address {address}: Ray could not be started or joined: {told}") from error
    return ray


@functools.cache
def _token() -> str:
    """A secret of this process. Ray keeps the first that it sees, so a second cluster has the same."""
    return secrets.token_hex(32)


def _require_address(address: str) -> None:
    """Raises SweepError at once for no address, or where nothing listens; Ray would try for minutes."""
    host, _, port = address.rpartition(":")
    if address == "auto":
        return
    if not host or not port.isdigit() or int(port) > 65535:
        raise SweepError(f"--address {address}: expected local, auto or HOST:PORT")
    try:
        socket.create_connection((host, int(port)), timeout=CONNECT_SECONDS).close()
    except OSError as error:
        raise SweepError(f"--address {address}: no Ray cluster answers there ({error})") from error
