"""The driver: keeps a bounded number of batches in flight and takes them in finishing order.

A batch becomes ready when every item that it requires exists, and is dropped when one of them failed.
The driver holds no results: a driver that dies loses nothing that had finished.
"""

from __future__ import annotations

import heapq
import itertools
import time
from collections import Counter, defaultdict
from dataclasses import dataclass, field, replace
from pathlib import Path

from lmc_sweep.execution.executor import Completion, Executor, Lost
from lmc_sweep.execution.progress import KindProgress, Progress, Reporter, StopRequest, advice
from lmc_sweep.execution.task import ItemFailure, Receipt, Task
from lmc_sweep.planning.batching import Batch
from lmc_sweep.planning.items import KINDS
from lmc_sweep.planning.plan import Plan
from lmc_sweep.store.store import Store

WINDOW_BEYOND_SLOTS = 1
"""Batches that wait at the executor, so that no slot is idle while the driver books a result."""
POLL_SECONDS = 0.5


@dataclass
class _Running:
    """A batch in flight."""

    batch: Batch
    attempt: int


@dataclass
class DriverState:
    """What the driver knows while it runs; nothing of it is needed to resume."""

    waiting: dict[str, list[Batch]] = field(default_factory=dict)
    """Batches by each id that they still wait for."""
    missing: dict[str, set[str]] = field(default_factory=dict)
    """Ids that each batch still waits for."""
    ready: list[tuple[tuple[float, ...], int, Batch, int]] = field(default_factory=list)
    running: dict[str, _Running] = field(default_factory=dict)
    unavailable: set[str] = field(default_factory=set)
    """Ids of items that failed or are blocked."""
    done: Counter[str] = field(default_factory=Counter)
    failed: Counter[str] = field(default_factory=Counter)
    blocked: Counter[str] = field(default_factory=Counter)
    estimated: dict[str, float] = field(default_factory=lambda: dict.fromkeys(KINDS, 0.0))
    measured: dict[str, float] = field(default_factory=lambda: dict.fromkeys(KINDS, 0.0))


