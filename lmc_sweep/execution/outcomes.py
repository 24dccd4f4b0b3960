"""What becomes of a batch when its attempt is over: counted, tried again another way, or given up."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from dataclasses import replace

from lmc_sweep.errors import StoreError
from lmc_sweep.execution.clock import Clock
from lmc_sweep.execution.executor import Lost
from lmc_sweep.execution.in_flight import InFlight
from lmc_sweep.execution.pace import Pace
from lmc_sweep.execution.patience import Patience, store_failed
from lmc_sweep.execution.progress import Reporter, StopRequest, stop_in_order
from lmc_sweep.execution.recording import Recorder
from lmc_sweep.execution.schedule import Schedule
from lmc_sweep.execution.tally import Tally
from lmc_sweep.execution.task import ItemFailure, Receipt
from lmc_sweep.execution.work import Next, after, known, uncounted, unfinished
from lmc_sweep.kinds import in_singular
from lmc_sweep.redaction import redact
from lmc_sweep.store.store import Store

LONGEST_WAIT_SECONDS = 6 * 3600.0
"""How long a run waits for a machine that begins any of its work: others may need the cluster first."""


class Outcomes:
    """Books what comes back. What follows goes into the schedule, with the time from which it may run."""

    def __init__(
        self,
        store: Store,
        schedule: Schedule,
        tally: Tally,
        pace: Pace,
        recorder: Recorder,
        patience: Patience,
        reporter: Reporter,
        stop: StopRequest,
        clock: Clock,
        retries: int,
        max_failures: int | None,
    ) -> None:
        self._store, self._schedule, self._tally, self._pace = store, schedule, tally, pace
        self._recorder, self._patience, self._reporter, self._stop = recorder, patience, reporter, stop
        self._clock, self._retries, self._max_failures = clock, retries, max_failures
        self._heard = clock.now()
        """When a worker was last known to have begun anything."""

    def book(self, entry: InFlight, receipt: Receipt) -> None:
        """Counts what is done, and decides about what failed."""
        work, self._heard = entry.work, self._clock.now()
        scale = self._pace.scale(work.group) or 1.0
        self._tally.ended(entry, receipt, scale * work.batch.seconds)
        if len(receipt.done) > receipt.num_held and self._patience.worked():
            self._reporter.noticed("The store can be used by the workers again.")
        if not receipt.failures and not receipt.num_held:
            self._pace.ended(work.group, work.batch.seconds, receipt.seconds)
        if receipt.num_memory_splits:
            self._reporter.noticed(
                f"A {in_singular(work.batch.kind)} batch of {len(work.batch.items)} ran out of memory "
                "and was halved."
            )
        self.settle(receipt.done, ())
        self._unsaid(entry, receipt)
        together: dict[tuple[str, str], list[ItemFailure]] = defaultdict(list)
        for number, failure in enumerate(receipt.failures):
            cause = known(failure.cause)
            alone = str(number) if cause.escalates or cause.max_attempts == 1 else ""
            together[cause.name, alone].append(failure)
        for failures in together.values():
            ids = tuple(item_id for failure in failures for item_id in failure.item_ids)
            self._ended(entry, replace(failures[0], item_ids=ids), is_known=True)

    def _unsaid(self, entry: InFlight, receipt: Receipt) -> None:
        """Decides about items of which a receipt says nothing: no task of ours leaves any out."""
        items = entry.work.batch.items
        if len(items) == len(receipt.done) + sum(len(failure.item_ids) for failure in receipt.failures):
            return
        said = {*receipt.done, *(item_id for failure in receipt.failures for item_id in failure.item_ids)}
        unsaid = tuple(item.id for item in items if item.id not in said)
        if unsaid:
            message = f"the receipt says nothing of {len(unsaid)} items"
            self._ended(
                entry,
                ItemFailure(entry.work.batch.kind, unsaid, "Unsaid", message, cause="worker_died"),
                is_known=False,
            )

    def lost(self, entry: InFlight, lost: Lost) -> None:
        """Decides about a batch whose worker was lost."""
        batch, self._heard = entry.work.batch, self._clock.now()
        cause = known(lost.cause)
        ids = tuple(item.id for item in batch.items)
        self._ended(
            entry,
            ItemFailure(batch.kind, ids, lost.error_type, redact(lost.message), cause=cause.name),
            False,
        )

    def _ended(self, entry: InFlight, failure: ItemFailure, is_known: bool) -> None:
        """Decides what follows an attempt that ended without the results of some items.

        ``is_known``: a receipt says which items failed; of a lost worker's, some may be stored.
        """
        cause, now = known(failure.cause), self._clock.now()
        work = entry.work.only(failure.item_ids)
        self._recorder.ended(failure, work.number, entry.age(now))
        if cause.name == "version":
            stop_in_order(self._stop, self._reporter, failure.message)
            return
        following = after(work, cause, self._retries)
        if cause.name == "store":
            if self._patience.is_failing:  # nothing was stored since: no item is to blame
                following = uncounted(work, cause)
            message = f"A worker cannot use the store: {failure.message.rstrip('.')}"
            store_failed(self._patience, now, message, self._reporter, self._stop)
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
                f"{len(failure.item_ids)} {in_singular(failure.kind)} items; {then}{pause}."
            )
        for work in following.work:
            self._schedule.add_later(work, now + following.delay_seconds)

    def _give_up_missing(self, failure: ItemFailure, attempts: int) -> None:
        """Gives up what the store does not hold: the worker may have died after its commit."""
        held = self._held(failure)
        if held:
            self._tally.done[failure.kind] += len(held)
            self.settle(held, ())
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
        self.settle((), failure.item_ids)
        self._reporter.failed(failure, attempts)
        if self._max_failures is not None and self._tally.num_failed >= self._max_failures:
            stop_in_order(self._stop, self._reporter, f"--max-failures {self._max_failures} was reached")

    def settle(self, done: Collection[str], given_up: Collection[str]) -> None:
        """Lets go what waited for items that are there, or never will be."""
        self._tally.blocked += self._schedule.settle(done, given_up)

    def expired(self, entry: InFlight) -> None:
        """Decides about an attempt that its deadline ended."""
        batch, seconds = entry.work.batch, entry.deadline_seconds
        ids, now = tuple(item.id for item in batch.items), self._clock.now()
        if entry.is_started:
            self._heard = now
            message = f"had not ended after {seconds:.0f} s, its deadline"
            self._ended(
                entry, ItemFailure(batch.kind, ids, "DeadlineExceeded", message, cause="deadline"), False
            )
            return
        message = f"no worker had begun it after {now - entry.since:.0f} s"
        never = ItemFailure(batch.kind, ids, "NeverStarted", message, cause="deadline")
        self._recorder.ended(never, entry.work.number, now - entry.since)
        self._reporter.noticed(
            f"A {in_singular(batch.kind)} batch was begun by no worker within {now - entry.since:.0f} s: "
            "no machine has room for it, or the one that took it does not answer. It is submitted anew."
        )
        for work in unfinished(entry.work).work:
            self._schedule.add(work)
        if now - self._heard >= LONGEST_WAIT_SECONDS:
            stop_in_order(
                self._stop, self._reporter, f"no worker has begun anything for {now - self._heard:.0f} s"
            )


_CAPTIONS = {
    "host_memory": "The machine's memory ran out",
    "device_memory": "The GPU's memory ran out",
    "device_error": "The GPU reported an error",
    "deadline": "A deadline passed",
}
