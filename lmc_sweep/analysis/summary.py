"""The table that ends a run: mean barriers by cell, method and world."""

from __future__ import annotations

import json
from collections import defaultdict
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store


def barrier_summary(store: Store, sweep: str, split: str = "train") -> tuple[list[str], list[list[Any]]]:
    """Column names and rows: one row per data set, architecture and noise, one column per method and world.

    A cell of the table is the mean loss barrier in nats with the number of pairs in parentheses; pairs
    whose loss is not finite are left out of both.
    """
    relation = store.barriers().project(
        "barrier_id, dataset, architecture, width, depth, label_noise, world, method_json, split, "
        "correction, loss_barrier"
    )
    asked = store.item_ids(sweep, "barrier")
    sums: dict[tuple[Any, ...], dict[tuple[str, str], list[float]]] = defaultdict(lambda: defaultdict(list))
    methods: dict[str, dict[str, Any]] = {}
    for row in relation.fetchall():
        (
            barrier_id,
            dataset,
            architecture,
            width,
            depth,
            noise,
            world,
            method_json,
            row_split,
            correction,
            value,
        ) = row
        if barrier_id not in asked or row_split != split or correction != "none" or value is None:
            continue
        methods.setdefault(method_json, json.loads(method_json))
        sums[dataset, architecture, depth, width, noise][method_json, world].append(value)
    names = method_names(methods)
    keys = sorted({key for of_row in sums.values() for key in of_row}, key=lambda key: _place(key, names))
    columns = ["cell", *[f"{names[method]}, {world}" for method, world in keys]]
    rows = []
    for (dataset, architecture, depth, width, noise), of_row in sorted(sums.items()):
        label = f"{dataset} {architecture} depth {depth} width {width}" + (
            f" noise {noise:g}" if noise else ""
        )
        cells = [_cell(of_row[key]) if key in of_row else "-" for key in keys]
        rows.append([label, *cells])
    return columns, rows


def _place(key: tuple[str, str], names: dict[str, str]) -> tuple[bool, bool, str]:
    """World real first; in a world the identity first, the others by name."""
    method, world = key
    return world != "real", names[method] != "identity", names[method]


def method_names(methods: dict[str, dict[str, Any]]) -> dict[str, str]:
    """Short names that tell methods apart: the method's own, and the options in which equals differ."""
    by_name: dict[str, list[str]] = defaultdict(list)
    for text, method in methods.items():
        by_name[method["method"]].append(text)
    names = {}
    for name, texts in by_name.items():
        options = {key for text in texts for key in methods[text]}
        differing = [k for k in sorted(options) if len({json.dumps(methods[t].get(k)) for t in texts}) > 1]
        for text in texts:
            told = ", ".join(f"{key} {methods[text].get(key)}" for key in differing)
            names[text] = f"{name} ({told})" if told else name
    return names


def _cell(values: list[float]) -> str:
    return f"{sum(values) / len(values):.3f} ({len(values)})"
