"""The driver on an executor that is only pretended: order, retries, dependencies, failures, stopping."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

from lmc_sweep.config import parse_sweep
from lmc_sweep.errors import StoreError
from lmc_sweep.execution.driver import Driver
from lmc_sweep.execution.executor import Attempt, Completion, Lost
from lmc_sweep.execution.progress import StopRequest
from lmc_sweep.execution.run import SilentReporter
from lmc_sweep.execution.task import ItemFailure, Receipt, Task
from lmc_sweep.planning.plan import make_plan
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


class PretendedExecutor:
    """Ends the oldest task at every wait, as ``outcomes`` says for its kind, else well."""

    description = "pretended"

    def __init__(self, slots: int = 2) -> None:
        self.slots = slots
        self.submitted: list[tuple[str, Task, int]] = []
        self.queue: list[tuple[str, Task, int]] = []
        self.largest_queue = 0
        self.lose: dict[str, int] = {}
        self.fail: set[str] = set()
        self.deadly: set[str] = set()
        self.lost_as = "worker_died"
        self.memory_items: int | None = None

    def num_slots(self, kind: str) -> int:
        return self.slots

    def has_room(self, kind: str, running: Mapping[str, int]) -> bool:
        return sum(running.values()) <= self.slots

    def submit(self, key: str, task: Task, attempt: Attempt) -> None:
        self.submitted.append((key, task, attempt.number))
        self.queue.append((key, task, attempt.number))
        self.largest_queue = max(self.largest_queue, len(self.queue))

    def wait(self, timeout: float) -> list[Completion]:
        key, task, attempt = self.queue.pop(0)
        too_large = self.memory_items is None or len(task.items) > self.memory_items
        if attempt <= self.lose.get(task.kind, 0) and too_large:
            return [Completion(key, Lost(self.lost_as, "GoneError", "gone"))]
        if not self.deadly.isdisjoint(item.id for item in task.items):
            return [Completion(key, Lost(self.lost_as, "GoneError", "gone"))]
        bad = tuple(item.id for item in task.items if item.id in self.fail)
        good = tuple(item.id for item in task.items if item.id not in self.fail)
        failures = (ItemFailure(task.kind, bad, "ValueError", "bad"),) if bad else ()
        return [Completion(key, Receipt(done=good, failures=failures, seconds=1.0))]

    def cancel(self, key: str, *, force: bool) -> None:
        raise AssertionError("nothing is cancelled here")

    def forget(self, key: str) -> None:
        raise AssertionError("nothing is forgotten here")

    def is_started(self, key: str) -> bool:
        return True

    def close(self) -> None:
        pass


def driver(path: Path, executor: PretendedExecutor, max_failures: int | None = None) -> Driver:
    """A driver for the whole sweep on an empty store."""
    store = Store.create(path / "s")
    plan = make_plan(SWEEP, store, executor.slots)
    return Driver(plan, store, executor, SilentReporter(), StopRequest(), max_failures)


def test_every_batch_is_submitted_once_and_after_what_it_requires(tmp_path: Path) -> None:
    """Twelve networks, 24 alignments, 48 barriers; no item before its inputs."""
    executor = PretendedExecutor()
    run = driver(tmp_path, executor)
    run.run()
    ready: set[str] = set()
    for _, task, _ in executor.submitted:
        required = {r for item in task.items for r in item.requires}
        assert required <= ready
        ready |= {item.id for item in task.items}
    assert {"network": 12, "alignment": 24, "barrier": 48} == {
        k: p.done for k, p in run.progress().kinds.items()
    }
    assert len(executor.submitted) == len({key for key, _, _ in executor.submitted})


def test_the_window_is_bounded(tmp_path: Path) -> None:
    """No more batches in flight than slots and one."""
    executor = PretendedExecutor(slots=2)
    driver(tmp_path, executor).run()
    assert executor.largest_queue == 3


@pytest.mark.parametrize(("lost_attempts", "failed"), [(1, 0), (2, 0), (3, 12)])
def test_lost_batches_are_retried_up_to_the_limit(tmp_path: Path, lost_attempts: int, failed: int) -> None:
    """With two retries, two losses are survived; a third gives each item up once it stands alone."""
    executor = PretendedExecutor()
    executor.lose = {"network": lost_attempts}
    run = driver(tmp_path, executor)
    run.run()
    assert failed == run.progress().kinds["network"].failed
    store = Store(tmp_path / "s")
    assert failed == sum(len(ids) for (ids,) in store.failures().project("item_ids").fetchall())


def test_what_a_failure_blocks_is_counted_and_not_run(tmp_path: Path) -> None:
    """One network fails: the alignments and barriers that need it never start, the others all do."""
    executor = PretendedExecutor()
    run = driver(tmp_path, executor)
    victim = run._plan.items["network"][0]
    executor.fail = {victim.id}
    run.run()
    kinds = run.progress().kinds
    needing = [item for item in run._plan.items["alignment"] if victim.id in item.requires]
    assert (1, len(needing), 2 * len(needing)) == (
        kinds["network"].failed,
        kinds["alignment"].blocked,
        kinds["barrier"].blocked,
    )
    submitted = {item.id for _, task, _ in executor.submitted for item in task.items}
    assert submitted.isdisjoint(item.id for item in needing)
    assert all(k.done + k.failed + k.blocked == k.total for k in kinds.values())


def test_max_failures_stops_in_order(tmp_path: Path) -> None:
    """After the first failure nothing new is submitted; the run says why it stopped."""
    executor = PretendedExecutor(slots=1)
    run = driver(tmp_path, executor, max_failures=1)
    executor.fail = {item.id for item in run._plan.items["network"]}
    run.run()
    assert run._stop.reason is not None
    assert "--max-failures 1" in run._stop.reason
    assert len(executor.submitted) < len(run._plan.batches)
    assert [] == executor.queue


def test_progress_has_an_eta_once_something_was_measured(tmp_path: Path) -> None:
    """No ETA before the first batch, zero after the last."""
    run = driver(tmp_path, PretendedExecutor())
    assert run.progress().eta_seconds is None
    run.run()
    assert run.progress().eta_seconds == pytest.approx(0.0, abs=1e-6)


def test_an_item_that_ends_its_workers_is_isolated(tmp_path: Path) -> None:
    """Batches that hold one network always lose their worker; all other networks are done."""
    executor = PretendedExecutor()
    run = driver(tmp_path, executor)
    victim = run._plan.items["network"][0].id
    executor.deadly = {victim}
    run.run()
    assert {victim} == {item_id for failure in run.failures for item_id in failure.item_ids}
    assert (11, 1) == (run.progress().kinds["network"].done, run.progress().kinds["network"].failed)


def test_memory_that_runs_out_on_the_host_halves_at_once(tmp_path: Path) -> None:
    """The first loss to the memory monitor is answered with smaller batches, not with the same one."""
    executor = PretendedExecutor()
    executor.lose = {"network": 1}
    executor.lost_as = "host_memory"
    run = driver(tmp_path, executor)
    executor.memory_items = 2
    run.run()
    assert 12 == run.progress().kinds["network"].done
    assert [] == run.failures


def test_a_worker_lost_after_its_commit_fails_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results that are in the store count as done, whatever became of the worker."""
    executor = PretendedExecutor()
    executor.lose = {"barrier": 99}
    run = driver(tmp_path, executor)
    stored = {item.id for item in run._plan.items["barrier"]}
    monkeypatch.setattr(Store, "ids", lambda self, kind: stored if kind == "barrier" else set())
    run.run()
    assert 48 == run.progress().kinds["barrier"].done
    assert [] == run.failures


def test_advice_that_cannot_be_written_ends_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """progress.json is advice: a run goes on without it."""

    def refuse(*arguments: object) -> None:
        raise StoreError("disk full")

    monkeypatch.setattr(Store, "write_progress", refuse)
    run = driver(tmp_path, PretendedExecutor())
    run.run()
    assert 48 == run.progress().kinds["barrier"].done


def test_a_failure_that_cannot_be_recorded_stops_in_order(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that refuses records ends the run with a reason, not with an error."""

    def refuse(*arguments: object) -> None:
        raise StoreError("disk full")

    executor = PretendedExecutor(slots=1)
    run = driver(tmp_path, executor)
    executor.fail = {item.id for item in run._plan.items["network"]}
    monkeypatch.setattr(Store, "commit", refuse)
    run.run()
    assert run._stop.reason is not None
    assert "disk full" in run._stop.reason
    assert run.failures
