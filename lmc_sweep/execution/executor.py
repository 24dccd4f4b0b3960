"""What the driver needs of whatever runs its tasks, and the executor that needs nothing: this process."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from lmc_sweep.execution.node_check import Needs
from lmc_sweep.execution.task import Receipt, Task, execute

if TYPE_CHECKING:
    from lmc_sweep.execution.progress import Progress


@dataclass(frozen=True)
class Attempt:
    """One attempt at a batch.

    Attributes:
        number: From 1. No two attempts at a batch share a number: an executor submits each in another way
            than the one before, since a cluster may have lost track of what was submitted alike.
        deadline_seconds: Time after which it counts as hung.
        share: How many times the resources of its place it reserves, as far as one machine has them.
        place: Where it runs (``execution.placement``); empty: as its kind reserves.
        memory_bytes: That it is expected to take of a machine's memory, for an executor that shares it out;
            0 where nobody knows.
        name: For people who look at the executor: kind, data set, architecture.
    """

    number: int = 1
    deadline_seconds: float = math.inf
    share: float = 1.0
    place: str = ""
    memory_bytes: float = 0.0
    name: str = ""


@dataclass(frozen=True)
class Lost:
    """A task whose worker ended before it could say what became of it; its results may be in the store.

    ``cause`` is the name of one of ``lmc_sweep.execution.causes.CAUSES``, or "cancelled".
    """

    cause: str
    error_type: str
    message: str


class ExecutorGone(Exception):
    """Nothing more can be run or heard of: the cluster is gone. Its text is for people.

    Any method of an executor may raise it; the driver then ends the run in order.
    """


@dataclass(frozen=True)
class Completion:
    """A task that is over."""

    key: str
    outcome: Receipt | Lost


class Executor(Protocol):
    """Runs tasks and hands back what became of them, in finishing order."""

    description: str

    def num_slots(self, place: str) -> int:
        """Tasks that can run in a place at a time; a kind is the place that it reserves."""
        ...

    def has_room(self, place: str, running: Mapping[str, int]) -> bool:
        """Whether a task should be submitted to a place beside so many running ones in each."""
        ...

    def submit(self, key: str, task: Task, attempt: Attempt) -> None:
        """Starts a task, or queues it. ``key`` comes back in its completion."""
        ...

    def cancel(self, key: str, *, force: bool) -> None:
        """Asks a task to end, or ends its process (``force``). Its completion follows, unless it is lost."""
        ...

    def forget(self, key: str) -> None:
        """Drops a task of which nothing more will be heard: its completion, if any, is never handed back."""
        ...

    def wait(self, timeout: float) -> list[Completion]:
        """Tasks that have ended since the last call; waits up to ``timeout`` seconds for the first."""
        ...

    def is_started(self, key: str) -> bool:
        """Whether a worker is known to have begun a submitted task."""
        ...

    def close(self) -> None:
        """Ends what is still running and gives back what was started."""
        ...

    def kill(self) -> None:
        """Ends the processes that were started, at once and without asking them; safe in a signal handler."""
        ...


@runtime_checkable
class OnNodes(Protocol):
    """An executor on machines that may lack what a run needs."""

    def require_nodes(self, needs: Needs) -> None:
        """Raises SweepError, naming the machine, where one lacks something; nothing was started."""
        ...

    def store_is_made(self, needs: Needs) -> None:
        """From now on machines that join are asked for this store."""
        ...

    def tell_metrics(self, sweep: str, progress: Progress, slots: Mapping[str, int]) -> None:
        """Hands how far a run is to whatever collects metrics there."""
        ...


class InlineExecutor:
    """Runs tasks one after another in this process: for debugging, and where Ray is not installed."""

    description = "inline, in this process"

    def __init__(self) -> None:
        self._queue: deque[tuple[str, Task]] = deque()

    def num_slots(self, place: str) -> int:
        """One."""
        return 1

    def has_room(self, place: str, running: Mapping[str, int]) -> bool:
        """Only when nothing runs: what is queued could not be stopped in order."""
        return not any(running.values())

    def submit(self, key: str, task: Task, attempt: Attempt) -> None:
        """Queues a task."""
        self._queue.append((key, task))

    def cancel(self, key: str, *, force: bool) -> None:
        """Drops a queued task: what runs here has ended before anybody could ask."""
        self.forget(key)

    def forget(self, key: str) -> None:
        """Drops a queued task."""
        self._queue = deque(entry for entry in self._queue if entry[0] != key)

    def wait(self, timeout: float) -> list[Completion]:
        """Runs the next task to its end, however long that takes."""
        if not self._queue:
            return []
        key, task = self._queue.popleft()
        return [Completion(key, execute(task))]

    def is_started(self, key: str) -> bool:
        """Never: a task is either queued or over."""
        return False

    def close(self) -> None:
        """Drops what was queued."""
        self._queue.clear()

    def kill(self) -> None:
        """Nothing: no process was started."""
