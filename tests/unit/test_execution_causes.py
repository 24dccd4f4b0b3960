"""What follows an attempt without results: how often it is tried again, after which pause, with what room."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest

from lmc_sweep.execution.causes import CAUSES
from lmc_sweep.execution.executor import Attempt
from lmc_sweep.execution.progress import StopRequest
from lmc_sweep.execution.task import Receipt, Task
from lmc_sweep.execution.work import Work, after, backoff
from lmc_sweep.planning.batching import Batch
from lmc_sweep.store.store import Store
from tests.support.pretended import (
    Answer,
    Listener,
    PretendedExecutor,
    all_settled,
    done,
    failing,
    lost,
    pretended_plan,
    pretended_run,
)


def alone(path: Path) -> Work:
    """Work of one network."""
    plan, _ = pretended_plan(path)
    return Work(Batch("network", plan.batches[0].items[:1], 1.0))


@pytest.mark.parametrize("name", sorted(CAUSES))
def test_an_item_alone_is_tried_as_often_as_its_cause_says(tmp_path: Path, name: str) -> None:
    """Each cause has its own cap; ``execution.retries`` and one where it has none."""
    cause = CAUSES[name]
    work, attempts = alone(tmp_path), 1
    while following := after(work, cause, retries=3).work:
        (work,) = following
        attempts += 1
    assert (cause.max_attempts or 4) == attempts


@pytest.mark.parametrize(("num_ended", "seconds"), [(1, 1.0), (2, 2.0), (4, 8.0), (7, 60.0), (2000, 60.0)])
def test_pauses_double_up_to_a_minute(num_ended: int, seconds: float) -> None:
    """1, 2, 4, ... and never more than 60 seconds."""
    assert seconds == backoff(CAUSES["worker_died"], num_ended)


@pytest.mark.parametrize("name", ["worker_died", "device_error", "deadline", "host_memory"])
def test_a_cause_does_not_use_up_the_attempts_of_another(tmp_path: Path, name: str) -> None:
    """An item that lost its node twice may still die of anything else as often as anybody."""
    work = alone(tmp_path)
    for _ in range(2):
        (work,) = after(work, CAUSES["node_lost"], retries=5).work
    assert () == after(work, CAUSES["node_lost"], retries=2).work
    assert after(work, CAUSES[name], retries=2).work


def test_a_lost_worker_is_retried_after_a_pause_under_another_number(tmp_path: Path) -> None:
    """The second attempt comes a second after the first was lost, the third two seconds after that."""
    networks: dict[str, list[float]] = {}

    def answer(task: Task, attempt: Attempt) -> Answer:
        if task.kind != "network" or attempt.number > 2:
            return done(task)
        return lost("worker_died")

    executor = PretendedExecutor(answer, slots=8)
    run = pretended_run(tmp_path, executor)
    run.run()
    for when, task, _ in executor.submitted:
        networks.setdefault(task.key.split("-")[0], []).append(when)
    gaps = {tuple(b - a for a, b in itertools.pairwise(when)) for when in networks.values()}
    assert {(), (2.0, 3.0)} == {tuple(round(gap, 6) for gap in one) for one in gaps}  # a second of work each
    assert [] == run.failures


@pytest.mark.parametrize(("times", "failed"), [(1, 0), (2, 0), (99, 12)])
def test_lost_batches_are_retried_and_halved_until_each_item_stood_alone(
    tmp_path: Path, times: int, failed: int
) -> None:
    """With two retries two losses are survived whole; what is always lost is given up item by item."""
    executor = PretendedExecutor(
        lambda task, attempt: (
            lost("worker_died") if task.kind == "network" and attempt.number <= times else done(task)
        )
    )
    run = pretended_run(tmp_path, executor)
    run.run()
    assert failed == run.progress().kinds["network"].failed
    rows = Store(tmp_path / "s").failures().project("item_ids, cause").fetchall()
    assert [(1, "worker_died")] * failed == [(len(ids), cause) for ids, cause in rows]
    assert all_settled(run)


def test_an_item_that_ends_its_workers_is_isolated(tmp_path: Path) -> None:
    """Batches that hold one network always lose their worker; all other networks are done."""
    plan, _ = pretended_plan(tmp_path)
    victim = plan.items["network"][0].id
    executor = PretendedExecutor(
        lambda task, attempt: lost("node_lost") if victim in {item.id for item in task.items} else done(task)
    )
    run = pretended_run(tmp_path, executor)
    run.run()
    assert {victim} == {item_id for failure in run.failures for item_id in failure.item_ids}
    assert (11, 1) == (run.progress().kinds["network"].done, run.progress().kinds["network"].failed)


def test_without_retries_a_lost_batch_is_still_halved(tmp_path: Path) -> None:
    """``retries: 0`` gives up no item that did not stand alone when its worker died."""
    plan, _ = pretended_plan(tmp_path)
    whole = Work(Batch("network", tuple(plan.items["network"]), 1.0))
    assert [6, 6] == [len(part.batch.items) for part in after(whole, CAUSES["worker_died"], 0).work]
    assert () == after(alone(tmp_path), CAUSES["worker_died"], 0).work
    assert () == after(whole, CAUSES["error"], 0).work


def test_items_of_which_a_receipt_says_nothing_are_tried_again(tmp_path: Path) -> None:
    """A receipt that leaves items out settles the others; the rest are another attempt's."""

    def answer(task: Task, attempt: Attempt) -> Answer:
        if attempt.number > 1:
            return done(task)
        return 1.0, Receipt(tuple(item.id for item in task.items[1:]), seconds=1.0)

    run = pretended_run(tmp_path, PretendedExecutor(answer))
    run.run()
    assert (12, 24, 48) == tuple(k.done for k in run.progress().kinds.values())
    assert {"worker_died"} == set(run.progress().attempts)


