"""Deadlines of attempts: when they pass, what is done then, and what of late answers."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmc_sweep.config import parse_sweep
from lmc_sweep.execution.attempts import Attempts
from lmc_sweep.execution.executor import Attempt, Lost
from lmc_sweep.execution.in_flight import deadline_seconds
from lmc_sweep.execution.progress import StopRequest
from lmc_sweep.execution.task import Receipt, Task
from lmc_sweep.execution.work import Work
from lmc_sweep.planning.batching import Batch
from lmc_sweep.store.store import Store
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


def hanging(victim: str, times: int) -> PretendedExecutor:
    """Of what holds one item nothing is heard for so many attempts; the executor does what it is asked."""
    return PretendedExecutor(
        lambda task, attempt: (
            None if attempt.number <= times and victim in {item.id for item in task.items} else done(task)
        )
    )


@pytest.mark.parametrize(
    ("estimated", "scale", "expired", "seconds"),
    [(1.0, 1.0, 0, 300.0), (100.0, 1.0, 0, 1000.0), (100.0, 3.0, 0, 3000.0), (1.0, 1.0, 2, 2700.0)],
)
def test_a_deadline_is_ten_estimates_and_no_less_than_the_shortest(
    tmp_path: Path, estimated: float, scale: float, expired: int, seconds: float
) -> None:
    """Ten times the estimate as measured, at least 300 s, three times longer after each that passed."""
    plan, _ = pretended_plan(tmp_path)
    work = Work(Batch("network", plan.batches[0].items, estimated), expired=expired)
    assert seconds == deadline_seconds(work, scale, 300.0)


def test_the_shortest_deadline_is_that_of_the_sweep_file() -> None:
    """``execution.min_deadline_seconds`` defaults to 300 and may be set."""
    text = "{name: n, store: s, networks: [{dataset: digits, architecture: {name: mlp, width: 4}, seeds: 1}]"
    assert 300.0 == parse_sweep(text + "}").execution.min_deadline_seconds
    assert 5.0 == parse_sweep(text + ", execution: {min_deadline_seconds: 5}}").execution.min_deadline_seconds


def test_a_task_that_hangs_is_asked_forced_forgotten_and_submitted_anew(tmp_path: Path) -> None:
    """After its deadline, and ten and five seconds; the next attempt has another number and more time."""
    plan, _ = pretended_plan(tmp_path, slots=8)
    victim = plan.items["network"][0].id
    executor = hanging(victim, times=1)
    executor.slots = 8
    run = pretended_run(tmp_path, executor)
    run.run()
    first, second = (
        (when, task, attempt)
        for when, task, attempt in executor.submitted
        if victim in {item.id for item in task.items} and task.kind == "network"
    )
    key = first[1].key
    times = [when for when, of, _ in executor.cancelled if of == key]
    assert [False, True] == [force for _, of, force in executor.cancelled if of == key]
    assert [300.0, 310.0] == pytest.approx([when - first[0] for when in times], abs=0.6)
    assert [(315.0, key)] == [
        (pytest.approx(when - first[0], abs=0.9), of) for when, of in executor.forgotten
    ]
    assert (1, 300.0) == (first[2].number, first[2].deadline_seconds)
    assert (2, 900.0) == (second[2].number, second[2].deadline_seconds)
    assert {"deadline": 1} == run.progress().attempts
    assert [] == run.failures
    assert all_settled(run)


def test_a_task_that_ends_when_asked_is_submitted_anew_at_once(tmp_path: Path) -> None:
    """A cancelled task's end belongs to its deadline: it is not forced, and its cause is the deadline."""
    plan, _ = pretended_plan(tmp_path, slots=8)
    executor = hanging(plan.items["network"][0].id, times=1)
    executor.slots, executor.ends_when_asked = 8, True
    run = pretended_run(tmp_path, executor)
    run.run()
    assert [False] == [force for _, _, force in executor.cancelled]
    assert [] == executor.forgotten
    assert {"deadline": 1} == run.progress().attempts


def test_an_item_that_always_hangs_is_given_up_alone(tmp_path: Path) -> None:
    """Its cause is the deadline; everything else of the sweep is done, or blocked by it."""
    plan, _ = pretended_plan(tmp_path)
    victim = plan.items["network"][0].id
    executor = hanging(victim, times=99)
    executor.slowest_wait = 30.0
    run = pretended_run(tmp_path, executor)
    run.run()
    ((ids, cause),) = Store(tmp_path / "s").failures().project("item_ids, cause").fetchall()
    assert ([victim], "deadline") == (ids, cause)
    assert 11 == run.progress().kinds["network"].done
    assert all_settled(run)


def test_a_task_that_no_worker_began_is_submitted_anew_without_being_counted(tmp_path: Path) -> None:
    """However often: a person is told, and nothing is given up."""
    plan, _ = pretended_plan(tmp_path)
    victim = plan.items["network"][0].id
    listener = Listener()

    def answer(task: Task, attempt: Attempt) -> Answer:
        if victim in {item.id for item in task.items} and task.kind == "network" and attempt.number <= 9:
            executor.never_started.add(task.key)
            return None
        return done(task)

    executor = PretendedExecutor(answer)
    executor.slowest_wait = 30.0
    run = pretended_run(tmp_path, executor, listener=listener)
    run.run()
    assert [] == run.failures
    assert 9 == sum("begun by no worker" in line for line in listener.notices)
    deadlines = {attempt.deadline_seconds for _, _, attempt in executor.submitted}
    assert {300.0} == deadlines


