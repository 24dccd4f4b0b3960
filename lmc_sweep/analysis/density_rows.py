"""The barriers that a density plot asks for: of each method, those of every cell and world."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy import ndarray

from lmc_sweep.analysis.method_labels import method_labels
from lmc_sweep.analysis.pairing import PointsBy

Quantity = Literal["loss", "error"]
Extent = Literal["supremum", "midpoint"]

CONTROLS = ("identity", "random")
"""Methods that search nothing."""

COLUMNS = (
    "cell_id",
    "pair_id",
    "world",
    "method_json",
    "dataset",
    "architecture",
    "network_a",
    "network_b",
    "member_a",
    "member_b",
    "split",
    "correction",
    "alphas",
    "loss_barrier",
)
"""Columns of ``barriers`` that are read, besides the barrier asked for."""


@dataclass(frozen=True)
class DensityQuestion:
    """Which barriers are compared, and how.

    Attributes:
        quantity: Of the loss, in nats, or of the error, as a fraction.
        extent: The largest height over the grid of alphas, or the height at alpha 1/2.
        split: Examples that were measured: train or test.
        correction: What was done to interpolated networks before they were measured.
        points: One point per cell and pair rank, or one per cell: its means.
        methods: ``all``, each by itself; ``best``, for every pair the lowest barrier that any search
            found for it, beside the controls; or names of methods.
    """

    quantity: Quantity = "loss"
    extent: Extent = "supremum"
    split: str = "train"
    correction: str = "none"
    points: PointsBy = "rank"
    methods: str | tuple[str, ...] = "all"

    @property
    def column(self) -> str:
        """The column of ``barriers`` that holds the figure."""
        return (
            f"{self.quantity}_barrier" if self.extent == "supremum" else f"{self.quantity}_midpoint_barrier"
        )


Pair = tuple[str, str, int, int]
"""World, pair_id, member_a, member_b."""

Named = tuple[str, str]
"""A method's name and its label."""

BEST = ("best", "best of all searches")
NAMED_AT_MOST = 3


def asked_and_found(
    rows: Iterable[Sequence[Any]], question: DensityQuestion
) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The rows that are asked for, on the finest grid of alphas each, and those of them with a value."""
    asked = finest(
        [
            dict(zip((*COLUMNS, "value"), row, strict=True))
            for row in rows
            if row[COLUMNS.index("split")] == question.split
            and row[COLUMNS.index("correction")] == question.correction
        ]
    )
    return asked, [row for row in asked if row["value"] is not None and np.isfinite(row["value"])]


def finest(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per pair and method: that of the finest grid."""
    finest: dict[tuple[str, Pair], dict[str, Any]] = {}
    for row in rows:
        key = row["method_json"], pair_of(row)
        if key not in finest or len(finest[key]["alphas"]) < len(row["alphas"]):
            finest[key] = row
    return list(finest.values())


def values_by_method(
    rows: list[dict[str, Any]], question: DensityQuestion
) -> dict[Named, dict[tuple[str, str], ndarray]]:
    """Method as it is called in the plot, to (cell, world), to barriers; controls first."""
    labels = method_labels({row["method_json"] for row in rows})
    names = {text: (json.loads(text)["method"], label) for text, label in labels.items()}
    grouped: dict[Named, dict[tuple[str, str], dict[Pair, float]]] = defaultdict(lambda: defaultdict(dict))
    for row in rows:
        named = names[row["method_json"]]
        if question.methods == "best":
            named = named if named[0] in CONTROLS else BEST
        elif question.methods != "all" and not set(named) & set(question.methods):
            continue
        of_cell = grouped[named][row["cell_id"], row["world"]]
        of_cell[pair_of(row)] = min(row["value"], of_cell.get(pair_of(row), np.inf))
    order = sorted(grouped, key=lambda named: (named[0] not in CONTROLS, named[1]))
    return {
        named: {key: np.array(list(pairs.values())) for key, pairs in grouped[named].items()}
        for named in order
    }


def not_shown(
    question: DensityQuestion,
    asked: list[dict[str, Any]],
    num_null: int,
    by_method: dict[Named, dict[tuple[str, str], ndarray]],
) -> Iterable[str]:
    """Sentences on what was asked for and is not shown."""
    if not asked:
        yield f"no barriers on {question.split} with correction {question.correction!r} in this store"
        return
    if isinstance(question.methods, tuple):
        for name in question.methods:
            if not any(name in named for named in by_method):
                yield f"{name}: no barriers in this store"
    if num_null:
        yield f"{num_null} barrier{'s' * (num_null > 1)} left out because a network diverged"
    present = {row["world"] for row in asked}
    if len(present) == 1:
        (absent,) = {"real", "model"} - present
        yield (
            "any method, for this figure compares worlds real and model, and there are no barriers of world "
            f"{absent} (a sweep file asks for both by worlds: [real, model])"
        )
        return
    num_cells = len({row["cell_id"] for row in asked})
    lacking: dict[tuple[str, int], list[str]] = defaultdict(list)
    for (_, label), values in by_method.items():
        for world in ("real", "model"):
            num_lacking = num_cells - len({cell for cell, of in values if of == world})
            if num_lacking:
                lacking[world, num_lacking].append(label)
    for (world, num_lacking), labels in lacking.items():
        yield f"{_listed(labels)}: no barriers in world {world} in {num_lacking} of {num_cells} cells"


def _listed(labels: list[str]) -> str:
    """The first labels, and how many more there are."""
    more = len(labels) - NAMED_AT_MOST
    return ", ".join(labels[:NAMED_AT_MOST]) + (f" and {more} more" if more > 0 else "")


def pair_of(row: dict[str, Any]) -> Pair:
    """What makes two rows barriers of the same pair, before and after different methods."""
    return row["world"], row["pair_id"], row["member_a"], row["member_b"]