@pytest.mark.parametrize("cause", ["host_memory", "device_memory"])
def test_memory_that_runs_out_halves_the_batch_at_once(tmp_path: Path, cause: str) -> None:
    """Batches of more than two networks run out of memory: two attempts are enough for each of them."""
    executor = PretendedExecutor(
        lambda task, attempt: lost(cause) if len(task.items) > 2 and task.kind == "network" else done(task)
    )
    run = pretended_run(tmp_path, executor)
    run.run()
    assert [] == run.failures
    assert 2 == max(attempt.number for _, task, attempt in executor.submitted if task.kind == "network")
    assert {1.0} == {attempt.share for _, _, attempt in executor.submitted}


@pytest.mark.parametrize("in_receipt", [False, True])
def test_an_item_that_wants_more_memory_gets_more_room(tmp_path: Path, in_receipt: bool) -> None:
    """Alone it gets twice the share and half the stack each time, and is done once that is enough."""
    plan, _ = pretended_plan(tmp_path)
    victim = plan.items["network"][0].id

    def answer(task: Task, attempt: Attempt) -> Answer:
        if victim not in {item.id for item in task.items} or attempt.share >= 4:
            return done(task)
        return failing(task, {victim}, "device_memory") if in_receipt else lost("device_memory")

    executor = PretendedExecutor(answer, slots=4)
    run = pretended_run(tmp_path, executor)
    run.run()
    assert [] == run.failures
    rooms = [
        (attempt.share, task.max_stack_bytes)
        for _, task, attempt in executor.submitted
        if victim in {item.id for item in task.items}
    ]
    assert [(1.0, 2e9), (2.0, 1e9), (4.0, 5e8)] == sorted(set(rooms))