class Driver:
    """Runs the batches of a plan on an executor."""

    def __init__(
        self,
        plan: Plan,
        store: Store,
        executor: Executor,
        reporter: Reporter,
        stop: StopRequest,
        max_failures: int | None = None,
    ) -> None:
        self._plan, self._store, self._executor, self._reporter, self._stop = (
            plan,
            store,
            executor,
            reporter,
            stop,
        )
        self._max_failures = max_failures
        self._serial = itertools.count()
        self._start = time.monotonic()
        self._last_advice = 0.0
        self.state = DriverState()

    def run(self) -> None:
        """Returns when every batch has ended, or when the stop request is set and nothing runs any more."""
        self._enqueue_all()
        self._reporter.started(self._plan, self._executor)
        while (self.state.ready and not self._stop.reason) or self.state.running:
            self._submit()
            for completion in self._executor.wait(POLL_SECONDS):
                self._complete(completion)
            self._tell(force=False)
        self._tell(force=True)

    def progress(self) -> Progress:
        """How far the run is now."""
        state = self.state
        kinds = {
            kind: KindProgress(
                total=len(self._plan.items[kind]),
                done=len(self._plan.done[kind]) + state.done[kind],
                failed=state.failed[kind],
                blocked=state.blocked[kind],
                estimated_seconds=state.estimated[kind],
                measured_seconds=state.measured[kind],
            )
            for kind in KINDS
        }
        elapsed = time.monotonic() - self._start
        return Progress(kinds, len(state.running), elapsed, self._eta())

    def _eta(self) -> float | None:
        """Seconds to the end, from the estimates that are left, scaled kind by kind by what was measured."""
        state = self.state
        if not sum(state.measured.values()):
            return None
        overall = sum(state.measured.values()) / max(sum(state.estimated.values()), 1e-9)
        left = 0.0
        for kind in KINDS:
            scale = state.measured[kind] / state.estimated[kind] if state.estimated[kind] else overall
            left += scale * max(self._plan.seconds(kind) - state.estimated[kind], 0.0)
        return left / max(self._executor.num_slots(KINDS[0]), 1)

    def _enqueue_all(self) -> None:
        """Sorts the batches into those that can run and those that wait."""
        state = self.state
        waiting: dict[str, list[Batch]] = defaultdict(list)
        to_do = {item.id for batch in self._plan.batches for item in batch.items}
        for batch in self._plan.batches:
            missing = {required for required in batch.requires if required in to_do}
            if missing:
                state.missing[batch.id] = missing
                for required in missing:
                    waiting[required].append(batch)
            else:
                self._enqueue(batch, attempt=1)
        state.waiting = dict(waiting)

    def _enqueue(self, batch: Batch, attempt: int) -> None:
        """Later kinds first, so that whole cells finish early; within a kind the longest first."""
        priority = (-KINDS.index(batch.kind), -batch.seconds)
        heapq.heappush(self.state.ready, (priority, next(self._serial), batch, attempt))

    def _submit(self) -> None:
        """Fills the window."""
        state = self.state
        while state.ready and not self._stop.reason:
            batch = state.ready[0][2]
            if len(state.running) >= max(self._executor.num_slots(batch.kind), 1) + WINDOW_BEYOND_SLOTS:
                return
            _, _, batch, attempt = heapq.heappop(state.ready)
            left = tuple(
                item for item in batch.items if not self.state.unavailable.intersection(item.requires)
            )
            if not left:
                continue
            execution = self._plan.sweep.execution
            task = Task(
                store_uri=str(self._store.path.resolve()),
                kind=batch.kind,
                items=left,
                num_threads=max(1, int(execution.resources(batch.kind)[0])),  # type: ignore[arg-type]
                import_path=str(Path.cwd()),
            )
            state.running[batch.id] = _Running(replace(batch, items=left), attempt)
            self._executor.submit(batch.id, task, attempt)

    def _complete(self, completion: Completion) -> None:
        """Books a batch that ended."""
        running = self.state.running.pop(completion.key)
        batch, outcome = running.batch, completion.outcome
        if isinstance(outcome, Lost):
            self._lost(batch, running.attempt, outcome)
            return
        kind = batch.kind
        self.state.done[kind] += len(outcome.done)
        self.state.estimated[kind] += batch.seconds
        self.state.measured[kind] += outcome.seconds
        if outcome.num_memory_splits:
            self._reporter.noticed(f"A {kind} batch of {len(batch.items)} ran out of memory and was halved.")
        for failure in outcome.failures:
            self._give_up(failure, running.attempt)
        self._release(outcome)

    def _lost(self, batch: Batch, attempt: int, lost: Lost) -> None:
        """Tries a batch again whose worker was lost, or gives its items up."""
        if attempt <= self._plan.sweep.execution.retries:
            self._reporter.noticed(
                f"A worker was lost ({lost.error_type}) with {len(batch.items)} {batch.kind} items; "
                f"attempt {attempt + 1} follows."
            )
            self._enqueue(batch, attempt + 1)
            return
        ids = tuple(item.id for item in batch.items)
        failure = ItemFailure(batch.kind, ids, lost.error_type, lost.message)
        self._give_up(failure, attempt)
        self._release(Receipt(done=(), failures=(failure,)))

    def _give_up(self, failure: ItemFailure, attempts: int) -> None:
        """Records items that failed for good."""
        self.state.failed[failure.kind] += len(failure.item_ids)
        self._store.commit(
            "failures",
            [
                {
                    "sweep": self._plan.sweep.name,
                    "kind": failure.kind,
                    "item_ids": list(failure.item_ids),
                    "error_type": failure.error_type,
                    "message": failure.message,
                    "traceback": failure.traceback,
                    "attempts": attempts,
                }
            ],
        )
        self._reporter.failed(failure, attempts)
        if self._max_failures is not None and sum(self.state.failed.values()) >= self._max_failures:
            self._stop.reason = self._stop.reason or f"--max-failures {self._max_failures} was reached"

    def _release(self, receipt: Receipt) -> None:
        """Lets the batches go whose last requirement has been met, or has failed."""
        failed = {item_id for failure in receipt.failures for item_id in failure.item_ids}
        self.state.unavailable |= failed
        available = set(receipt.done)
        settled = [*receipt.done, *failed]
        while settled:
            for batch in self.state.waiting.pop(settled.pop(), ()):
                missing = self.state.missing.get(batch.id)
                if missing is None:
                    continue  # released by another of the ids that settled with this one
                missing -= available | self.state.unavailable
                if missing:
                    continue
                del self.state.missing[batch.id]
                blocked = [i for i in batch.items if self.state.unavailable.intersection(i.requires)]
                newly = {item.id for item in blocked} - self.state.unavailable
                self.state.blocked[batch.kind] += len(newly)
                self.state.unavailable |= newly
                settled += newly
                if len(blocked) < len(batch.items):
                    self._enqueue(batch, attempt=1)

    def _tell(self, force: bool) -> None:
        """Tells the reporter, and leaves advice in the store for ``status``."""
        progress = self.progress()
        self._reporter.progressed(progress)
        now = time.monotonic()
        if force or now - self._last_advice > 1.0:
            self._last_advice = now
            self._store.write_progress(self._plan.sweep.name, advice(self._plan, progress, self._stop))
