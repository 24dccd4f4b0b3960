"""A Ray cluster as the executor sees it: joined or started, its machines, whether it is still there, its end.

When the head's service (GCS) is gone, a call that needs it blocks, and Ray ends this process after a
minute. So its port is tried before each such call.
"""

from __future__ import annotations

import math
import os
import signal
import socket
import threading
import time
from contextlib import suppress

from lmc_sweep.execution.executor import ExecutorGone
from lmc_sweep.execution.ray_connect import TOUCHED, connect
from lmc_sweep.execution.ray_nodes import Node, node

LOOK_SECONDS = 2.0
GONE_SECONDS = 20.0
"""A head that has not answered for so long is gone; well before Ray ends the process for it."""
EMPTY_SECONDS = 60.0
"""A cluster without any machine for so long is gone."""
SHUTDOWN_SECONDS = 20.0


class RayCluster:
    """A connection to a cluster, which ends with it if it is our own."""

    def __init__(self, address: str, uses_gpus: bool) -> None:
        """Starts (``local``) or joins (``auto``, ``HOST:PORT``) a cluster.

        Raises:
            SweepError: If the cluster is not there or refuses us.
        """
        self.is_own = address == "local"
        self._environment = {name: os.environ.get(name) for name in TOUCHED}
        before = _children() if self.is_own else set()
        try:
            self.ray = connect(address, uses_gpus)
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
            self._nodes = [node(told) for told in self.ray.nodes() if told["Alive"]]
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


def gone() -> ExecutorGone:
    """The cluster does not answer any more."""
    return ExecutorGone("the cluster is gone. What had finished is stored; the same command carries on.")


def _children(pid: int | None = None) -> set[int]:
    """Processes below one (this one), at any depth."""
    import psutil  # Ray carries it along

    with suppress(psutil.Error):
        return {child.pid for child in psutil.Process(pid).children(recursive=True)}
    return set()


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
