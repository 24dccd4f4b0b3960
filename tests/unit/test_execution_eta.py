"""Times to the end that a run tells: against what then happens, on a clock that is only pretended."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pytest

from lmc_sweep.execution.attempts import Attempts
from lmc_sweep.execution.executor import Attempt
from lmc_sweep.execution.pace import Pace, Rest
from lmc_sweep.execution.progress import Progress
from lmc_sweep.execution.task import Receipt, Task
from lmc_sweep.execution.work import Work
from lmc_sweep.planning.batching import Batch
from tests.support.pretended import (
    Answer,
    FakeTime,
    Listener,
    PretendedExecutor,
    all_settled,
    done,
    pretended_plan,
    pretended_run,
)

SECONDS = {"network": 12.0, "alignment": 3.0, "barrier": 6.0}
"""What one item takes in these runs, where nothing else is said."""


class Slotted(PretendedExecutor):
    """Keeps as many tasks as there are slots running, and as many queued behind them."""

    def __init__(self, seconds: Callable[[Task, bool], float], slots: int) -> None:
        super().__init__(self._later, slots, FakeTime())
        self._seconds = seconds
        self._free = [self.time.now()] * slots
        self._seen: set[tuple[int, str]] = set()

    def has_room(self, kind: str, running: object) -> bool:
        return len(self._open) < 2 * self.slots

    def _later(self, task: Task, attempt: Attempt) -> Answer:
        slot = min(range(self.slots), key=lambda n: self._free[n])
        is_first = (slot, task.kind) not in self._seen
        self._seen.add((slot, task.kind))
        seconds = self._seconds(task, is_first)
        self._free[slot] = max(self._free[slot], self.time.now()) + seconds
        return self._free[slot] - self.time.now(), Receipt(
            tuple(item.id for item in task.items), seconds=seconds
        )


def told(
    path: Path, slots: int, estimated: Callable[[str], float], seconds: Callable[[Task, bool], float]
) -> tuple[list[Progress], float]:
    """What a run of one batch per item said of itself, and how long it took."""
    plan, _ = pretended_plan(path)
    batches = [Batch(kind, (item,), estimated(kind)) for kind, of in plan.items.items() for item in of]
    listener = Listener()
    run = pretended_run(
        path, Slotted(seconds, slots), plan=dataclasses.replace(plan, batches=batches), listener=listener
    )
    run.run()
    assert all_settled(run)
    return listener.told, listener.told[-1].elapsed_seconds


def noisy(scale: float) -> Callable[[Task, bool], float]:
    """What tasks take: their items' seconds, give or take a third, always the same."""
    return lambda task, is_first: sum(
        scale * SECONDS[task.kind] * (2 / 3 + 2 / 3 * int(item.id[:4], 16) / 0xFFFF) for item in task.items
    )


def tiny(task: Task, is_first: bool) -> float:
    """A third of a second, and three for the first of its kind in each worker."""
    return (3.0 if is_first else 0.0) + 0.3 * len(task.items)


RUNS: dict[str, tuple[Callable[[str], float], Callable[[Task, bool], float]]] = {
    "tiny": (lambda kind: 0.01, tiny),
    "as estimated": (SECONDS.__getitem__, noisy(1.0)),
    "under-estimated": (lambda kind: SECONDS[kind] / 8, noisy(1.0)),
    "over-estimated": (lambda kind: 5 * SECONDS[kind], noisy(1.0)),
    "short and under-estimated": (lambda kind: SECONDS[kind] / 64, noisy(1 / 8)),
}


@pytest.mark.parametrize("slots", [2, 8])
@pytest.mark.parametrize("name", RUNS)
def test_the_eta_is_of_the_right_size_after_a_quarter(tmp_path: Path, name: str, slots: int) -> None:
    """From a quarter of a run on it is right within a factor of 2.5, and its range mostly holds the end."""
    progress, whole = told(tmp_path, slots, *RUNS[name])
    later = [one for one in progress if whole / 4 <= one.elapsed_seconds <= 0.95 * whole]
    for quarter in (0.25, 0.5, 0.75):
        one = min(later, key=lambda one: abs(one.elapsed_seconds - quarter * whole))
        truth = whole - one.elapsed_seconds
        assert one.eta_seconds is not None
        assert truth / 2.5 - 2 <= one.eta_seconds <= 2.5 * truth + 2, (name, quarter, whole)
    held = [
        one.eta_low_seconds - 1 <= whole - one.elapsed_seconds <= one.eta_high_seconds + 1  # type: ignore[operator]
        for one in later
    ]
    assert sum(held) > len(held) / 2


def test_a_hung_batch_leaves_an_eta(tmp_path: Path) -> None:
    """Of a batch that runs four minutes over its second, the ETA grows: it is never 0 s."""
    plan, _ = pretended_plan(tmp_path)
    victim = plan.items["barrier"][0].id
    listener = Listener()
    executor = PretendedExecutor(
        lambda task, attempt: (
            None if victim in {item.id for item in task.items} and attempt.number == 1 else done(task)
        ),
        slots=8,
    )
    pretended_run(tmp_path, executor, listener=listener).run()
    (one, *_) = [one for one in listener.told if one.longest and one.longest[0].seconds >= 240]
    assert 240 / 4 <= (one.eta_seconds or 0.0) <= 240
    assert 300.0 == pytest.approx(one.longest[0].deadline_seconds)


