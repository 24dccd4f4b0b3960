"""Rows of barriers with the searches that led to them, as figures of searches take them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from lmc_sweep.analysis.search_rows import Searched, searched

IDENTITY = {"method": "identity"}
ORACLE = {"method": "oracle"}
MATCHING = {"method": "weight_matching", "restarts": 5}
BRUTE = {"method": "brute_force", "objective": "midpoint_error", "num_examples": None}


def annealing(steps: int, **other: Any) -> dict[str, Any]:
    """Options of an annealing."""
    return {"method": "simulated_annealing", "steps": steps, "start": "identity", **other}


def row(method: Mapping[str, Any], pair: int, value: float | None, **other: Any) -> Searched:
    """One barrier of one pair after a method; other columns of ``barriers`` and ``alignments`` by name."""
    width = other.pop("width", 16)
    num_networks = other.pop("num_networks", 2)
    noise = other.pop("planted_noise", None)
    barrier = {
        "cell_id": f"cell{width}",
        "pair_id": f"{width}-{num_networks}-{pair}",
        "world": "real" if noise is None else "planted",
        "method_json": json.dumps(method),
        "dataset": "mnist",
        "architecture": "mlp",
        "width": width,
        "depth": 1,
        "label_noise": 0.0,
        "member_a": 0,
        "member_b": 1,
        "alphas": [0.0, 0.5, 1.0],
        "planted_noise": noise,
        "layers": None,
    }
    alignment = {
        "networks": [f"n{k}" for k in range(num_networks)],
        "align_seconds": 0.5,
        "num_evaluations": 100,
        "outcome": "steps_done",
        "recovered": None,
    }
    for name, told in other.items():
        assert name in barrier or name in alignment, name
        (barrier if name in barrier else alignment)[name] = told
    return searched(barrier, alignment, value)
