"""Items into batches: what shares a stack, and how much of it runs as one task.

Items of one group share a program: data set, architecture, minibatch size, method. A batch is filled
until it reaches the target time or the memory bound, and a group is spread over the worker slots where
it is large enough to share. How items are batched never changes a result, only its cost. Cells stand in
the order of their ids, so that the batches do not depend on how the sweep file happens to be written.
"""

from __future__ import annotations

import hashlib
import itertools
import math
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from lmc_sweep.kinds import KINDS
from lmc_sweep.planning.cost import stored_bytes, working_bytes
from lmc_sweep.planning.item_classes import AlignmentItem, Item, NetworkItem, StudyItem, trajectory
from workers.specs import CheckpointSpec

TARGET_SECONDS = 20.0
SAVED_COPIES = 3  # of a network that was saved along the way: as it was taken, stacked, and with statistics
SMALLEST_SHARED_STACK = 16
"""Networks below which a stack is not split only to keep more workers busy."""


@dataclass(frozen=True)
class Batch:
    """Items of one kind that run as one task."""

    kind: str
    items: tuple[Item, ...]
    seconds: float
    """Estimated seconds on one worker."""

    @property
    def id(self) -> str:
        """Hash of the items' ids: the same batch has the same name in every run."""
        return hashlib.sha256(" ".join(item.id for item in self.items).encode()).hexdigest()[:16]

    @property
    def requires(self) -> frozenset[str]:
        """Ids that must exist before the batch can run."""
        return frozenset(required for item in self.items for required in item.requires)


def group_key(item: Item) -> tuple[object, ...]:
    """What the items of one batch have in common."""
    if isinstance(item, NetworkItem):
        spec = item.spec
        if isinstance(spec, CheckpointSpec):
            return (spec.data, spec.label_noise, spec.architecture)
        training = spec.training
        return (spec.data, spec.architecture, training.batch_size, training.optimizer, training.precision)
    if isinstance(item, StudyItem):
        return item.group
    alignment = item if isinstance(item, AlignmentItem) else item.alignment
    cell = alignment.cell
    shared = (cell.data, cell.label_noise, cell.architecture, alignment.method, len(alignment.networks))
    return shared if isinstance(item, AlignmentItem) else (*shared, item.alphas, item.correction)


def batches(
    items: dict[str, list[Item]],
    seconds: Callable[[Item], float],
    max_stack_bytes: float,
    num_slots: int,
    threads: Mapping[str, int] = MappingProxyType({}),
) -> list[Batch]:
    """The batches of the items that are to be done, kinds in order of dependency, longest first.

    Args:
        items: What is to be done, by kind.
        seconds: Estimate for one item.
        max_stack_bytes: Bound of the memory of one stack, in bytes. A batch has at least one item.
        num_slots: Tasks that can run at a time.
        threads: Per kind, the threads of a task (1 if not given). A batch is not split below one item for
            each, since networks stand side by side on threads.
    """
    made = []
    for kind in KINDS:
        groups: dict[tuple[object, ...], list[Item]] = defaultdict(list)
        for item in sorted(items.get(kind, []), key=lambda item: item.cell_id):
            groups[group_key(item)].append(item)
        of_kind = [
            batch
            for group in groups.values()
            for batch in _split(group, seconds, max_stack_bytes, num_slots, threads.get(kind, 1))
        ]
        made += sorted(of_kind, key=lambda batch: -batch.seconds)
    return made


def _split(
    group: Sequence[Item],
    seconds: Callable[[Item], float],
    max_stack_bytes: float,
    num_slots: int,
    num_threads: int,
) -> list[Batch]:
    """Equal parts of a group, each within the bounds; a trajectory is never cut."""
    by_trajectory: dict[object, list[Item]] = defaultdict(list)
    for item in group:
        by_trajectory[trajectory(item)].append(item)
    runs = list(by_trajectory.values())
    estimates = [max(map(seconds, run)) for run in runs]
    total = sum(estimates)
    largest = max(
        working_bytes(run[0], max_stack_bytes) + SAVED_COPIES * stored_bytes(run[0]) * (len(run) - 1)
        for run in runs
    )
    per_memory = max(1, int(max_stack_bytes // largest))
    parts = max(math.ceil(len(runs) / per_memory), math.ceil(total / TARGET_SECONDS))
    if total > TARGET_SECONDS / 4:
        parts = max(parts, min(num_slots, len(runs) // SMALLEST_SHARED_STACK))
    if parts > 1:  # whole rounds, so that no slot idles while the last parts run
        parts = math.ceil(parts / num_slots) * num_slots
    parts = min(max(parts, 1), max(math.ceil(len(runs) / per_memory), math.ceil(len(runs) / num_threads)))
    bounds = [round(i * len(runs) / parts) for i in range(parts + 1)]
    return [
        Batch(
            group[0].kind,
            tuple(itertools.chain.from_iterable(runs[a:b])),
            sum(estimates[a:b]),
        )
        for a, b in itertools.pairwise(bounds)
    ]
