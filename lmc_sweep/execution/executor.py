"""What the driver needs of whatever runs its tasks, and the executor that needs nothing: this process."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol

from lmc_sweep.execution.task import Receipt, Task, execute


@dataclass(frozen=True)
class Lost:
    """A task whose worker ended before it could say what became of it; its results may be in the store."""

    error_type: str
    message: str


@dataclass(frozen=True)
class Completion:
    """A task that is over."""

    key: str
    outcome: Receipt | Lost


class Executor(Protocol):
    """Runs tasks and hands back what became of them, in finishing order."""

    description: str

    def num_slots(self, kind: str) -> int:
        """Tasks of a kind that can run at a time."""
        ...

    def has_room(self, kind: str, running: Mapping[str, int]) -> bool:
        """Whether a task of a kind should be submitted beside so many running ones of each kind."""
        ...

    def submit(self, key: str, task: Task, attempt: int) -> None:
        """Starts a task, or queues it. ``key`` comes back in its completion."""
        ...

    def wait(self, timeout: float) -> list[Completion]:
        """Tasks that have ended since the last call; waits up to ``timeout`` seconds for the first."""
        ...

    def close(self) -> None:
        """Ends what is still running and gives back what was started."""
        ...


class InlineExecutor:
    """Runs tasks one after another in this process: for debugging, and where Ray is not installed."""

    description = "inline, in this process"

    def __init__(self) -> None:
        self._queue: deque[tuple[str, Task]] = deque()

    def num_slots(self, kind: str) -> int:
        """One."""
        return 1

    def has_room(self, kind: str, running: Mapping[str, int]) -> bool:
        """Only when nothing runs: what is queued could not be stopped in order."""
        return not any(running.values())

    def submit(self, key: str, task: Task, attempt: int) -> None:
        """Queues a task."""
        self._queue.append((key, task))

    def wait(self, timeout: float) -> list[Completion]:
        """Runs the next task to its end, however long that takes."""
        if not self._queue:
            return []
        key, task = self._queue.popleft()
        return [Completion(key, execute(task))]

    def close(self) -> None:
        """Drops what was queued."""
        self._queue.clear()
