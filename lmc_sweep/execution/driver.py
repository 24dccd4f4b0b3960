"""The driver: keeps a bounded number of batches in flight and takes them in finishing order.

It holds no results: a driver that dies loses nothing that had finished. It never waits for anything by
itself: pauses, deadlines and a store that is away are times at which to look again.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from uuid import uuid4

from lmc_sweep.errors import StoreError
from lmc_sweep.execution.attempts import Attempts, InFlight, Phase, deadline_seconds
from lmc_sweep.execution.clock import Clock
from lmc_sweep.execution.code import fingerprint
from lmc_sweep.execution.companions import Companions
from lmc_sweep.execution.executor import Attempt, Completion, Executor, ExecutorGone, Lost
from lmc_sweep.execution.heartbeat import Heartbeat
from lmc_sweep.execution.pace import Pace
from lmc_sweep.execution.patience import Patience
from lmc_sweep.execution.progress import Progress, Reporter, StopRequest
from lmc_sweep.execution.recording import Recorder
from lmc_sweep.execution.schedule import Schedule
from lmc_sweep.execution.sizing import resized
from lmc_sweep.execution.tally import Tally
from lmc_sweep.execution.task import ItemFailure, Receipt, Task
from lmc_sweep.execution.work import Next, Work, after, known, unfinished, unlimited
from lmc_sweep.planning.items import KINDS
from lmc_sweep.planning.plan import Plan
from lmc_sweep.store.store import Store

POLL_SECONDS = 0.5
CANCEL_FORCE_SECONDS = 3.0
"""From asking what runs to end to ending it, when a run is cancelled."""
CANCEL_FORGET_SECONDS = 8.0
"""From asking what runs to end to waiting for it no more, when a run is cancelled."""


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
        clock: Clock | None = None,
        patience_seconds: float | None = None,
    ) -> None:
        self.run_id = uuid4().hex
        """Names this run in the store."""
        self._plan, self._store, self._executor = plan, store, executor
        self._reporter, self._stop, self._max_failures = reporter, stop, max_failures
        self._clock = clock or Clock()
        self._schedule = Schedule(plan.batches)
        self._attempts = Attempts()
        self._tally = Tally(plan)
        self._pace = Pace(self._schedule.kind_of_group)
        self._recorder = Recorder(store, plan.sweep.name)
        self._companions = Companions(store, plan.sweep.name, self.run_id, self._clock.wall)
        self._heartbeat = Heartbeat(plan, store, executor, self.run_id, self._clock)
        self._patience = Patience(patience_seconds)
        self._workers_patience = Patience(patience_seconds)
        self._cancelled_at: float | None = None
        self._slots = {kind: executor.num_slots(kind) for kind in KINDS}
        self._template = Task(
            store_uri=str(store.path.resolve()),
            kind="",
            items=(),
            import_path=str(Path.cwd()),
            sweep=plan.sweep.name,
            run_id=self.run_id,
            code=fingerprint(),
        )

    @property
    def failures(self) -> list[ItemFailure]:
        """What was given up, in the order in which it happened; the first thousand."""
        return self._tally.failures

    def run(self) -> None:
        """Returns when every batch has ended, or when the stop request is set and nothing runs any more."""
        self._reporter.started(self._plan, self._executor)
        try:
            while self._is_needed():
                self._look_around()
                self._submit()
                for completion in self._wait():
                    self._complete(completion)
                self._press()
        except ExecutorGone as error:
            self._stop_for(str(error))
            self._attempts.drop_all()
        finally:
            self._flush(self._clock.now(), last=True)
            self._tell(force=True)

    def progress(self) -> Progress:
        """How far the run is now."""
        return self._heartbeat.progress(
            self._schedule, self._attempts, self._tally, self._pace, self._recorder.attempts, self._slots
        )

    def _is_needed(self) -> bool:
        """Whether anything runs, or may be run, or waits for a store that may come back."""
        if self._attempts:
            return True
        return not self._stop.reason and (bool(self._schedule) or self._patience.is_failing)

    # now and then

    def _look_around(self) -> None:
        """What is done about once per second: other runs, wishes to stop, rows that wait, telling."""
        now = self._clock.now()
        self._tell(force=False)
        if not self._heartbeat.is_due(now):
            return
        self._slots = {kind: self._executor.num_slots(kind) for kind in KINDS}
        self._pace.sample(now, self._tally.done)
        self._flush(now)
        if self._heartbeat.is_cancelled() and not self._stop.reason:
            self._stop_for(self._heartbeat.cancelled)
        if self._companions.should_reverse(now, self._schedule.is_reversed):
            self._schedule.reverse()
            self._reporter.noticed(
                "Another run of this sweep is under way: this one takes the batches from the other end."
            )
        self._heartbeat.beat(now, self.progress(), self._stop, self._schedule.is_reversed)

    def _tell(self, force: bool) -> None:
        """Tells the reporter a few times per second; at the end the store too."""
        now = self._clock.now()
        if force or self._heartbeat.should_tell(now):
            progress = self.progress()
            self._reporter.progressed(progress)
            if force:
                self._heartbeat.beat(now, progress, self._stop, self._schedule.is_reversed)

    def _flush(self, now: float, last: bool = False) -> None:
        """Writes what the driver has to say, unless the store pauses."""
        if not self._recorder or (now < self._patience.pause_ends and not last):
            return
        message = self._recorder.flush()
        if message is None:
            if self._patience.worked():
                self._reporter.noticed("The store can be written again.")
            return
        self._store_failed(self._patience, now, f"The store cannot be written: {message.rstrip('.')}")

    def _store_failed(self, patience: Patience, now: float, message: str) -> None:
        """Books that the store could not be used, tells so once, and stops in order when that lasts."""
        pause = patience.failed(now, message)
        if pause is not None:
            self._reporter.noticed(f"{message}; trying again in {pause:g} s")
        if patience.is_over:
            self._stop_for(f"the store was of no use for {patience.limit_seconds:g} s. {message}")

    def _stop_for(self, reason: str) -> None:
        """Asks to stop in order; the first reason stays."""
        if not self._stop.reason:
            self._stop.reason = reason
            self._reporter.noticed(f"Stopping in order: {reason}")

    # submitting

    def _submit(self) -> None:
        """Fills the executor up, unless the store is away."""
        now = self._clock.now()
        self._schedule.release(now)
        if self._patience.is_failing or now < self._workers_patience.pause_ends:
            return
        while not self._stop.reason:
            work = self._schedule.take(lambda kind: self._executor.has_room(kind, self._attempts.room))
            if work is None:
                return
            wanted = self._without_held(self._sized(work))
            if wanted is not None:
                self._start(wanted)

    def _sized(self, work: Work) -> Work:
        """The work in a size that suits what was measured until now."""
        scale = self._pace.scale(work.group)
        if scale is None:
            return work
        kind = work.batch.kind
        return resized(
            work,
            self._schedule,
            scale,
            self._slots[kind],
            self._plan.sweep.execution.max_stack_bytes,
            self._plan.rates.seconds,
            self._num_threads(kind),
        )

    def _without_held(self, work: Work) -> Work | None:
        """The work without what another run has stored by now; None where nothing is left of it."""
        batch = work.batch
        if not self._companions.any_alive:
            return work
        held = self._companions.held(batch.kind, [item.id for item in batch.items], self._clock.now)
        if not held:
            return work
        self._tally.done[batch.kind] += len(held)
        self._settle(held, ())
        left = tuple(item for item in batch.items if item.id not in held)
        if not left:
            return None
        share = len(left) / len(batch.items)
        return work.with_batch(replace(batch, items=left, seconds=share * batch.seconds))

    def _start(self, work: Work) -> None:
        """Submits one attempt."""
        execution, kind = self._plan.sweep.execution, work.batch.kind
        deadline = deadline_seconds(work, self._pace.scale(work.group) or 1.0, execution.min_deadline_seconds)
        entry = self._attempts.begin(work, self._clock.now(), deadline, self._slots[kind])
        task = replace(
            self._template,
            kind=kind,
            items=work.batch.items,
            num_threads=self._num_threads(kind),
            max_stack_bytes=execution.max_stack_bytes / work.share,
            key=entry.key,
        )
        self._executor.submit(entry.key, task, Attempt(work.number, deadline, float(work.share)))

    def _num_threads(self, kind: str) -> int:
        num_cpus, _ = self._plan.sweep.execution.resources(kind)  # type: ignore[arg-type]
        return max(1, int(num_cpus))

    # what comes back

    def _wait(self) -> list[Completion]:
        """What has ended; waits for it a little while."""
        if self._attempts:
            return self._executor.wait(POLL_SECONDS)
        if not self._stop.reason:
            self._clock.sleep(self._idle_seconds())
        return []

    def _idle_seconds(self) -> float:
        """How long nothing can happen while nothing runs."""
        now = self._clock.now()
        due = self._schedule.release(now)
        ends = [self._workers_patience.pause_ends, self._patience.pause_ends, due or 0.0]
        ahead = [end - now for end in ends if end > now]
        return min(POLL_SECONDS, *ahead) if ahead else 0.0

    def _complete(self, completion: Completion) -> None:
        """Books an attempt that ended; one that was given up for lost is not waited for any more."""
        entry = self._attempts.end(completion.key)
        if entry is None:
            return
        outcome = completion.outcome
        if isinstance(outcome, Receipt):
            self._book(entry, outcome)
        elif entry.phase is Phase.RUNNING:
            self._lost(entry, outcome)
        elif self._cancelled_at is None:
            self._expired(entry)

    def _book(self, entry: InFlight, receipt: Receipt) -> None:
        """Counts what is done, and decides about what failed."""
        work = entry.work
        scale = self._pace.scale(work.group) or 1.0
        self._tally.ended(entry, receipt, scale * work.batch.seconds)
        if len(receipt.done) > receipt.num_held and self._workers_patience.worked():
            self._reporter.noticed("The store can be used by the workers again.")
        if not receipt.failures and not receipt.num_held:
            self._pace.ended(work.group, work.batch.seconds, receipt.seconds)
        if receipt.num_memory_splits:
            self._reporter.noticed(
                f"A {work.batch.kind} batch of {len(work.batch.items)} ran out of memory and was halved."
            )
        self._settle(receipt.done, ())
        together: dict[tuple[str, str], list[ItemFailure]] = defaultdict(list)
        for number, failure in enumerate(receipt.failures):
            cause = known(failure.cause)
            alone = str(number) if cause.escalates or cause.max_attempts == 1 else ""
            together[cause.name, alone].append(failure)
        for failures in together.values():
            ids = tuple(item_id for failure in failures for item_id in failure.item_ids)
            self._ended(entry, replace(failures[0], item_ids=ids), is_known=True)

    def _lost(self, entry: InFlight, lost: Lost) -> None:
        """Decides about a batch whose worker was lost."""
        batch = entry.work.batch
        cause = known(lost.cause)
        ids = tuple(item.id for item in batch.items)
        self._ended(
            entry, ItemFailure(batch.kind, ids, lost.error_type, lost.message, cause=cause.name), False
        )

    # attempts without results

    def _ended(self, entry: InFlight, failure: ItemFailure, is_known: bool) -> None:
        """Decides what follows an attempt that ended without the results of some items.

        ``is_known``: a receipt says which items failed; of a lost worker's, some may be stored.
        """
        cause, now = known(failure.cause), self._clock.now()
        work = _narrowed(entry.work, failure.item_ids)
        self._recorder.ended(failure, work.number, now - entry.since)
        if cause.name == "version":
            self._stop_for(failure.message)
            return
        following = after(work, cause, self._plan.sweep.execution.retries)
        if cause.name == "store":
            if self._workers_patience.is_failing:  # nothing was stored since: no item is to blame
                following = unlimited(work, cause)
            message = f"A worker cannot use the store: {failure.message.rstrip('.')}"
            self._store_failed(self._workers_patience, now, message)
        if following.work:
            self._follow(following, failure, now)
        elif is_known:
            self._give_up(failure, work.number)
        else:
            self._give_up_missing(failure, work.number)

    def _follow(self, following: Next, failure: ItemFailure, now: float) -> None:
        """Adds the work that follows, and says so, except of a store: that is said once."""
        if failure.cause != "store":
            halved = len(following.work) > 1
            then = "two halves follow" if halved else f"attempt {following.work[0].number} follows"
            pause = f" in {following.delay_seconds:g} s" if following.delay_seconds else ""
            self._reporter.noticed(
                f"{_CAPTIONS.get(failure.cause, 'A worker was lost')} ({failure.error_type}) with "
                f"{len(failure.item_ids)} {failure.kind} items; {then}{pause}."
            )
        for work in following.work:
            self._schedule.add_later(work, now + following.delay_seconds)

    def _give_up_missing(self, failure: ItemFailure, attempts: int) -> None:
        """Gives up what the store does not hold: the worker may have died after its commit."""
        held = self._held(failure)
        if held:
            self._tally.done[failure.kind] += len(held)
            self._settle(held, ())
        gone = tuple(item_id for item_id in failure.item_ids if item_id not in held)
        if gone:
            self._give_up(replace(failure, item_ids=gone), attempts)

    def _held(self, failure: ItemFailure) -> set[str]:
        try:
            return self._store.held(failure.kind, failure.item_ids)
        except (StoreError, OSError):
            return set()

    def _give_up(self, failure: ItemFailure, attempts: int) -> None:
        """Records items that failed for good, and lets go what waited for them."""
        self._recorder.failed(failure, attempts)
        self._tally.gave_up(replace(failure, traceback=""))
        self._settle((), failure.item_ids)
        self._reporter.failed(failure, attempts)
        if self._max_failures is not None and self._tally.num_failed >= self._max_failures:
            self._stop_for(f"--max-failures {self._max_failures} was reached")

    def _settle(self, done: Sequence[str] | set[str], given_up: Sequence[str]) -> None:
        self._tally.blocked += self._schedule.settle(done, given_up)

    # attempts that take too long

    def _press(self) -> None:
        """Presses what is past its deadline to end; all that runs, where the run is cancelled."""
        now = self._clock.now()
        if not self._stop.cancel_running:
            for entry in self._attempts.press(now, self._executor):
                self._expired(entry)
        elif self._cancelled_at is None:
            self._stop_for("interrupted")
            self._cancelled_at = now
            self._attempts.cancel_all(self._executor, force=False)
        elif now - self._cancelled_at >= CANCEL_FORGET_SECONDS:
            self._attempts.forget_all(self._executor)
        elif now - self._cancelled_at >= CANCEL_FORCE_SECONDS:
            self._attempts.cancel_all(self._executor, force=True)

    def _expired(self, entry: InFlight) -> None:
        """Decides about an attempt that its deadline ended."""
        batch, seconds = entry.work.batch, entry.deadline_seconds
        ids = tuple(item.id for item in batch.items)
        if entry.is_started:
            message = f"had not ended after {seconds:.0f} s, its deadline"
            self._ended(
                entry, ItemFailure(batch.kind, ids, "DeadlineExceeded", message, cause="deadline"), False
            )
            return
        now = self._clock.now()
        message = f"no worker had begun it after {now - entry.since:.0f} s"
        never = ItemFailure(batch.kind, ids, "NeverStarted", message, cause="deadline")
        self._recorder.ended(never, entry.work.number, now - entry.since)
        self._reporter.noticed(
            f"A {batch.kind} batch was begun by no worker within {now - entry.since:.0f} s: no machine has "
            "room for it, or the one that took it does not answer. It is submitted anew."
        )
        for work in unfinished(entry.work).work:
            self._schedule.add(work)


_CAPTIONS = {
    "host_memory": "The machine's memory ran out",
    "device_memory": "The GPU's memory ran out",
    "device_error": "The GPU reported an error",
    "deadline": "A deadline passed",
}


def _narrowed(work: Work, item_ids: Sequence[str]) -> Work:
    """The work with these of its items alone."""
    batch = work.batch
    if len(item_ids) == len(batch.items):
        return work
    wanted = set(item_ids)
    items = tuple(item for item in batch.items if item.id in wanted)
    share = len(items) / len(batch.items)
    return work.with_batch(replace(batch, items=items, seconds=share * batch.seconds))
