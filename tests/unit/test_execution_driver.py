"""The driver on an executor that is only pretended: order, dependencies, failures, stopping."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from lmc_sweep.errors import StoreError
from lmc_sweep.execution.executor import Attempt, Completion, ExecutorGone
from lmc_sweep.execution.progress import CANCELLED, StopRequest
from lmc_sweep.execution.task import Task
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


def test_every_batch_is_submitted_once_and_after_what_it_requires(tmp_path: Path) -> None:
    """Twelve networks, 24 alignments, 48 barriers; no item before its inputs."""
    executor = PretendedExecutor(done)
    run = pretended_run(tmp_path, executor)
    run.run()
    ready: set[str] = set()
    for _, task, _ in executor.submitted:
        required = {r for item in task.items for r in item.requires}
        assert required <= ready
        ready |= {item.id for item in task.items}
    assert {"network": 12, "alignment": 24, "barrier": 48} == {
        k: p.done for k, p in run.progress().kinds.items()
    }
    assert len(executor.submitted) == len({task.key for _, task, _ in executor.submitted})


def test_the_window_is_bounded(tmp_path: Path) -> None:
    """No more batches in flight than the executor has room for."""
    executor = PretendedExecutor(done, slots=2)
    pretended_run(tmp_path, executor).run()
    assert 3 == executor.largest_queue


def test_a_task_names_its_attempt_its_run_and_the_code_that_it_wants(tmp_path: Path) -> None:
    """Key, run and fingerprint travel with every task."""
    from lmc_sweep.execution.code import fingerprint

    executor = PretendedExecutor(done)
    run = pretended_run(tmp_path, executor)
    run.run()
    assert {(run.run_id, "pretended", fingerprint())} == {
        (task.run_id, task.sweep, task.code) for _, task, _ in executor.submitted
    }
    assert all(task.key.endswith(f"-{attempt.number}") for _, task, attempt in executor.submitted)


def test_what_a_failure_blocks_is_counted_and_not_run(tmp_path: Path) -> None:
    """One network fails: the alignments and barriers that need it never start, the others all do."""
    plan, _ = pretended_plan(tmp_path)
    victim = plan.items["network"][0]
    executor = PretendedExecutor(lambda task, attempt: failing(task, {victim.id}, "error"))
    run = pretended_run(tmp_path, executor)
    run.run()
    kinds = run.progress().kinds
    needing = [item for item in plan.items["alignment"] if victim.id in item.requires]
    assert (1, len(needing), 2 * len(needing)) == (
        kinds["network"].failed,
        kinds["alignment"].blocked,
        kinds["barrier"].blocked,
    )
    submitted = {item.id for _, task, _ in executor.submitted for item in task.items}
    assert submitted.isdisjoint(item.id for item in needing)
    assert all_settled(run)


def test_max_failures_stops_in_order(tmp_path: Path) -> None:
    """After the first failure nothing new is submitted; the run says why it stopped."""
    plan, _ = pretended_plan(tmp_path, slots=1)
    networks = {item.id for item in plan.items["network"]}
    executor = PretendedExecutor(lambda task, attempt: failing(task, networks, "error"), slots=1)
    stop = StopRequest()
    pretended_run(tmp_path, executor, max_failures=1, stop=stop).run()
    assert "--max-failures 1" in str(stop.reason)
    assert len(executor.submitted) < len(plan.batches)


def test_a_worker_lost_after_its_commit_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results that are in the store count as done, whatever became of the worker."""
    plan, _ = pretended_plan(tmp_path)
    stored = {item.id for item in plan.items["barrier"]}
    executor = PretendedExecutor(
        lambda task, attempt: lost("worker_died") if task.kind == "barrier" else done(task)
    )
    run = pretended_run(tmp_path, executor)
    monkeypatch.setattr(
        Store, "held", lambda self, kind, ids: stored & set(ids) if kind == "barrier" else set()
    )
    run.run()
    assert 48 == run.progress().kinds["barrier"].done
    assert [] == run.failures


def test_advice_that_cannot_be_written_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """progress.json is advice: a run goes on without it."""

    def refuse(*arguments: object) -> None:
        raise StoreError("disk full")

    monkeypatch.setattr(Store, "write_progress", refuse)
    run = pretended_run(tmp_path, PretendedExecutor(done))
    run.run()
    assert 48 == run.progress().kinds["barrier"].done


