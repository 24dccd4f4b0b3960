"""The driver: keeps a bounded number of batches in flight and takes them in finishing order.

It holds no results: a driver that dies loses nothing that had finished. What it writes itself, failures
and advice, may fail to be written without ending the run.
"""

from __future__ import annotations

import time
from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from uuid import uuid4

from lmc_sweep.errors import StoreError
from lmc_sweep.execution.executor import Attempt, Completion, Executor, Lost
from lmc_sweep.execution.progress import KindProgress, Progress, Reporter, StopRequest, advice
from lmc_sweep.execution.schedule import Schedule
from lmc_sweep.execution.task import ItemFailure, Receipt, Task
from lmc_sweep.planning.batching import Batch
from lmc_sweep.planning.items import KINDS
from lmc_sweep.planning.plan import Plan
from lmc_sweep.store.store import Store

POLL_SECONDS = 0.5
ADVICE_SECONDS = 1.0


@dataclass
class _Running:
    """A batch in flight."""

    batch: Batch
    attempt: int


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
        self.run_id = uuid4().hex
        """Names this run in the store."""
        self._plan, self._store, self._executor = plan, store, executor
        self._reporter, self._stop, self._max_failures = reporter, stop, max_failures
        self._schedule = Schedule(plan.batches)
        self._running: dict[str, _Running] = {}
        self._done: Counter[str] = Counter()
        self._blocked: Counter[str] = Counter()
        self._estimated = dict.fromkeys(KINDS, 0.0)
        self._measured = dict.fromkeys(KINDS, 0.0)
        self._start = time.monotonic()
        self._last_advice = 0.0
        self.failures: list[ItemFailure] = []
        """What was given up, in the order in which it happened."""

    def run(self) -> None:
        """Returns when every batch has ended, or when the stop request is set and nothing runs any more."""
        self._reporter.started(self._plan, self._executor)
        while self._running or (self._schedule and not self._stop.reason):
            self._submit()
            for completion in self._executor.wait(POLL_SECONDS):
                self._complete(completion)
            self._tell(force=False)
        self._tell(force=True)

    def progress(self) -> Progress:
        """How far the run is now."""
        failed = Counter[str]()
        for failure in self.failures:
            failed[failure.kind] += len(failure.item_ids)
        kinds = {
            kind: KindProgress(
                total=len(self._plan.items[kind]),
                done=len(self._plan.done[kind]) + self._done[kind],
                failed=failed[kind],
                blocked=self._blocked[kind],
                estimated_seconds=self._estimated[kind],
                measured_seconds=self._measured[kind],
            )
            for kind in KINDS
        }
        return Progress(kinds, len(self._running), time.monotonic() - self._start, self._eta())

    def _eta(self) -> float | None:
        """Seconds to the end, from the estimates that are left, scaled kind by kind by what was measured."""
        measured, estimated = self._measured, self._estimated
        if not sum(measured.values()):
            return None
        overall = sum(measured.values()) / max(sum(estimated.values()), 1e-9)
        left = 0.0
        for kind in KINDS:
            scale = measured[kind] / estimated[kind] if estimated[kind] else overall
            seconds = scale * max(self._plan.seconds(kind) - estimated[kind], 0.0)
            left += seconds / max(self._executor.num_slots(kind), 1)
        return left

    def _submit(self) -> None:
        """Fills the executor up."""
        while not self._stop.reason:
            running = Counter(entry.batch.kind for entry in self._running.values())
            taken = self._schedule.take(lambda kind, now=running: self._executor.has_room(kind, now))  # type: ignore[misc]
            if taken is None:
                return
            batch, attempt = taken
            num_cpus, _ = self._plan.sweep.execution.resources(batch.kind)  # type: ignore[arg-type]
            task = Task(
                store_uri=str(self._store.path.resolve()),
                kind=batch.kind,
                items=batch.items,
                num_threads=max(1, int(num_cpus)),
                max_stack_bytes=self._plan.sweep.execution.max_stack_bytes,
                import_path=str(Path.cwd()),
            )
            self._running[batch.id] = _Running(batch, attempt)
            self._executor.submit(batch.id, task, Attempt(attempt))

    def _complete(self, completion: Completion) -> None:
        """Books a batch that ended."""
        entry = self._running.pop(completion.key)
        if isinstance(completion.outcome, Lost):
            self._lost(entry.batch, entry.attempt, completion.outcome)
        else:
            self._book(entry.batch, entry.attempt, completion.outcome)

    def _book(self, batch: Batch, attempts: int, receipt: Receipt) -> None:
        """Counts what is done, gives up what failed, and lets go what waited for either."""
        self._done[batch.kind] += len(receipt.done)
        self._estimated[batch.kind] += batch.seconds
        self._measured[batch.kind] += receipt.seconds
        if receipt.num_memory_splits:
            self._reporter.noticed(
                f"A {batch.kind} batch of {len(batch.items)} ran out of memory and was halved."
            )
        for failure in receipt.failures:
            self._give_up(failure, attempts)
        failed = [item_id for failure in receipt.failures for item_id in failure.item_ids]
        self._blocked += self._schedule.settle(receipt.done, failed)

    def _lost(self, batch: Batch, attempt: int, lost: Lost) -> None:
        """Tries a batch again whose worker was lost; in halves, where that may be what helps.

        Memory that runs out calls for a smaller stack at once. A batch that was lost more often than
        ``execution.retries`` allows is halved too, until the item that ends its workers stands alone.
        """
        retries = self._plan.sweep.execution.retries
        what = f"A worker was lost ({lost.error_type}) with {len(batch.items)} {batch.kind} items"
        if len(batch.items) > 1 and (lost.cause == "host_memory" or attempt > retries):
            self._reporter.noticed(f"{what}; two halves follow.")
            middle = len(batch.items) // 2
            for part in (batch.items[:middle], batch.items[middle:]):
                share = len(part) / len(batch.items)
                self._schedule.add(replace(batch, items=part, seconds=share * batch.seconds), attempt)
        elif attempt <= retries:
            self._reporter.noticed(f"{what}; attempt {attempt + 1} follows.")
            self._schedule.add(batch, attempt + 1)
        else:
            held = self._store.ids(batch.kind)  # the worker may have died after its commit
            done = tuple(item.id for item in batch.items if item.id in held)
            gone = tuple(item.id for item in batch.items if item.id not in held)
            failures = (
                (ItemFailure(batch.kind, gone, lost.error_type, lost.message, cause=lost.cause),)
                if gone
                else ()
            )
            self._book(batch, attempt, Receipt(done, failures))

    def _give_up(self, failure: ItemFailure, attempts: int) -> None:
        """Records items that failed for good; a store that cannot be written stops the run in order."""
        self.failures.append(failure)
        row = {
            "sweep": self._plan.sweep.name,
            "kind": failure.kind,
            "item_ids": list(failure.item_ids),
            "error_type": failure.error_type,
            "message": failure.message,
            "traceback": failure.traceback,
            "attempts": attempts,
            "cause": failure.cause,
        }
        try:
            self._store.commit("failures", [row])
        except StoreError as error:
            self._stop.reason = self._stop.reason or f"the store cannot be written: {error}"
            self._reporter.noticed(f"A failure could not be recorded: {error}")
        self._reporter.failed(failure, attempts)
        num_failed = sum(len(known.item_ids) for known in self.failures)
        if self._max_failures is not None and num_failed >= self._max_failures:
            self._stop.reason = self._stop.reason or f"--max-failures {self._max_failures} was reached"

    def _tell(self, force: bool) -> None:
        """Tells the reporter, and leaves advice in the store for ``status``."""
        progress = self.progress()
        self._reporter.progressed(progress)
        now = time.monotonic()
        if not force and now - self._last_advice < ADVICE_SECONDS:
            return
        self._last_advice = now
        try:
            self._store.write_progress(
                self._plan.sweep.name, self.run_id, advice(self._plan, progress, self._stop)
            )
        except StoreError:
            return  # advice only: ``status`` then counts without an ETA
