"""Batches of another size: split, joined or halved while a sweep runs, by what was measured until then.

A batch that lasts seconds wastes its start, one that lasts an hour loses an hour with its worker, and the
estimates before a run may be off by several times. Items are neither lost nor doubled by any of this,
and networks that are saved along one run of training stay together.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

from lmc_sweep.planning.batching import SAVED_COPIES, Batch
from lmc_sweep.planning.cost import stored_bytes, working_bytes
from lmc_sweep.planning.item_classes import Item, trajectory

SHORTEST_SECONDS = 10.0
"""A batch that is expected to take less is joined with others."""
LONGEST_SECONDS = 60.0
"""A batch that is expected to take more is split."""
AIM_SECONDS = 25.0
"""What the parts of a split and the sum of a join aim at: twice as long is still no long batch."""


@dataclass(frozen=True)
class Load:
    """What a batch takes: trajectories side by side, bytes of the largest of them, estimated seconds."""

    num_trajectories: int
    largest_bytes: int
    seconds: float

    def __add__(self, other: Load) -> Load:
        """Of two batches that run as one."""
        return Load(
            self.num_trajectories + other.num_trajectories,
            max(self.largest_bytes, other.largest_bytes),
            self.seconds + other.seconds,
        )

    def is_within(self, scale: float, max_stack_bytes: float) -> bool:
        """Whether it keeps the memory bound, and the aim where an estimated second takes ``scale``."""
        fits = self.num_trajectories * self.largest_bytes <= max_stack_bytes
        return fits and scale * self.seconds <= AIM_SECONDS


def load(batch: Batch, max_stack_bytes: float) -> Load:
    """What a batch takes, its memory counted as when batches are first made."""
    runs = trajectories(batch.items)
    largest = max(
        working_bytes(run[0], max_stack_bytes) + SAVED_COPIES * stored_bytes(run[0]) * (len(run) - 1)
        for run in runs
    )
    return Load(len(runs), largest, batch.seconds)


def trajectories(items: Sequence[Item]) -> list[tuple[Item, ...]]:
    """The items in their order, those together that are computed in one go."""
    found: dict[object, list[Item]] = {}
    for item in items:
        found.setdefault(trajectory(item), []).append(item)
    return [tuple(run) for run in found.values()]


def split(
    batch: Batch, scale: float, seconds: Callable[[Item], float], smallest: int = 1
) -> tuple[Batch, ...]:
    """Parts of about ``AIM_SECONDS`` of a batch that would take longer than ``LONGEST_SECONDS``, else itself.

    Args:
        scale: Measured over estimated seconds of batches like it.
        seconds: Estimate for one item; only its proportions count.
        smallest: Trajectories below which a part does not fall, where the batch has as many: the threads
            of a task, on which networks stand side by side.
    """
    expected = scale * batch.seconds
    if expected <= LONGEST_SECONDS or len(batch.items) == 1:
        return (batch,)
    runs = trajectories(batch.items)
    num_parts = min(math.ceil(expected / AIM_SECONDS), max(1, len(runs) // smallest))
    if num_parts == 1:
        return (batch,)
    weights = [max(map(seconds, run)) for run in runs]
    return _cut(batch, runs, weights, _bounds(weights, num_parts, smallest))


def halves(batch: Batch) -> tuple[Batch, Batch]:
    """Two parts of a batch of several items; only what is one trajectory is cut through it.

    Each part has its share of the estimated seconds, by the number of its trajectories.
    """
    assert len(batch.items) > 1
    runs = trajectories(batch.items)
    if len(runs) == 1:
        runs = [(item,) for item in batch.items]
    first, second = _cut(batch, runs, [1.0] * len(runs), [0, len(runs) // 2, len(runs)])
    return first, second


def joined(batches: Sequence[Batch]) -> Batch:
    """Batches of one group as one."""
    items = tuple(itertools.chain.from_iterable(batch.items for batch in batches))
    return replace(batches[0], items=items, seconds=math.fsum(batch.seconds for batch in batches))


def _cut(
    batch: Batch, runs: Sequence[tuple[Item, ...]], weights: Sequence[float], bounds: Sequence[int]
) -> tuple[Batch, ...]:
    """The runs between the bounds as batches, whose seconds are shared out by weight."""
    whole = math.fsum(weights) or 1.0
    return tuple(
        replace(
            batch,
            items=tuple(itertools.chain.from_iterable(runs[a:b])),
            seconds=batch.seconds * math.fsum(weights[a:b]) / whole,
        )
        for a, b in itertools.pairwise(bounds)
    )


def _bounds(weights: Sequence[float], num_parts: int, smallest: int) -> list[int]:
    """Where to cut so that the parts weigh alike, each of at least ``smallest`` runs."""
    reached = list(itertools.accumulate(weights))
    bounds = [0]
    for part in range(1, num_parts):
        aim = reached[-1] * part / num_parts
        first, last = bounds[-1] + smallest, len(weights) - (num_parts - part) * smallest
        at = first
        while at < last and reached[at - 1] + weights[at] / 2 <= aim:
            at += 1
        bounds.append(at)
    return [*bounds, len(weights)]
