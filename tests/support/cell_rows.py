"""Barriers and networks of known cells, as figures along width, depth and task take them, and in a store."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from lmc_sweep.analysis.cell_rows import (
    NETWORK_COLUMNS,
    CellBarrier,
    CellNetwork,
    cell_barrier,
    cell_network,
)
from lmc_sweep.store.store import Store
from tests.support.store_rows import row as store_row

IDENTITY = {"method": "identity"}
MATCHING = {"method": "weight_matching", "restarts": 5}
ALPHAS = [0.0, 0.25, 0.5, 0.75, 1.0]


def barrier_columns(pair: int = 0, method: Mapping[str, Any] = IDENTITY, **other: Any) -> dict[str, Any]:
    """Columns of one barrier of pair ``pair`` of its cell; other columns by name."""
    found = {
        "dataset": "mnist",
        "architecture": "mlp",
        "width": 16,
        "depth": 1,
        "label_noise": 0.0,
        "world": "real",
        "split": "train",
        "member_a": 0,
        "member_b": 1,
        "alphas": ALPHAS,
        "method_json": json.dumps(method),
        **other,
    }
    cell = "-".join(str(found[name]) for name in ("dataset", "architecture", "width", "depth", "label_noise"))
    found = {"cell_id": cell, **found}
    second = 2 * pair + 1 if found["world"] == "real" else 2 * pair
    return {
        "pair_id": f"{cell}-{found['world']}-{pair}",
        "network_a": f"{cell}-{2 * pair}",
        "network_b": f"{cell}-{second}",
        **found,
    }


def barrier(
    value: float | None, pair: int = 0, method: Mapping[str, Any] = IDENTITY, **other: Any
) -> CellBarrier:
    """One barrier as ``read_barriers`` gives it."""
    return cell_barrier(barrier_columns(pair, method, **other), value)


def network_columns(seed: int = 0, **other: Any) -> dict[str, Any]:
    """Columns of one network; its figures are 0.5 unless named."""
    found = {
        "dataset": "mnist",
        "architecture": "mlp",
        "width": 16,
        "depth": 1,
        "label_noise": 0.0,
        **dict.fromkeys(NETWORK_COLUMNS[2:], 0.5),
        **other,
    }
    cell = "-".join(str(found[name]) for name in ("dataset", "architecture", "width", "depth", "label_noise"))
    return {"cell_id": cell, "network_id": f"{cell}-{seed}", **found}


def network(seed: int = 0, **other: Any) -> CellNetwork:
    """One network as ``read_networks`` gives it."""
    return cell_network(network_columns(seed, **other))


def commit(store: Store, barriers: list[dict[str, Any]], networks: list[dict[str, Any]]) -> None:
    """Writes barriers of two networks each, with their alignments, and networks, to a store."""
    whole = {"layers": None, "save_at": None, "correction": "none"}
    of_barriers, alignments = [], {}
    for number, columns in enumerate(barriers):
        method = json.loads(columns["method_json"])["method"]
        alignment = f"{columns['pair_id']}-{method}"
        of_barriers.append(
            store_row(
                "barriers",
                f"b{number}",
                **{**whole, "planted_noise": None, "method": method, "alignment_id": alignment, **columns},
            )
        )
        alignments[alignment] = store_row("alignments", alignment, networks=["one", "two"])
    if of_barriers:
        store.commit("barriers", of_barriers)
        store.commit("alignments", list(alignments.values()))
    if networks:
        weights = store.write_tensors("networks", {"w": torch.ones(1, 2)})
        rows = [
            store_row(
                "networks", row["network_id"], **{"save_at": None, **row, "checkpoint": weights, "row": 0}
            )
            for row in networks
        ]
        store.commit("networks", rows)


# what was drawn


def words(figure: Any) -> str:
    """The caption on one line."""
    return " ".join(text.get_text() for text in figure.texts).replace("\n", " ")


def legend(figure: Any) -> list[str]:
    """The labels of the legend, in order."""
    return [text.get_text() for box in figure.legends for text in box.get_texts()]


def panels(figure: Any) -> dict[str, Any]:
    """Title to axes, of those that can be seen."""
    return {axes.get_title(loc="left"): axes for axes in figure.axes if axes.get_visible()}


def points(axes: Any) -> list[list[list[float]]]:
    """Points of every line of means, in the order of drawing, each at its tick: lines lie side by side."""
    ticks = np.asarray(axes.get_xticks())
    found = []
    for bars in axes.containers:
        x, y = (np.asarray(values, dtype=float) for values in bars.lines[0].get_data(orig=True))
        at = [int(ticks[np.abs(np.log(ticks / size)).argmin()]) for size in x]
        found.append([[size, round(float(height), 6)] for size, height in zip(at, y, strict=True)])
    return found


def intervals(axes: Any) -> list[list[list[float]]]:
    """Lower and upper ends of the intervals of every line."""
    return [
        [[round(float(end), 6) for end in segment[:, 1]] for segment in bars.lines[2][0].get_segments()]
        for bars in axes.containers
    ]
