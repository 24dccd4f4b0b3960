"""Rows of barriers whose distributions in the two worlds are known."""

from __future__ import annotations

import json
from itertools import combinations
from typing import Any

import numpy as np

IDENTITY = json.dumps({"method": "identity"})
ANNEALING = json.dumps({"method": "simulated_annealing", "steps": 2000})
ALPHAS = [0.0, 0.5, 1.0]


def world_row(
    cell: str, world: str, pair: int, method_json: str, value: float | None, **other: Any
) -> tuple[Any, ...]:
    """One row as ``similarity`` takes it: pair k joins networks 2k and 2k + 1, or 2k and itself."""
    columns = {
        "cell_id": cell,
        "pair_id": f"{cell}-{world}-{pair}",
        "world": world,
        "method": json.loads(method_json)["method"],
        "method_json": method_json,
        "split": "train",
        "correction": "none",
        "dataset": "digits",
        "architecture": "mlp",
        "width": 16,
        "depth": 1,
        "label_noise": 0.0,
        "network_a": f"{cell}-{2 * pair}",
        "network_b": f"{cell}-{2 * pair + (world == 'real')}",
        "member_a": 0,
        "member_b": 1,
        "num_examples": 1000,
        "alphas": ALPHAS,
        "loss_barrier": value,
        "value": value,
    }
    return tuple((columns | other).values())


def skewed(stream: np.random.Generator, shape: tuple[int, ...], shared: float = 0.0) -> np.ndarray:
    """Skewed barriers above 0 with mean 1 and standard deviation 1 / sqrt(3), worlds on the last axis.

    Those of one pair number go together in the two worlds, with correlation ``shared``.
    """
    own = stream.gamma(3 * (1 - shared), 1 / 3, (*shape, 2))
    return own + (stream.gamma(3 * shared, 1 / 3, (*shape, 1)) if shared else 0)


def world_rows(
    stream: np.random.Generator,
    num_cells: int = 12,
    num_pairs: int = 10,
    shift: float = 0.0,
    shared: float = 0.0,
    method_json: str = ANNEALING,
) -> list[tuple[Any, ...]]:
    """Before search barriers have mean 4 in both worlds; after it 1, and ``shift`` more in the real one."""
    drawn = skewed(stream, (num_cells, num_pairs), shared)
    drawn[:, :, 0] += shift
    before = 4 * skewed(stream, (num_cells, num_pairs))
    return [
        world_row(f"cell{cell:03d}", world, pair, method, float(barriers[cell, pair, k]))
        for method, barriers in ((IDENTITY, before), (method_json, drawn))
        for cell in range(num_cells)
        for pair in range(num_pairs)
        for k, world in enumerate(("real", "model"))
    ]


def grouped_rows(
    stream: np.random.Generator, num_cells: int, num_groups: int, size: int = 3
) -> list[tuple[Any, ...]]:
    """Rows after search of networks aligned so many at a time, whose pairs go together.

    Group k of the real world and of our model share their first network; equal distributions.
    """
    of_group = skewed(stream, (num_cells, num_groups))
    rows = []
    for cell, group, k in np.ndindex(of_group.shape):
        world = ("real", "model")[k]
        for number, (a, b) in enumerate(combinations(range(size), 2)):
            ends = {
                f"network_{end}": f"cell{cell}-{size * group + (member if world == 'real' else 0)}"
                for end, member in (("a", a), ("b", b))
            }
            value = float(of_group[cell, group, k] * stream.uniform(0.8, 1.2))
            place = {"member_a": a, "member_b": b} | ends
            rows.append(world_row(f"cell{cell:03d}", world, size * group + number, ANNEALING, value, **place))
    return rows
