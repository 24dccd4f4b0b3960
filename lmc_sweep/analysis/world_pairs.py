"""Barriers of both worlds, cell by cell, with the clusters of pairs that share networks."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64, Int64
from numpy import ndarray

from lmc_sweep.analysis.agreement import SOLVED
from lmc_sweep.analysis.clusters import clusters

COLUMNS = (
    "cell_id",
    "pair_id",
    "world",
    "method",
    "method_json",
    "split",
    "correction",
    "dataset",
    "architecture",
    "width",
    "depth",
    "label_noise",
    "network_a",
    "network_b",
    "member_a",
    "member_b",
    "num_examples",
    "alphas",
    "loss_barrier",
)
"""Columns of ``barriers`` that are read, besides the barrier asked for."""

NUM_CLUSTERS_LEAST = 2
"""Clusters per world below which a cell tells nothing of its own noise."""


@dataclass(frozen=True)
class CellBarriers:
    """The barriers of one cell in both worlds, one method, split and correction.

    Attributes:
        cell_id: The cell.
        subject: Data set, architecture, width, depth and label noise.
        values: Of each pair, the barrier.
        is_real: Whether the pair is of world ``real``; else of world ``model``.
        clusters: Of each pair, its cluster, counted from 0: pairs of both worlds that share networks,
            also by way of others.
        model_losses: Of each pair of world ``model``, the largest barrier of the loss.
        num_examples: Examples that were measured, the fewest of any pair.
    """

    cell_id: str
    subject: tuple[str, str, int | None, int | None, float]
    values: Float64[ndarray, " pairs"]
    is_real: Bool[ndarray, " pairs"]
    clusters: Int64[ndarray, " pairs"]
    model_losses: Float64[ndarray, " model"]
    num_examples: int

    @property
    def real(self) -> Float64[ndarray, " real"]:
        """Barriers of world ``real``."""
        return self.values[self.is_real]

    @property
    def model(self) -> Float64[ndarray, " model"]:
        """Barriers of world ``model``."""
        return self.values[~self.is_real]

    @property
    def num_recovered(self) -> int:
        """Pairs of world ``model`` left without a barrier of the loss."""
        return int((self.model_losses <= SOLVED).sum())

    @property
    def is_solved(self) -> bool:
        """Whether world ``model`` was solved exactly: no pair of it has a barrier left."""
        return self.num_recovered == len(self.model) > 0

    @property
    def num_clusters(self) -> int:
        """Clusters, of both worlds together."""
        return len(np.unique(self.clusters))

    @property
    def is_comparable(self) -> bool:
        """Whether each world has clusters enough to tell its noise."""
        worlds = (self.clusters[self.is_real], self.clusters[~self.is_real])
        return min(len(np.unique(world)) for world in worlds) >= NUM_CLUSTERS_LEAST


@dataclass(frozen=True)
class Measured:
    """What is compared as one: a method, a split and a correction; and its cells."""

    method: str
    method_json: str
    split: str
    correction: str
    cells: tuple[CellBarriers, ...]


@dataclass(frozen=True)
class WorldPairs:
    """All that is compared, and how many barriers were left out because a network diverged."""

    measured: tuple[Measured, ...]
    num_null: int


def world_pairs(rows: Iterable[Sequence[Any]]) -> WorldPairs:
    """Barriers in the order of their identities, so that the order of rows changes nothing.

    Of one pair measured on several grids of alphas, the finest counts.

    Args:
        rows: Of the table ``barriers``: COLUMNS, then the barrier that is asked for.
    """
    finest: dict[tuple[Any, ...], dict[str, Any]] = {}
    for values in rows:
        row = dict(zip((*COLUMNS, "value"), values, strict=True))
        key = tuple(
            row[name] for name in ("method_json", "split", "correction", "cell_id", "world", "pair_id")
        )
        key += row["member_a"], row["member_b"]
        if key not in finest or len(finest[key]["alphas"]) < len(row["alphas"]):
            finest[key] = row
    grouped: dict[tuple[str, str, str], dict[str, list[dict[str, Any]]]] = defaultdict(dict)
    num_null = 0
    for key in sorted(finest):
        row = finest[key]
        if row["value"] is None or not np.isfinite(row["value"]):
            num_null += 1
            continue
        grouped[key[:3]].setdefault(row["cell_id"], []).append(row)
    measured = []
    for (method_json, split, correction), cells in grouped.items():
        name = next(iter(cells.values()))[0]["method"]
        found = tuple(_cell(cell_id, found) for cell_id, found in cells.items())
        found = tuple(sorted(found, key=lambda cell: (*map(str, cell.subject[:2]), *_order(cell))))
        measured.append(Measured(name, method_json, split, correction, found))
    return WorldPairs(tuple(measured), num_null)


def _order(cell: CellBarriers) -> tuple[float, float, float, str]:
    """By size within an architecture; cells of no known size last."""
    width, depth, noise = cell.subject[2:]
    sizes = [float("inf") if size is None else float(size) for size in (depth, width)]
    return sizes[0], sizes[1], noise or 0.0, cell.cell_id


def _cell(cell_id: str, rows: Sequence[dict[str, Any]]) -> CellBarriers:
    """One cell from its rows."""
    first = rows[0]
    return CellBarriers(
        cell_id=cell_id,
        subject=(
            first["dataset"],
            first["architecture"],
            first["width"],
            first["depth"],
            first["label_noise"],
        ),
        values=np.array([row["value"] for row in rows], dtype=np.float64),
        is_real=np.array([row["world"] == "real" for row in rows]),
        clusters=np.array(clusters([(row["network_a"], row["network_b"]) for row in rows]), dtype=np.int64),
        model_losses=np.array(
            [row["loss_barrier"] for row in rows if row["world"] == "model"], dtype=np.float64
        ),
        num_examples=min(row["num_examples"] for row in rows),
    )
