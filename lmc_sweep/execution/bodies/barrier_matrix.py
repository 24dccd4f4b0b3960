"""Putting barriers together as matrices, with the ways around them."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from typing import Any

import numpy as np

from lmc_sweep.execution.task import Machine
from lmc_sweep.planning.identity import canonical_json
from lmc_sweep.planning.study_all_pairs import BarrierMatrixItem, pairs_of
from lmc_sweep.store.store import Store
from workers.all_pairs.ways import Ways, ways

_HEIGHTS = {"supremum": "barrier", "midpoint": "midpoint_barrier"}
_QUANTITIES = ("loss", "error")


def barrier_matrix_batch(store: Store, items: Sequence[BarrierMatrixItem], machine: Machine) -> None:
    """Reads the barriers of each matrix, and finds the ways around them."""
    store.commit("barrier_matrices", [_row(store, item) for item in items])


def _row(store: Store, item: BarrierMatrixItem) -> dict[str, Any]:
    """One matrix."""
    start = time.perf_counter()
    spec, cell = item.spec, item.cell
    assert cell is not None
    pairs = pairs_of(spec)
    columns = [f"{quantity}_{_HEIGHTS[spec.height]}" for quantity in _QUANTITIES]
    barriers = store.fetch("barriers", item.requires, columns)
    seeds = [row["seed"] for row in store.fetch("networks", spec.networks, ["seed"])]
    derived: dict[str, Any] = {}
    for quantity, column in zip(_QUANTITIES, columns, strict=True):
        derived |= _columns(quantity, ways(len(spec.networks), pairs, [row[column] for row in barriers]))
    return {
        "matrix_id": item.id,
        "cell_id": item.cell_id,
        "method": json.loads(spec.method_json)["method"],
        "method_json": spec.method_json,
        "dataset": cell.dataset,
        "architecture": cell.architecture.name,
        "width": cell.architecture.width,
        "depth": cell.architecture.depth,
        "label_noise": cell.label_noise,
        "split": spec.split,
        "correction": spec.correction,
        "height": spec.height,
        "pairing": spec.pairing,
        "draw_seed": spec.draw_seed,
        "num_networks": len(spec.networks),
        "num_pairs": len(pairs),
        "networks": list(spec.networks),
        "seeds": seeds,
        "positions_a": [a for a, _ in pairs],
        "positions_b": [b for _, b in pairs],
        **derived,
        "spec_json": canonical_json(spec),
        "measure_seconds": time.perf_counter() - start,
        "inputs_json": json.dumps({"networks": []}),  # barriers alone, whose ids follow from spec_json
    }


def _columns(quantity: str, found: Ways) -> dict[str, Any]:
    """The columns of one quantity."""
    lists = {
        "barrier": found.direct,
        "indirect_barrier": found.indirect,
        "bottleneck": found.bottlenecks,
    }
    columns: dict[str, Any] = {f"{quantity}_{name}s": _known(values) for name, values in lists.items()}
    columns[f"{quantity}_intermediates"] = [int(k) if k >= 0 else None for k in found.intermediates]
    columns[f"{quantity}_bottleneck_legs"] = [int(legs) or None for legs in found.num_legs]
    for name, values in lists.items():
        known = values[~np.isnan(values)]
        for statistic in (np.mean, np.median):
            value = float(statistic(known)) if len(known) else None
            columns[f"{statistic.__name__}_{quantity}_{name}"] = value
    return columns


def _known(values: np.ndarray) -> list[float | None]:
    """The numbers, None where there is none."""
    return [None if np.isnan(value) else float(value) for value in values]
