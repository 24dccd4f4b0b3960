"""The driver: keeps a bounded number of batches in flight and takes them in finishing order.

It holds no results: a driver that dies loses nothing that had finished. It never waits for anything by
itself: pauses, deadlines and a store that is away are times at which to look again.
"""

from __future__ import annotations

from pathlib import Path
from uuid import uuid4

from lmc_sweep.execution.attempts import Attempts
from lmc_sweep.execution.clock import Clock
from lmc_sweep.execution.code import fingerprint
from lmc_sweep.execution.companions import Companions
from lmc_sweep.execution.dispatch import Dispatch
from lmc_sweep.execution.executor import Completion, Executor, ExecutorGone, OnNodes
from lmc_sweep.execution.heartbeat import Heartbeat
from lmc_sweep.execution.in_flight import Phase
from lmc_sweep.execution.outcomes import Outcomes
from lmc_sweep.execution.pace import Pace
from lmc_sweep.execution.patience import Patience, store_failed
from lmc_sweep.execution.progress import Progress, Reporter, StopRequest, stop_in_order
from lmc_sweep.execution.recording import Recorder
from lmc_sweep.execution.schedule import Schedule
from lmc_sweep.execution.tally import Tally
from lmc_sweep.execution.task import ItemFailure, Receipt, Task
from lmc_sweep.execution.work import Work
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
        self._reporter, self._stop = reporter, stop
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
        self._outcomes = Outcomes(
            store,
            self._schedule,
            self._tally,
            self._pace,
            self._recorder,
            self._workers_patience,
            reporter,
            stop,
            self._clock,
            plan.sweep.execution.retries,
            max_failures,
        )
        self._cancelled_at: float | None = None
        template = Task(
            store_uri=store.files.address,
            kind="",
            items=(),
            import_path=str(Path.cwd()),
            sweep=plan.sweep.name,
            run_id=self.run_id,
            code=fingerprint(),
            marker=store.terms.marker,
        )
        self._dispatch = Dispatch(
            plan, executor, self._schedule, self._attempts, self._pace, self._clock, template
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
                self._tell()  # before the wait: of a batch in this process nothing is told until it ends
                for completion in self._wait():
                    self._complete(completion)
                self._press()
        except ExecutorGone as error:
            stop_in_order(self._stop, self._reporter, str(error))
            self._attempts.drop_all()
        finally:
            self._flush(self._clock.now(), last=True)
            self._tell(is_over=True)

    def progress(self) -> Progress:
        """How far the run is now."""
        return self._heartbeat.progress(
            self._schedule,
            self._attempts,
            self._tally,
            self._pace,
            self._recorder.attempts,
            self._dispatch.slots_of_kinds(),
        )

    def _is_needed(self) -> bool:
        """Whether anything runs, or may be run, or waits for a store that may come back."""
        if self._attempts:
            return True
        return not self._stop.reason and (bool(self._schedule) or self._recorder.has_failures)

    # now and then

    def _look_around(self) -> None:
        """What is done about once per second: other runs, wishes to stop, rows that wait."""
        now = self._clock.now()
        if not self._attempts and not self._schedule:
            self._flush(now)
        if not self._heartbeat.is_due(now):
            return
        self._dispatch.look()
        self._pace.sample(now, self._tally.done)
        self._flush(now)
        if self._heartbeat.is_cancelled() and not self._stop.reason:
            stop_in_order(self._stop, self._reporter, self._heartbeat.cancelled)
        if self._companions.should_reverse(now, self._schedule.is_reversed):
            self._schedule.reverse()
            self._reporter.noticed(
                "Another run of this sweep is under way: this one takes the batches from the other end."
            )

    def _tell(self, is_over: bool = False) -> None:
        """Tells the reporter a few times per second, the store about once; both at the end."""
        now = self._clock.now()
        shows, beats = is_over or self._heartbeat.should_tell(now), is_over or self._heartbeat.is_due(now)
        if not (shows or beats):
            return
        progress = self.progress()
        if shows:
            self._reporter.progressed(progress)
        if beats and isinstance(self._executor, OnNodes):
            self._executor.tell_metrics(self._plan.sweep.name, progress, self._dispatch.slots_of_kinds())
        if beats:
            self._heartbeat.beat(
                now,
                progress,
                self._stop,
                self._dispatch.slots_of_kinds(),
                self._schedule.is_reversed,
                is_over,
            )

    def _flush(self, now: float, last: bool = False) -> None:
        """Writes what the driver has to say, unless the store pauses."""
        if not self._recorder or (now < self._patience.pause_ends and not last):
            return
        message = self._recorder.flush()
        if message is None:
            if self._patience.worked():
                self._reporter.noticed("The store can be written again.")
            return
        told = f"The store cannot be written: {message.rstrip('.')}"
        store_failed(self._patience, now, told, self._reporter, self._stop)

    # submitting

    def _submit(self) -> None:
        """Fills the executor up, unless the store is away."""
        now = self._clock.now()
        self._schedule.release(now)
        if self._patience.is_failing or now < self._workers_patience.pause_ends:
            return
        while not self._stop.reason and self._dispatch.submit(self._without_held):
            pass

    def _without_held(self, work: Work) -> Work | None:
        """The work without what another run has stored by now; None where nothing is left of it."""
        if not self._companions.any_alive:
            return work
        kind, ids = work.batch.kind, [item.id for item in work.batch.items]
        held = self._companions.held(kind, ids, self._clock.now)
        self._tally.done[kind] += len(held)
        self._outcomes.settle(held, ())
        left = [item_id for item_id in ids if item_id not in held]
        return work.only(left) if left else None

    # what comes back

    def _wait(self) -> list[Completion]:
        """What has ended; waits for it a little while."""
        if self._attempts:
            return self._executor.wait(POLL_SECONDS)
        if not self._stop.reason:
            self._clock.sleep(self._idle_seconds())
        return []

    def _idle_seconds(self) -> float:
        """How long nothing can happen while nothing runs: no pause ends, and nobody has room."""
        now = self._clock.now()
        due = self._schedule.release(now)
        ends = [self._workers_patience.pause_ends, self._patience.pause_ends, due or 0.0]
        ahead = [end - now for end in ends if end > now]
        return min([POLL_SECONDS, *ahead]) if ahead or self._schedule else 0.0

    def _complete(self, completion: Completion) -> None:
        """Books an attempt that ended; one that was given up for lost is not waited for any more."""
        entry = self._attempts.end(completion.key, self._clock.now())
        if entry is None:
            return
        outcome = completion.outcome
        self._dispatch.ended(entry, outcome if isinstance(outcome, Receipt) else None)
        if isinstance(outcome, Receipt):
            self._outcomes.book(entry, outcome)
        elif entry.phase is Phase.RUNNING:
            self._outcomes.lost(entry, outcome)
        elif self._cancelled_at is None:
            self._outcomes.expired(entry)

    # attempts that take too long

    def _press(self) -> None:
        """Presses what is past its deadline to end; all that runs, where the run is cancelled."""
        now = self._clock.now()
        if not self._stop.cancel_running:
            for entry in self._attempts.press(now, self._executor):
                self._outcomes.expired(entry)
        elif self._cancelled_at is None:
            stop_in_order(self._stop, self._reporter, "interrupted")
            self._cancelled_at = now
            self._attempts.cancel_all(self._executor, force=False)
        elif now - self._cancelled_at >= CANCEL_FORGET_SECONDS:
            self._attempts.forget_all(now, self._executor)
        elif now - self._cancelled_at >= CANCEL_FORCE_SECONDS:
            self._attempts.cancel_all(self._executor, force=True)
