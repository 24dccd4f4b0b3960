"""How fast this machine and this store are: what turns modeled seconds into estimates.

A rate is measured seconds over modeled seconds. The store gives one per kind and shape wherever it
holds finished items; for the rest, a short matrix product says how fast this machine multiplies.
"""

from __future__ import annotations

import time
from collections import defaultdict
from dataclasses import dataclass, field
from typing import Any

from lmc_sweep.planning.cost import barrier_seconds, item_seconds, network_seconds
from lmc_sweep.planning.item_classes import (
    AlignmentItem,
    BarrierItem,
    Item,
    NetworkItem,
    StudyItem,
    trajectory,
)
from workers.specs import NetworkSpec

RateKey = tuple[Any, ...]


@dataclass(frozen=True)
class Rates:
    """Measured over modeled seconds by kind and shape, and the machine's matrix-product rate."""

    flops_per_second: float
    by_shape: dict[RateKey, float] = field(default_factory=dict)
    epochs_by_cell: dict[str, float] = field(default_factory=dict)
    source: str = "a short matrix product on this machine"

    def seconds(self, item: Item) -> float:
        """Estimated seconds of an item on one worker."""
        epochs = self.epochs_by_cell.get(item.cell_id)
        return self.by_shape.get(rate_key(item), 1.0) * item_seconds(item, epochs, self.flops_per_second)


def rate_key(item: Item) -> RateKey:
    """What items of one rate have in common."""
    if isinstance(item, NetworkItem):
        spec = item.spec
        size = spec.training.batch_size if isinstance(spec, NetworkSpec) else None
        return (item.kind, spec.data, spec.architecture, size)
    if isinstance(item, AlignmentItem):
        return (item.kind, item.cell.data, item.cell.architecture, item.method)
    if isinstance(item, StudyItem):
        return (item.kind, *item.group)
    return (item.kind, item.alignment.cell.data, item.alignment.cell.architecture, item.correction)


def machine_flops_per_second(size: int = 256, repeats: int = 100) -> float:
    """Single-precision matrix-product rate of one thread, measured in some 50 ms.

    The fastest of many short products: a busy machine disturbs most of them, and not all.
    """
    import numpy as np
    from threadpoolctl import threadpool_limits

    matrix = np.ones((size, size), dtype=np.float32)
    with threadpool_limits(limits=1):
        return 2 * size**3 / min(_timed(lambda: matrix @ matrix) for _ in range(repeats))


def rates(items: dict[str, list[Item]], measured: dict[str, dict[str, dict[str, float]]]) -> Rates:
    """Rates for a sweep's items, from those of them that are finished, else from the machine.

    Args:
        items: Every item of the sweep, by kind.
        measured: Per kind and id of finished items, ``seconds`` and for networks ``epochs``.
    """
    flops = machine_flops_per_second()
    took: dict[RateKey, float] = defaultdict(float)
    model: dict[RateKey, float] = defaultdict(float)
    epochs: dict[str, list[float]] = defaultdict(list)
    longest: dict[object, tuple[RateKey, float]] = {}  # a trajectory's rows share the time of one training
    for kind, of_kind in items.items():
        known = measured.get(kind, {})
        for item in of_kind:
            row = known.get(item.id)
            if row is None:
                continue
            key = rate_key(item)
            took[key] += row["seconds"]
            if isinstance(item, NetworkItem) and isinstance(item.spec, NetworkSpec):
                epochs[item.cell_id].append(row["epochs"])
                seconds = network_seconds(item.spec, row["epochs"], flops)
                before = longest.get(trajectory(item), (key, 0.0))[1]
                longest[trajectory(item)] = (key, max(before, seconds))
            elif isinstance(item, BarrierItem):
                model[key] += barrier_seconds(item, flops)
            else:
                model[key] += item_seconds(item, None, flops)
    for key, seconds in longest.values():
        model[key] += seconds
    by_shape = {key: took[key] / model[key] for key in took if took[key] > 0 and model[key] > 0}
    return Rates(
        flops_per_second=flops,
        by_shape=by_shape,
        epochs_by_cell={cell: sum(values) / len(values) for cell, values in epochs.items()},
        source=f"the store's measurements for {len(by_shape)} shapes, a matrix product for the rest"
        if by_shape
        else Rates.source,
    )


def _timed(work: Any) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start
