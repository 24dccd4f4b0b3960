"""What became of a run's items so far, and which batches took longest."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter

from lmc_sweep.execution.in_flight import InFlight
from lmc_sweep.execution.pace import Pace
from lmc_sweep.execution.progress import BatchProgress, KindProgress
from lmc_sweep.execution.task import ItemFailure, Receipt
from lmc_sweep.kinds import ALWAYS_SHOWN, KINDS
from lmc_sweep.planning.items import AlignmentItem, BarrierItem, Item, StudyItem
from lmc_sweep.planning.plan import Plan

SHOWN_SLOWEST = 5
KEPT_FAILURES = 1000


class Tally:
    """Counts by kind. Items that failed in an earlier run and are not tried again count as failed."""

    def __init__(self, plan: Plan) -> None:
        self._total = {kind: len(plan.items[kind]) for kind in KINDS}
        self.done = Counter({kind: len(plan.done[kind]) for kind in KINDS})
        self._failed = Counter({kind: len(plan.held_back[kind]) for kind in KINDS})
        self.blocked = Counter({kind: len(plan.blocked[kind]) for kind in KINDS})
        self._estimated = dict.fromkeys(KINDS, 0.0)
        self._measured = dict.fromkeys(KINDS, 0.0)
        self._slowest: list[tuple[float, int, BatchProgress]] = []
        self._serial = itertools.count()
        self.num_failed = 0
        """Items that this run gave up."""
        self.failures: list[ItemFailure] = []
        """What this run gave up, without tracebacks; the first thousand."""

    def ended(self, entry: InFlight, receipt: Receipt, expected_seconds: float) -> None:
        """Counts a batch of which there is a receipt."""
        batch = entry.work.batch
        self.done[batch.kind] += len(receipt.done)
        self._estimated[batch.kind] += batch.seconds
        self._measured[batch.kind] += receipt.seconds
        if len(self._slowest) < SHOWN_SLOWEST or receipt.seconds > self._slowest[0][0]:
            shown = shown_batch(entry, receipt.seconds, expected_seconds)
            if len(self._slowest) == SHOWN_SLOWEST:
                heapq.heappop(self._slowest)
            heapq.heappush(self._slowest, (receipt.seconds, next(self._serial), shown))

    def gave_up(self, failure: ItemFailure) -> None:
        """Counts items that failed for good."""
        self._failed[failure.kind] += len(failure.item_ids)
        self.num_failed += len(failure.item_ids)
        if len(self.failures) < KEPT_FAILURES:
            self.failures.append(failure)

    def kinds(self, pace: Pace) -> dict[str, KindProgress]:
        """How far each kind is; of those that few sweeps ask for, where this one does."""
        return {
            kind: KindProgress(
                total=self._total[kind],
                done=self.done[kind],
                failed=self._failed[kind],
                blocked=self.blocked[kind],
                estimated_seconds=self._estimated[kind],
                measured_seconds=self._measured[kind],
                rate_per_second=pace.rate(kind),
            )
            for kind in KINDS
            if kind in ALWAYS_SHOWN or self._total[kind]
        }

    def slowest(self) -> tuple[BatchProgress, ...]:
        """The batches that took longest, the longest first."""
        return tuple(shown for _, _, shown in sorted(self._slowest, reverse=True))


def shown_batch(
    entry: InFlight, seconds: float, expected_seconds: float, deadline: float | None = None
) -> BatchProgress:
    """An attempt as people are shown it; ``deadline`` is the age at which it is asked to end."""
    batch = entry.work.batch
    return BatchProgress(
        key=entry.key,
        kind=batch.kind,
        num_items=len(batch.items),
        seconds=seconds,
        estimated_seconds=expected_seconds,
        attempt=entry.work.number,
        what=words(batch.items[0]),
        deadline_seconds=deadline,
    )


def words(item: Item) -> str:
    """Data set, architecture, and method or correction of an item: "digits, mlp 64x2, weight_matching"."""
    if isinstance(item, BarrierItem):
        cell = item.alignment.cell
        done = [item.alignment.method.method, item.split, item.correction]
        done = done[:-1] if item.correction == "none" else done
    elif isinstance(item, AlignmentItem):
        cell, done = item.cell, [item.method.method]
    elif isinstance(item, StudyItem):
        return item.words
    else:
        cell, done = item.spec, []
    architecture = cell.architecture
    size = [str(one) for one in (architecture.width, architecture.depth) if one is not None]
    return ", ".join([cell.dataset, " ".join([architecture.name, "x".join(size)]).strip(), *done])