def test_memory_that_never_suffices_ends_in_a_failure_of_that_item_alone(tmp_path: Path) -> None:
    """After six attempts alone the item is given up, with its cause and its number of attempts."""
    plan, _ = pretended_plan(tmp_path)
    victim = plan.items["network"][0].id
    executor = PretendedExecutor(
        lambda task, attempt: (
            lost("host_memory") if victim in {item.id for item in task.items} else done(task)
        )
    )
    pretended_run(tmp_path, executor).run()
    alone = [task for _, task, _ in executor.submitted if [victim] == [item.id for item in task.items]]
    assert 6 == len(alone)
    ((ids, cause, attempts),) = (
        Store(tmp_path / "s").failures().project("item_ids, cause, attempts").fetchall()
    )
    assert ([victim], "host_memory") == (ids, cause)
    assert 6 < attempts


@pytest.mark.parametrize("cause", ["user_error", "error"])
def test_what_raises_is_given_up_at_once(tmp_path: Path, cause: str) -> None:
    """One attempt, one failure with the cause and the traceback; all others are done."""
    plan, _ = pretended_plan(tmp_path)
    victim = plan.items["barrier"][0].id
    executor = PretendedExecutor(lambda task, attempt: failing(task, {victim}, cause))
    run = pretended_run(tmp_path, executor)
    run.run()
    rows = Store(tmp_path / "s").failures().project("item_ids, cause, attempts, traceback").fetchall()
    assert [([victim], cause, 1, "traceback")] == rows
    assert 47 == run.progress().kinds["barrier"].done


def test_a_device_that_reports_errors_gets_the_same_items_once_more(tmp_path: Path) -> None:
    """Its process was replaced meanwhile: what failed runs again as one batch, and nothing is given up."""
    executor = PretendedExecutor(
        lambda task, attempt: (
            failing(task, {item.id for item in task.items}, "device_error")
            if attempt.number < 3 and task.kind == "network"
            else done(task)
        )
    )
    run = pretended_run(tmp_path, executor)
    run.run()
    sizes = {
        attempt.number: len(task.items) for _, task, attempt in executor.submitted if task.kind == "network"
    }
    assert {1, 2, 3} == set(sizes)
    assert 1 == len(set(sizes.values()))
    assert [] == run.failures


def test_an_item_that_fails_twice_then_works_is_done(tmp_path: Path) -> None:
    """Two attempts are in the table of attempts with their cause, and nothing in that of failures."""
    plan, _ = pretended_plan(tmp_path)
    victim = plan.items["barrier"][0].id
    executor = PretendedExecutor(
        lambda task, attempt: failing(task, {victim}, "device_error") if attempt.number < 3 else done(task)
    )
    run = pretended_run(tmp_path, executor)
    run.run()
    rows = Store(tmp_path / "s").attempts().project("item_ids, cause, attempt").order("attempt").fetchall()
    assert [([victim], "device_error", 1), ([victim], "device_error", 2)] == rows
    assert {"device_error": 2} == run.progress().attempts
    assert 48 == run.progress().kinds["barrier"].done


def test_a_worker_of_another_version_stops_the_sweep_and_fails_nothing(tmp_path: Path) -> None:
    """One line says which versions differ; nothing new is submitted, nothing is recorded as failed."""
    stop, listener = StopRequest(), Listener()
    executor = PretendedExecutor(
        lambda task, attempt: failing(task, {item.id for item in task.items}, "version"), slots=1
    )
    run = pretended_run(tmp_path, executor, stop=stop, listener=listener)
    run.run()
    assert "bad version" == stop.reason
    assert 2 >= len(executor.submitted)
    assert [] == Store(tmp_path / "s").failures().fetchall()
    assert 1 == sum("bad version" in line for line in listener.notices)


def test_secrets_do_not_reach_the_records_of_the_driver(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What an error quotes of a secret variable is not in failures nor in attempts."""
    monkeypatch.setenv("MY_API_TOKEN", "s3cret-value-of-mine")
    executor = PretendedExecutor(lambda task, attempt: lost("s3cret-value-of-mine"))
    pretended_run(tmp_path, executor).run()
    store = Store(tmp_path / "s")
    told = [text for (text,) in store.failures().project("message").fetchall()]
    told += [text for (text,) in store.attempts().project("message").fetchall()]
    assert told
    assert not any("s3cret-value" in text for text in told)