def test_a_batch_in_the_queue_does_not_age(tmp_path: Path) -> None:
    """As many attempts as there are slots run; the oldest that queues begins when one of them ends."""
    plan, _ = pretended_plan(tmp_path)
    attempts = Attempts()
    first, second, third, fourth = (
        attempts.begin(Work(Batch(item.id[:4], (item,), 10.0)), 0.0, 300.0, num_slots=2)  # type: ignore[arg-type]
        for item in plan.items["network"][:4]
    )
    assert (2, [first, second]) == (attempts.num_queued, attempts.longest(9))
    assert (50.0, 50.0, 0.0, None) == (first.age(50.0), second.age(50.0), third.age(50.0), third.deadline_age)
    attempts.end(second.key, 60.0)
    assert (1, 5.0, None) == (attempts.num_queued, third.age(65.0), fourth.began)
    assert 540.0 == third.deadline_age  # 600 s after its submission: it may queue as long as others may run
    attempts.end(fourth.key, 70.0)  # it had a slot after all
    assert (0, 70.0) == (attempts.num_queued, fourth.age(70.0))
    attempts.end(first.key, 80.0)
    attempts.end(third.key, 90.0)
    assert (0, 0) == (len(attempts), sum(attempts.room.values()))
    assert pytest.approx(0.0) == attempts._taken[""]


def test_a_batch_without_a_machine_is_queued_until_one_comes(tmp_path: Path) -> None:
    """Where a place has no slots nothing has begun; slots that come are taken, oldest first."""
    plan, _ = pretended_plan(tmp_path)
    attempts = Attempts()
    first, second, third = (
        attempts.begin(Work(Batch("network", (item,), 10.0)), 0.0, 300.0, num_slots=0)
        for item in plan.items["network"][:3]
    )
    attempts.arrived({"network": 0}, 10.0)
    assert (3, [], 0.0) == (attempts.num_queued, attempts.longest(9), first.age(10.0))
    attempts.arrived({"network": 2}, 20.0)
    assert (1, [first, second]) == (attempts.num_queued, attempts.longest(9))
    assert (20.0, 20.0, None) == (first.began, second.began, third.began)
    attempts.end(first.key, 30.0)
    assert (0, 30.0) == (attempts.num_queued, third.began)
    waiting = attempts.begin(Work(Batch("network", (plan.items["network"][4],), 1.0)), 40.0, 300.0, 0)
    for entry in (second, third, waiting):
        attempts.end(entry.key, 50.0)
    assert (0, 0, 40.0) == (len(attempts), attempts.num_queued, waiting.began)
    assert pytest.approx(0.0) == attempts._taken[""]


def test_a_run_without_machines_tells_of_queued_batches_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Until a machine comes nothing is told as running; then as much as it has slots for."""
    listener = Listener()
    executor = PretendedExecutor(lambda task, attempt: (60.0, done(task)[1]))  # type: ignore[index]
    comes = executor.time.now() + 30.0
    monkeypatch.setattr(executor, "num_slots", lambda place: 2 if executor.time.now() >= comes else 0)
    run = pretended_run(tmp_path, executor, listener=listener)
    run.run()
    before = [one for one in listener.told if one.elapsed_seconds < 29 and one.queued]
    assert {(0, ())} == {(one.running, one.longest) for one in before}
    assert 2 == max(one.running for one in listener.told)
    assert all_settled(run)


def test_a_first_batch_with_its_start_sets_no_factor() -> None:
    """A hundredth of a second that took three says next to nothing of others; long ones say it all."""
    pace = Pace(["network", "alignment"])
    assert (None, [1.0, 1.0]) == (pace.scale(0), pace.scales())
    pace.ended(0, 0.01, 3.0)
    assert 1.0 == pytest.approx(pace.scale(0), rel=0.1)
    for _ in range(5):
        pace.ended(0, 10.0, 80.0)
    assert 8.0 == pytest.approx(pace.scale(0), rel=0.25)
    assert (None, True) == (pace.scale(1), pace.scales()[1] > 4.0)


def test_hundreds_of_tiny_batches_are_no_second(tmp_path: Path) -> None:
    """Of a kind of which nothing was measured each batch costs its overhead, and may cost much more."""
    pace = Pace(["network", "barrier"])
    pace.ended(0, 10.0, 10.0)
    eta = pace.eta([0.0, 0.004], [0.0, 384.0], {"network": Rest()}, {"network": 2, "barrier": 2})
    assert eta is not None
    assert (9.0 < eta.seconds, eta.low_seconds < eta.seconds / 3, eta.high_seconds > 90) == (True, True, True)
