"""Stores with any number of cells, written as records alone: what reports are made of, in seconds."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from store_rows import row

from lmc_sweep.store.store import Store

NAME = "wide"
SWEEP = f"name: {NAME}\nstore: unused\n# as many cells as a test asks for\n"
METHODS = (
    {"method": "identity"},
    {"method": "simulated_annealing", "objective": "midpoint_error", "start": "identity", "steps": 2000},
    {"method": "weight_matching"},
)
HEIGHTS = {"identity": 1.0, "simulated_annealing": 0.6, "weight_matching": 0.15}
ALPHAS = [k / 10 for k in range(11)]
Row = dict[str, Any]


def fill(path: Path, num_cells: int, num_pairs: int = 5, texts: str = "") -> Store:
    """A store with a complete sweep: cells of ``2 * num_pairs`` networks, both worlds, three methods.

    Args:
        texts: Stands in the place of every name that a user may choose, when it is not empty.
    """
    store = Store.create(path)
    stream = np.random.default_rng(0)
    tables: dict[str, list[Row]] = {"networks": [], "alignments": [], "barriers": []}
    checkpoint = store.write_tensors("networks", {"weight": torch.zeros(1, 1)})
    for cell in range(num_cells):
        for table, rows in _cell(cell, num_pairs, stream, texts, checkpoint).items():
            tables[table] += rows
    keys = {"networks": "network", "alignments": "alignment", "barriers": "barrier"}
    items = [(kind, one[f"{kind}_id"]) for table, kind in keys.items() for one in tables[table]]
    store.record_sweep(NAME, SWEEP, items)
    environment = store.record_environment()
    for table, rows in tables.items():
        store.commit(table, [{**one, "environment_id": environment} for one in rows])
    return Store(path)


def _cell(
    cell: int, num_pairs: int, stream: np.random.Generator, texts: str, checkpoint: str
) -> dict[str, list[Row]]:
    """The rows of one cell, by table."""
    width, depth = 2 ** (2 + cell % 8), 1 + cell // 8 % 5
    noise = (0.0, 0.1, 0.2, 0.4)[cell // 40 % 4]
    dataset = texts or ("digits", "mnist")[cell // 160 % 2]
    architecture = texts or "mlp"
    shared = {
        "cell_id": f"{cell:032x}",
        "dataset": dataset,
        "architecture": architecture,
        "width": width,
        "depth": depth,
        "label_noise": noise,
        "save_at": None,
    }
    spec = {
        "dataset": dataset,
        "label_noise": noise,
        "architecture": {"name": architecture, "width": width, "depth": depth},
        "training": {"learning_rate": 0.01},
    }
    networks = [
        row(
            "networks",
            _id("n", cell, seed),
            **shared,
            seed=seed,
            checkpoint=checkpoint,
            spec_json=json.dumps({**spec, "seed": seed}),
        )
        for seed in range(2 * num_pairs)
    ]
    alignments, barriers = [], []
    for world, pair, method in _asked(num_pairs):
        first, second = 2 * pair, 2 * pair + (world == "real")
        named = {
            "cell_id": shared["cell_id"],
            "pair_id": _id("p", cell, pair, world),
            "world": world,
            "method": method["method"],
            "method_json": json.dumps(method),
            "planted_noise": None,
        }
        alignment = _id("a", cell, pair, world, method["method"])
        members = [_id("n", cell, first), _id("n", cell, second)]
        alignments.append(row("alignments", alignment, **named, networks=members, recovered=None))
        for split in ("train", "test"):
            heights = _heights(stream, method["method"], world, width)
            barriers.append(
                row(
                    "barriers",
                    _id("b", cell, pair, world, method["method"], split),
                    **{**shared, **named, **heights},
                    alignment_id=alignment,
                    network_a=members[0],
                    network_b=members[1],
                    member_a=0,
                    member_b=1,
                    seed_a=first,
                    seed_b=second,
                    split=split,
                    correction="none",
                    layers=None,
                )
            )
    return {"networks": networks, "alignments": alignments, "barriers": barriers}


def _asked(num_pairs: int) -> Iterator[tuple[str, int, Row]]:
    return ((w, k, m) for w in ("real", "model") for k in range(num_pairs) for m in METHODS)


def _heights(stream: np.random.Generator, method: str, world: str, width: int) -> Row:
    """A curve of the loss and one of the error with their barriers; our model is solved by matching."""
    height = HEIGHTS[method] / width**0.3 * stream.gamma(4.0, 0.25)
    if method == "weight_matching" and world == "model" and stream.random() < 0.5:
        height = 0.0
    bumps = [4 * alpha * (1 - alpha) for alpha in ALPHAS]
    return {
        "alphas": ALPHAS,
        "losses": [0.1 + height * bump for bump in bumps],
        "errors": [0.02 + height / 4 * bump for bump in bumps],
        "loss_barrier": height,
        "loss_midpoint_barrier": height,
        "error_barrier": height / 4,
        "error_midpoint_barrier": height / 4,
    }


def _id(*parts: Any) -> str:
    """32 hex digits, unlike those of other parts."""
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:32]
