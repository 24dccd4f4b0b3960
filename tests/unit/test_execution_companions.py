"""Two drivers on one sweep, and what a driver leaves in the store about itself."""

from __future__ import annotations

import dataclasses
import time
from pathlib import Path

import pytest

from lmc_sweep.execution.companions import Companions
from lmc_sweep.execution.executor import Attempt
from lmc_sweep.execution.schedule import Schedule
from lmc_sweep.execution.task import Receipt, Task
from lmc_sweep.kinds import KINDS
from lmc_sweep.planning.batching import Batch
from lmc_sweep.store import sweeps
from lmc_sweep.store.local_files import LocalFiles
from lmc_sweep.store.store import Store
from tests.support.pretended import (
    Answer,
    FakeTime,
    Listener,
    PretendedExecutor,
    all_settled,
    done,
    lost,
    pretended_plan,
    pretended_run,
)

OTHER = "0" * 32


def test_a_schedule_reversed_is_the_same_from_the_other_end(tmp_path: Path) -> None:
    """Of independent batches the reversed order is the order backwards, ties included."""
    plan, _ = pretended_plan(tmp_path)
    networks = [Batch("network", (item,), float(n // 2)) for n, item in enumerate(plan.items["network"])]

    def order(is_reversed: bool) -> list[str]:
        schedule = Schedule(networks)
        if is_reversed:
            schedule.reverse()
        found = []
        while (work := schedule.take(lambda kind: True)) is not None:
            found.append(work.batch.id)
        return found

    assert order(False) == order(True)[::-1]


def test_a_second_driver_takes_the_batches_from_the_other_end(tmp_path: Path) -> None:
    """It says so once; alone, or beside a run that is long silent or over, it does not."""
    plan, store = pretended_plan(tmp_path)
    networks = [Batch("network", (item,), 40.0 + n) for n, item in enumerate(plan.items["network"])]
    plan = dataclasses.replace(plan, batches=networks)
    orders = {}

    def as_long_as_estimated(task: Task, attempt: Attempt) -> Answer:
        return 1.0, Receipt(tuple(item.id for item in task.items), seconds=40.0)

    for state, updated in {"running": 999.0, "stopped": 998.0, "running ": 900.0}.items():
        store.write_progress("pretended", OTHER, {"state": state.strip(), "updated_at": updated})
        executor, listener = PretendedExecutor(as_long_as_estimated, slots=1), Listener()
        pretended_run(tmp_path, executor, plan=plan, listener=listener).run()
        told = sum("Another run of this sweep" in line for line in listener.notices)
        orders[state] = (told, [task.items[0].id for _, task, _ in executor.submitted])
    assert [1, 0, 0] == [told for told, _ in orders.values()]
    assert orders["running"][1] == orders["stopped"][1][::-1]
    assert orders["running "][1] == orders["stopped"][1]


def test_of_two_that_began_together_one_turns_round(tmp_path: Path) -> None:
    """The one with the larger id, whoever looks first."""
    store = Store.create(tmp_path / "s")
    small, large = "1" * 32, "2" * 32
    both = [Companions(store, "pretended", run_id, lambda: 50.0) for run_id in (small, large)]
    assert [False, False] == [one.should_reverse(0.0, False) for one in both]
    for run_id in (small, large):
        told = {"state": "running", "updated_at": 49.0, "is_reversed": False}
        store.write_progress("pretended", run_id, told)
    assert [False, False] == [one.should_reverse(1.0, False) for one in both]  # asked a second ago
    assert [False, True] == [one.should_reverse(3.0, False) for one in both]
    assert [True, True] == [one.any_alive for one in both]


def test_what_another_run_has_stored_by_now_is_not_run_again(tmp_path: Path) -> None:
    """Items that are there when their batch's turn comes count as done, and what waits for them goes on."""
    plan, store = pretended_plan(tmp_path)
    elsewhere = {item.id for item in plan.items["network"][:5]}
    store.write_progress("pretended", OTHER, {"state": "running", "updated_at": 1e9})
    executor = PretendedExecutor(done)
    run = pretended_run(tmp_path, executor)
    run._companions.any_alive = True
    run._companions._asked = 1e9  # not looked up again
    run._companions._store = _Holding(elsewhere)  # type: ignore[assignment]
    run.run()
    submitted = {item.id for _, task, _ in executor.submitted for item in task.items}
    assert elsewhere.isdisjoint(submitted)
    assert (12, 24, 48) == tuple(k.done for k in run.progress().kinds.values())


class _Holding:
    """A store that holds some items."""

    def __init__(self, ids: set[str]) -> None:
        self.ids = ids
        self.files = LocalFiles(Path())

    def held(self, kind: str, ids: list[str]) -> set[str]:
        return self.ids & set(ids)


def test_the_advice_tells_how_far_what_runs_and_what_was_lost(tmp_path: Path) -> None:
    """While a run goes and at its end, with the keys that ``status`` reads."""
    executor = PretendedExecutor(done, slots=1)
    run = pretended_run(tmp_path, executor)
    store, seen = Store(tmp_path / "s"), []

    def answer(task: Task, attempt: Attempt) -> Answer:
        seen.extend(told for told in store.read_runs("pretended") if told.get("running"))
        return lost("node_lost") if attempt.number == 1 and task.kind == "alignment" else done(task)

    executor.answer = answer
    run.run()
    (told,) = store.read_runs("pretended")
    assert {
        *("state", "stop_reason", "updated_at", "beat", "elapsed_seconds", "eta_seconds", "num_ended"),
        *("eta_low_seconds", "eta_high_seconds", "estimated_wall_seconds", "executor", "num_slots"),
        *("kinds", "running", "slowest", "attempts", "is_reversed", "queued", "process", "run_id"),
    } == set(told) | {"process"}  # which not every system can tell
    assert ("finished", None, [], "pretended") == (
        told["state"],
        told["stop_reason"],
        told["running"],
        told["executor"],
    )
    assert {"node_lost"} == set(told["attempts"])
    assert 5 == len(told["slowest"])
    assert {
        *("estimated_seconds", "measured_seconds", "done", "failed", "blocked", "total", "rate_per_second")
    } == set(told["kinds"]["network"])
    assert dict.fromkeys(KINDS, 1) == told["num_slots"]
    assert {
        *("key", "kind", "num_items", "seconds", "estimated_seconds", "attempt", "what", "deadline_seconds")
    } == set(seen[0]["running"][0])
    assert 300.0 == seen[0]["running"][0]["deadline_seconds"]
    assert 1 == max(one["queued"] for one in seen)
    assert seen[0]["running"][0]["what"].startswith("digits, mlp ")
    beats = [one["beat"] for one in seen]
    assert sorted(beats) == beats
    assert told["beat"] > beats[-1]


def test_the_eta_ends_at_zero_and_its_range_holds_it(tmp_path: Path) -> None:
    """No ETA before the first batch has ended, zero after the last; between them low <= ETA <= high."""
    listener = Listener()
    run = pretended_run(tmp_path, PretendedExecutor(done), listener=listener)
    assert run.progress().eta_seconds is None
    run.run()
    told = [progress for progress in listener.told if progress.eta_seconds is not None]
    for progress in told:
        assert progress.eta_low_seconds <= progress.eta_seconds <= progress.eta_high_seconds  # type: ignore[operator]
    assert (0.0, 0.0) == (told[-1].eta_seconds, told[-1].eta_high_seconds)


def test_the_eta_scales_each_method_by_itself(tmp_path: Path) -> None:
    """Where one method takes a hundred times its estimate and another just as long, the ETA tells."""
    from lmc_sweep.execution.pace import Pace

    pace = Pace(["alignment", "alignment"])
    for _ in range(20):
        pace.ended(0, 10.0, 10.0)
        pace.ended(1, 10.0, 1000.0)
    slots = {"alignment": 1}
    cheap, dear = (pace.eta([left, 20.0 - left], [1.0, 1.0], {}, slots) for left in (20.0, 0.0))
    assert cheap is not None
    assert dear is not None
    assert (20.0, 2000.0) == pytest.approx((cheap.seconds, dear.seconds), rel=0.15)


def test_old_runs_are_cleared_away_but_never_one_that_is_alive(tmp_path: Path) -> None:
    """Ten folders are kept; a run that said something within the hour and did not end is left alone."""
    store = Store.create(tmp_path / "s")
    now = time.time()
    for number in range(15):
        state = "running" if number in (0, 1) else "finished"
        updated = now - 10 + number / 10 if number != 0 else now - 7200
        store.write_progress("n", f"{number:032x}", {"state": state, "updated_at": updated})
    sweeps.prune_runs(store.files, "n", 10)
    left = {int(told["run_id"], 16) for told in store.read_runs("n")}
    assert {1, *range(6, 15)} == left


def test_the_driver_keeps_nothing_of_what_is_done(tmp_path: Path) -> None:
    """After a run of many small batches its books are empty."""
    plan, _ = pretended_plan(tmp_path)
    plan = dataclasses.replace(
        plan, batches=[Batch(kind, (item,), 100.0) for kind, of in plan.items.items() for item in of]
    )
    run = pretended_run(tmp_path, PretendedExecutor(done, slots=4), plan=plan)
    run.run()
    schedule, attempts = run._schedule, run._attempts
    assert all_settled(run)
    assert ([], {}, {}) == (
        [entries for entries in schedule._ready.values() if entries],
        dict(schedule._missing),
        dict(schedule._waiting),
    )
    assert (0, 0) == (len(attempts), len(run._recorder))


def test_the_cost_of_a_batch_does_not_grow_with_their_number(tmp_path: Path) -> None:
    """Ten times the batches take nearer to ten times as long than to a hundred times, milliseconds each."""
    plan, _ = pretended_plan(tmp_path)
    items = plan.items["network"]
    seconds = {}
    for count in (400, 4000):
        copies = [dataclasses.replace(items[n % len(items)], id=f"{n:064x}") for n in range(count)]
        many = dataclasses.replace(
            plan,
            items={**plan.items, "network": copies},
            batches=[Batch("network", (item,), 100.0) for item in copies],
        )
        executor = PretendedExecutor(
            lambda task, attempt: (0.0, done(task)[1]),
            slots=8,
            time=FakeTime(),  # type: ignore[index]
        )
        run = pretended_run(tmp_path, executor, plan=many)
        start = time.process_time()
        run.run()
        seconds[count] = time.process_time() - start
        assert count == run.progress().kinds["network"].done
    assert seconds[4000] < 40 * seconds[400]
    assert seconds[4000] / 4000 < 1e-2  # 0.2 ms where nothing else runs
