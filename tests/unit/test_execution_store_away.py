"""A store that cannot be used for a while: nothing is given up for it, and nothing is lost."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from lmc_sweep.errors import StoreError
from lmc_sweep.execution.attempts import Attempts
from lmc_sweep.execution.causes import CAUSES
from lmc_sweep.execution.executor import Attempt
from lmc_sweep.execution.patience import Patience
from lmc_sweep.execution.progress import StopRequest
from lmc_sweep.execution.task import ItemFailure, Receipt, Task
from lmc_sweep.execution.work import Work
from lmc_sweep.planning.batching import Batch
from lmc_sweep.store.store import Store
from tests.support.pretended import (
    Answer,
    Listener,
    PretendedExecutor,
    all_settled,
    done,
    failing,
    pretended_plan,
    pretended_run,
)


def everything(task: Task) -> set[str]:
    return {item.id for item in task.items}


def refusing(monkeypatch: pytest.MonkeyPatch, is_away: Callable[[], bool]) -> None:
    """Lets every commit of the driver fail while the store is away."""
    commit = Store.commit

    def refuse(self: Store, table: str, rows: list[dict[str, object]]) -> str:
        if is_away():
            raise StoreError("s: cannot be written: no space left on device.")
        return commit(self, table, rows)

    monkeypatch.setattr(Store, "commit", refuse)


def test_pauses_double_up_to_a_minute_and_what_fails_together_counts_once() -> None:
    """1, 2, 4, ... 60 s; failures within a pause do not lengthen it; a success begins anew."""
    patience, now, pauses = Patience(1e9), 0.0, []
    for _ in range(9):
        patience.failed(now, "away")
        patience.failed(now + 0.1, "away")
        pauses.append(patience.pause_ends - now)
        now = patience.pause_ends
    assert [1, 2, 4, 8, 16, 32, 60, 60, 60] == pauses
    assert patience.worked()
    assert 1.0 == patience.failed(now, "away")


def test_workers_that_cannot_use_the_store_are_tried_again_until_it_is_mended(tmp_path: Path) -> None:
    """A store that is away for 100 s delays a sweep and fails nothing; a person is told once each way."""
    listener = Listener()

    def answer(task: Task, attempt: Attempt) -> Answer:
        away = 1001.5 <= executor.time.now() < 1105.0
        return failing(task, everything(task), "store", "StoreError") if away else done(task)

    executor = PretendedExecutor(answer)
    run = pretended_run(tmp_path, executor, listener=listener)
    run.run()
    assert (12, 24, 48) == tuple(k.done for k in run.progress().kinds.values())
    assert 1 == sum(
        "A worker cannot use the store: bad store; trying again in 1 s" in s for s in listener.notices
    )
    assert 1 == sum("can be used by the workers again" in line for line in listener.notices)
    during = [when for when, _, _ in executor.submitted if 1010.0 <= when < 1105.0]
    assert 25 > len(during)
    assert [] == Store(tmp_path / "s").failures().fetchall()
    rows = Store(tmp_path / "s").attempts().project("cause, error_type").distinct().fetchall()
    assert [("store", "StoreError")] == rows


def test_a_store_that_stays_away_from_the_workers_stops_the_run_in_order(tmp_path: Path) -> None:
    """After five minutes the run ends with a reason; no item is recorded as failed."""
    stop = StopRequest()
    executor = PretendedExecutor(lambda task, attempt: failing(task, everything(task), "store"))
    run = pretended_run(tmp_path, executor, stop=stop)
    run.run()
    assert "the store could not be used for 300 s" in str(stop.reason)
    assert 300.0 <= executor.time.now() - 1000.0 <= 400.0
    assert ([], 0) == (run.failures, sum(k.failed for k in run.progress().kinds.values()))
    assert [] == Store(tmp_path / "s").failures().fetchall()
    assert "stopped" == Store(tmp_path / "s").read_runs("pretended")[-1]["state"]


def test_a_batch_that_alone_cannot_use_the_store_is_given_up_in_the_end(tmp_path: Path) -> None:
    """Where others are stored before each of its attempts, the store is not away: the items are to blame."""
    plan, _ = pretended_plan(tmp_path)
    victim = next(item for item in plan.items["network"])
    outcomes = pretended_run(tmp_path, PretendedExecutor(done))._outcomes
    work = Work(Batch("network", (victim,), 1.0))
    good = Work(Batch("network", tuple(plan.items["network"][1:2]), 1.0))
    attempts = Attempts()
    for number in range(1, CAUSES["store"].max_attempts + 1):
        assert [] == outcomes._tally.failures
        outcomes.book(attempts.begin(good, 0.0, 300.0, 2), Receipt((good.batch.items[0].id,)))
        ended = {"store": number - 1}
        again = attempts.begin(replace(work, number=number, ended=ended), 0.0, 300.0, 2)
        failure = ItemFailure("network", (victim.id,), "StoreError", "damaged", cause="store")
        outcomes.book(again, Receipt((), (failure,)))
    assert [((victim.id,), "store")] == [(f.item_ids, f.cause) for f in outcomes._tally.failures]


def test_a_store_that_is_away_twice_is_held_against_nobody(tmp_path: Path) -> None:
    """However often an item was tried in vain while the store was away, the next time that counts little."""
    plan, _ = pretended_plan(tmp_path)
    run = pretended_run(tmp_path, PretendedExecutor(done))
    outcomes, attempts = run._outcomes, Attempts()
    victim, other = (Batch("network", (item,), 1.0) for item in plan.items["network"][:2])
    failure = ItemFailure("network", (victim.items[0].id,), "StoreError", "away", cause="store")
    work = Work(victim)
    for number in range(1, 20):
        if number == 15:
            outcomes.book(attempts.begin(Work(other), 0.0, 300.0, 2), Receipt((other.items[0].id,)))
        outcomes.book(attempts.begin(work, 0.0, 300.0, 2), Receipt((), (failure,)))
        ((_, _, work),) = run._schedule._paused
        run._schedule._paused.clear()
        assert number + 1 == work.number
    assert {"store": 2} == work.ended  # one for each time that it was the first to notice
    assert [] == run.failures


def test_a_text_that_is_no_text_is_stored_all_the_same(tmp_path: Path) -> None:
    """An error that quotes a file name of other bytes than UTF-8 stops nothing and is told."""
    plan, _ = pretended_plan(tmp_path)
    victim = plan.items["network"][0].id

    def answer(task: Task, attempt: Attempt) -> Answer:
        if victim not in everything(task):
            return done(task)
        others = tuple(item.id for item in task.items if item.id != victim)
        told = ItemFailure(task.kind, (victim,), "Bad\udcffError", "no \udce4.bin", "in \udce4.py", "error")
        return 1.0, Receipt(others, (told,), 1.0)

    run = pretended_run(tmp_path, PretendedExecutor(answer))
    run.run()
    assert all_settled(run)
    store = Store(tmp_path / "s")
    columns = store.failures().project("error_type, message, traceback").fetchall()
    assert [("Bad\\udcffError", "no \\udce4.bin", "in \\udce4.py")] == columns
    assert [("no \\udce4.bin",)] == store.attempts().project("message").fetchall()


def test_what_the_driver_could_not_write_is_written_once_the_store_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A failure that happens while the disk is full is recorded later; nothing new starts meanwhile."""
    plan, _ = pretended_plan(tmp_path)
    victim, listener = plan.items["network"][0].id, Listener()
    executor = PretendedExecutor(lambda task, attempt: failing(task, {victim}, "error"))
    run = pretended_run(tmp_path, executor, listener=listener)
    refusing(monkeypatch, lambda: executor.time.now() < 1060.0)
    run.run()
    ((ids,),) = Store(tmp_path / "s").failures().project("item_ids").fetchall()
    assert [victim] == ids
    assert all_settled(run)
    assert 1 == sum("The store cannot be written: " in line for line in listener.notices)
    assert 1 == sum("The store can be written again" in line for line in listener.notices)
    assert [] == [when for when, _, _ in executor.submitted if 1010.0 < when < 1060.0]