def test_a_run_of_which_nothing_is_ever_begun_stops_in_order(tmp_path: Path) -> None:
    """After six hours in which no machine had room: nothing is given up, and the reason is told."""
    stop = StopRequest()

    def answer(task: Task, attempt: Attempt) -> Answer:
        executor.never_started.add(task.key)
        return None

    executor = PretendedExecutor(answer)
    executor.slowest_wait, executor.ends_when_asked = 30.0, True
    run = pretended_run(tmp_path, executor, stop=stop)
    run.run()
    assert "no worker has begun anything for" in str(stop.reason)
    assert 6 * 3600 == pytest.approx(executor.time.now() - 1000.0, abs=1000)
    assert ([], 0) == (run.failures, run.progress().running)


def test_a_task_may_queue_as_long_as_others_may_run(tmp_path: Path) -> None:
    """What no worker is known to have begun gets the longest remaining deadline of the others on top."""
    plan, _ = pretended_plan(tmp_path)
    batches = [Batch("network", (item,), 1.0) for item in plan.items["network"][:2]]
    executor = PretendedExecutor(done)
    attempts = Attempts()
    attempts.begin(Work(batches[0]), 0.0, 500.0, num_slots=2)
    queued = attempts.begin(Work(batches[1]), 100.0, 300.0, num_slots=2)
    executor.never_started.add(queued.key)
    assert [] == attempts.press(400.0, executor) + executor.cancelled
    attempts.press(499.0, executor)
    attempts.press(799.0, executor)
    assert queued.key not in {key for _, key, _ in executor.cancelled}
    attempts.press(800.0, executor)
    assert queued.key in {key for _, key, _ in executor.cancelled}


def test_what_has_ended_lends_nobody_its_time(tmp_path: Path) -> None:
    """Ten hours that a batch was given and did not take are no grace of those that queue after it."""
    plan, _ = pretended_plan(tmp_path)
    batches = [Batch("network", (item,), 1.0) for item in plan.items["network"][:3]]
    attempts = Attempts()
    long = attempts.begin(Work(batches[0]), 0.0, 36_000.0, num_slots=1)
    attempts.begin(Work(batches[1]), 0.0, 300.0, num_slots=1)
    attempts.end(long.key, 0.0)
    assert 200.0 == attempts.begin(Work(batches[2]), 100.0, 300.0, num_slots=1).grace_seconds


def test_answers_that_come_too_late_change_nothing(tmp_path: Path) -> None:
    """A forgotten attempt that answers after all, with a receipt or lost, is not booked twice."""
    plan, _ = pretended_plan(tmp_path, slots=8)
    victim = plan.items["network"][0].id
    late: list[str] = []

    def answer(task: Task, attempt: Attempt) -> Answer:
        mine = victim in {item.id for item in task.items} and task.kind == "network"
        if mine and attempt.number == 1:
            late.append(task.key)
            return None
        if mine:
            executor.complete_later(late[0], 0.2, Receipt(tuple(item.id for item in task.items)))
            executor.complete_later(late[0], 0.4, Lost("worker_died", "GoneError", "gone"))
            executor.complete_later("nobody-1", 0.5, Lost("cancelled", "GoneError", "gone"))
        return done(task)

    executor = PretendedExecutor(answer, slots=8)
    run = pretended_run(tmp_path, executor)
    run.run()
    assert {"deadline": 1} == run.progress().attempts
    assert (12, 24, 48) == tuple(k.done for k in run.progress().kinds.values())


def test_a_receipt_that_comes_while_a_task_is_asked_to_end_counts(tmp_path: Path) -> None:
    """What ended just after its deadline is done; it is not run again."""
    executor = PretendedExecutor(
        lambda task, attempt: (303.0, done(task)[1]) if task.kind == "network" else done(task)  # type: ignore[index]
    )
    run = pretended_run(tmp_path, executor)
    run.run()
    assert executor.cancelled
    assert {1} == {attempt.number for _, _, attempt in executor.submitted}
    assert all_settled(run)


def test_setting_the_wall_clock_moves_no_deadline(tmp_path: Path) -> None:
    """Deadlines go by the clock that only runs forward: a leap of a day on the wall cancels nothing."""
    executor = PretendedExecutor(done)

    class Leaping(FakeTime):
        def wall(self) -> float:
            return self.seconds * 86_400.0

    from lmc_sweep.execution.clock import Clock

    time = Leaping()
    executor.time = time
    run = pretended_run(tmp_path, executor)
    run._clock = Clock(time.now, time.wall, time.sleep)
    run.run()
    assert [] == executor.cancelled
    assert all_settled(run)


def test_what_is_noted_of_ended_attempts_is_dropped(tmp_path: Path) -> None:
    """Ten thousand attempts with long deadlines leave a handful of notes."""
    plan, _ = pretended_plan(tmp_path)
    batch = Batch("network", tuple(plan.items["network"][:1]), 1.0)
    attempts = Attempts()
    for number in range(10_000):
        attempts.end(attempts.begin(Work(batch, number=number), 0.0, 300.0, num_slots=2).key, 0.0)
    assert (0, True) == (len(attempts), len(attempts._looks) < 100)
    assert [] == attempts.press(1e9, PretendedExecutor(done))