def test_what_is_held_back_counts_as_failed_and_what_it_blocks_as_blocked(tmp_path: Path) -> None:
    """Items that a plan holds back are never run, and stand in the run's figures."""
    plan, _ = pretended_plan(tmp_path)
    first = plan.batches[0]
    held = frozenset(item.id for item in plan.items["network"])
    waiting = {kind: frozenset(item.id for item in plan.items[kind]) for kind in ("alignment", "barrier")}
    assert "network" == first.kind
    plan = dataclasses.replace(
        plan,
        batches=[],
        held_back={**plan.held_back, "network": held},
        blocked={**plan.blocked, **waiting},
    )
    executor = PretendedExecutor(done)
    run = pretended_run(tmp_path, executor, plan=plan)
    run.run()
    kinds = run.progress().kinds
    assert (12, 24, 48) == (kinds["network"].failed, kinds["alignment"].blocked, kinds["barrier"].blocked)
    assert [] == executor.submitted


def test_a_second_wish_cancels_what_runs_softly_then_by_force_and_waits_no_longer(tmp_path: Path) -> None:
    """What hangs is asked at once, forced after three seconds, each time once, and forgotten after eight."""
    stop = StopRequest()
    executor = PretendedExecutor(lambda task, attempt: None)
    run = pretended_run(tmp_path, executor, stop=stop)

    def ask(timeout: float) -> list[Completion]:
        executor.time.sleep(timeout)
        stop.reason, stop.cancel_running = "interrupted", executor.time.now() >= 1005.0
        return []

    executor.wait = ask  # type: ignore[method-assign]
    run.run()
    assert {False, True} == {force for _, _, force in executor.cancelled}
    assert len(executor.cancelled) == len({(key, force) for _, key, force in executor.cancelled})
    asked = min(when for when, _, force in executor.cancelled if not force)
    forced = min(when for when, _, force in executor.cancelled if force)
    assert 3.0 == pytest.approx(forced - asked, abs=0.6)
    assert 8.0 == pytest.approx(executor.forgotten[0][0] - asked, abs=0.6)
    assert (0, 0) == (run.progress().running, sum(k.failed for k in run.progress().kinds.values()))


def test_what_is_cancelled_is_no_failure(tmp_path: Path) -> None:
    """Tasks that end because the run was cancelled are neither retried nor counted."""
    stop = StopRequest()
    executor = PretendedExecutor(lambda task, attempt: (30.0, done(task)[1]))  # type: ignore[index]
    executor.ends_when_asked = True
    stop.cancel_running = True
    run = pretended_run(tmp_path, executor, stop=stop)
    run.run()
    assert "interrupted" == stop.reason
    assert {} == run.progress().attempts
    assert executor.cancelled
    assert len(executor.cancelled) == len(executor.submitted)


def test_a_wish_left_in_the_store_stops_the_run(tmp_path: Path) -> None:
    """``lmc-sweep cancel`` is heard within seconds: nothing new starts, what runs is finished."""
    stop = StopRequest()
    executor = PretendedExecutor(done, slots=1)
    run = pretended_run(tmp_path, executor, stop=stop)
    store = Store(tmp_path / "s")

    def cancelling(task: Task, attempt: Attempt) -> Answer:
        store.request_cancel("pretended", run.run_id)
        return 3.0, done(task)[1]  # type: ignore[index]

    executor.answer = cancelling
    run.run()
    assert CANCELLED == stop.reason
    assert 3 > len(executor.submitted)
    assert 0 < sum(k.done for k in run.progress().kinds.values())
    assert "stopped" == store.read_runs("pretended")[-1]["state"]


def test_a_cluster_that_is_gone_ends_the_run_in_order(tmp_path: Path) -> None:
    """The executor's word is the reason; nothing is given up, and the advice says that the run stopped."""
    stop, listener = StopRequest(), Listener()
    executor = PretendedExecutor(done)

    def gone(timeout: float) -> list[Completion]:
        raise ExecutorGone("the cluster is gone")

    executor.wait = gone  # type: ignore[method-assign]
    run = pretended_run(tmp_path, executor, stop=stop, listener=listener)
    run.run()
    assert "the cluster is gone" == stop.reason
    assert ([], 0) == (run.failures, run.progress().running)
    assert "stopped" == Store(tmp_path / "s").read_runs("pretended")[-1]["state"]


def test_a_driver_that_can_submit_nothing_waits_without_hurry(tmp_path: Path) -> None:
    """While a cluster has no room at all, it looks twice per second, not all the time."""
    executor, looks = PretendedExecutor(done), 0
    sleep = executor.time.sleep

    def counted(seconds: float) -> None:
        nonlocal looks
        looks += 1
        assert looks < 1000
        sleep(seconds)

    executor.has_room = lambda kind, running: executor.time.now() >= 1020.0  # type: ignore[method-assign]
    executor.time.sleep = counted  # type: ignore[method-assign]
    run = pretended_run(tmp_path, executor)
    run.run()
    assert 40 == pytest.approx(looks, abs=2)
    assert all_settled(run)