def test_a_store_that_the_driver_cannot_write_stops_the_run_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After five minutes the run ends with a reason, not with an error; it says what the system said."""
    stop = StopRequest()
    plan, _ = pretended_plan(tmp_path)
    executor = PretendedExecutor(
        lambda task, attempt: failing(task, {item.id for item in plan.items["network"]}, "error")
    )
    run = pretended_run(tmp_path, executor, stop=stop)
    refusing(monkeypatch, lambda: True)
    run.run()
    assert "no space left on device" in str(stop.reason)
    assert 300.0 <= executor.time.now() - 1000.0 <= 400.0
    assert run.failures


def test_a_failure_that_is_due_when_everything_else_is_done_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The last barrier fails while the store is away: the run ends when the failure is recorded."""
    executor = PretendedExecutor(
        lambda task, attempt: (
            failing(task, everything(task), "error") if task.kind == "barrier" else done(task)
        )
    )
    run = pretended_run(tmp_path, executor)
    last: list[float] = []

    def is_away() -> bool:
        if not executor._open and all_settled(run) and not last:
            last.append(executor.time.now())
        return bool(last) and executor.time.now() < last[0] + 30.0

    refusing(monkeypatch, is_away)
    run.run()
    assert executor.time.now() >= last[0] + 30.0
    assert 48 == sum(len(ids) for (ids,) in Store(tmp_path / "s").failures().project("item_ids").fetchall())
