"""An executor that only pretends, on a clock that only pretends: what comes back is what a test says."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path

from lmc_sweep.config import parse_sweep
from lmc_sweep.execution.clock import Clock
from lmc_sweep.execution.driver import Driver
from lmc_sweep.execution.executor import Attempt, Completion, Lost
from lmc_sweep.execution.progress import Progress, StopRequest
from lmc_sweep.execution.run import SilentReporter
from lmc_sweep.execution.task import ItemFailure, Receipt, Task
from lmc_sweep.planning.plan import Plan, make_plan
from lmc_sweep.store.store import Store

SWEEP = parse_sweep(
    """
    name: pretended
    store: s
    networks: [{dataset: digits, architecture: {name: mlp, width: [4, 8, 16]}, seeds: 4}]
    barriers: {alignments: [{method: identity}, {method: weight_matching}]}
    execution: {retries: 2}
    """
)

Outcome = Receipt | Lost
Answer = tuple[float, Outcome] | None
"""After how many seconds which outcome; None: nothing is ever heard."""


class FakeTime:
    """Seconds that pass only when somebody waits."""

    def __init__(self) -> None:
        self.seconds = 1000.0

    def now(self) -> float:
        return self.seconds

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds

    @property
    def clock(self) -> Clock:
        return Clock(now=self.now, wall=self.now, sleep=self.sleep)


class PretendedExecutor:
    """Answers every task as ``answer`` says; keeps what it was asked."""

    description = "pretended"

    def __init__(
        self, answer: Callable[[Task, Attempt], Answer], slots: int = 2, time: FakeTime | None = None
    ) -> None:
        self.answer, self.slots, self.time = answer, slots, time or FakeTime()
        self.submitted: list[tuple[float, Task, Attempt]] = []
        self.cancelled: list[tuple[float, str, bool]] = []
        self.forgotten: list[tuple[float, str]] = []
        self.never_started: set[str] = set()
        self.ends_when_asked = False
        """Whether a task that is asked to end does so at once."""
        self.slowest_wait = 0.0
        """How long a wait lasts at the least where nothing ends: more makes long times pass in few steps."""
        self.largest_queue = 0
        self._open: set[str] = set()
        self._due: list[tuple[float, int, Completion]] = []
        self._serial = itertools.count()

    def num_slots(self, kind: str) -> int:
        return self.slots

    def has_room(self, kind: str, running: Mapping[str, int]) -> bool:
        return sum(running.values()) <= self.slots

    def submit(self, key: str, task: Task, attempt: Attempt) -> None:
        self.submitted.append((self.time.now(), task, attempt))
        self._open.add(key)
        self.largest_queue = max(self.largest_queue, len(self._open))
        answer = self.answer(task, attempt)
        if answer is not None:
            self.complete_later(key, *answer)

    def complete_later(self, key: str, seconds: float, outcome: Outcome) -> None:
        heapq.heappush(self._due, (self.time.now() + seconds, next(self._serial), Completion(key, outcome)))

    def wait(self, timeout: float) -> list[Completion]:
        end = self.time.now() + max(timeout, self.slowest_wait)
        self.time.seconds = min(end, max(self._due[0][0], self.time.seconds)) if self._due else end
        ended = []
        while self._due and self._due[0][0] <= self.time.now():
            ended.append(heapq.heappop(self._due)[2])
            self._open.discard(ended[-1].key)
        return ended

    def cancel(self, key: str, *, force: bool) -> None:
        self.cancelled.append((self.time.now(), key, force))
        if self.ends_when_asked:
            self.complete_later(key, 0.0, Lost("cancelled", "TaskCancelledError", "cancelled"))

    def forget(self, key: str) -> None:
        self.forgotten.append((self.time.now(), key))

    def is_started(self, key: str) -> bool:
        return key not in self.never_started

    def close(self) -> None:
        pass


class Listener(SilentReporter):
    """Keeps what it was told."""

    def __init__(self) -> None:
        self.notices: list[str] = []
        self.told: list[Progress] = []

    def noticed(self, text: str) -> None:
        self.notices.append(text)

    def progressed(self, progress: Progress) -> None:
        self.told.append(progress)


def done(task: Task, attempt: Attempt | None = None) -> Answer:
    """All items are done after a second."""
    return 1.0, Receipt(tuple(item.id for item in task.items), seconds=1.0)


def failing(task: Task, ids: set[str], cause: str, error_type: str = "BadError") -> Answer:
    """A receipt in which these items failed, each by itself, and the others are done."""
    failures = tuple(
        ItemFailure(task.kind, (item.id,), error_type, f"bad {cause}", "traceback", cause)
        for item in task.items
        if item.id in ids
    )
    good = tuple(item.id for item in task.items if item.id not in ids)
    return 1.0, Receipt(good, failures, seconds=1.0)


def lost(cause: str) -> Answer:
    """The worker is lost after a second."""
    return 1.0, Lost(cause, "GoneError", f"gone by {cause}")


def pretended_plan(path: Path, slots: int = 2) -> tuple[Plan, Store]:
    """The plan of the sweep on an empty store."""
    return _plan(slots), Store.create(path / "s")


@cache
def _plan(slots: int) -> Plan:
    return make_plan(SWEEP, None, slots)


def pretended_run(
    path: Path,
    executor: PretendedExecutor,
    *,
    plan: Plan | None = None,
    max_failures: int | None = None,
    stop: StopRequest | None = None,
    listener: Listener | None = None,
    patience_seconds: float | None = None,
) -> Driver:
    """A driver for the whole sweep on an empty store, not begun yet."""
    whole, store = pretended_plan(path, executor.slots)
    return Driver(
        plan or whole,
        store,
        executor,
        listener or Listener(),
        stop or StopRequest(),
        max_failures,
        executor.time.clock,
        patience_seconds,
    )


def all_settled(driver: Driver) -> bool:
    """Whether every item is done, failed or blocked, and none twice."""
    return all(k.done + k.failed + k.blocked == k.total for k in driver.progress().kinds.values())
