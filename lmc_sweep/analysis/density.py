"""What the density plot shows: barriers of the real world against those of our model."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from lmc_sweep.analysis.agreement import SOLVED, Agreement, agreement
from lmc_sweep.analysis.method_labels import method_labels
from lmc_sweep.analysis.pairing import PointsBy, paired

Quantity = Literal["loss", "error"]
Extent = Literal["supremum", "midpoint"]

CONTROLS = ("identity", "random")
"""Methods that search nothing."""

NUM_POINTS_LEAST = 12
"""Points below which a kernel density shows the kernel and not the points."""

NUM_POINTS_MANY = 600
"""Points from which on a line is drawn around half of each cloud."""

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


@dataclass(frozen=True)
class Cloud:
    """The points of one method, and what they say: its name, and its label among those shown."""

    method: str
    label: str
    searches: bool
    points: Float64[ndarray, "points 2"]
    agreement: Agreement

    @property
    def is_solved(self) -> bool:
        """Whether the method leaves no barrier in our model: all points lie on one line, by construction."""
        return self.agreement.num_solved == self.agreement.num_model_pairs > 0


@dataclass(frozen=True)
class Density:
    """All of a density plot but its looks. ``missing`` says in words what could not be shown."""

    question: DensityQuestion
    clouds: tuple[Cloud, ...]
    datasets: tuple[str, ...]
    architectures: tuple[str, ...]
    num_networks: int
    num_cells: int
    num_real_pairs: int
    num_model_pairs: int
    num_alphas: int
    missing: tuple[str, ...]

    @property
    def absent_world(self) -> str | None:
        """The world of which there are no barriers at all, where there are some of the other."""
        if bool(self.num_real_pairs) == bool(self.num_model_pairs):
            return None
        return "model" if self.num_real_pairs else "real"

    @property
    def has_outlines(self) -> bool:
        """Whether the points are so many that they hide one another."""
        num_points = sum(len(cloud.points) for cloud in self.clouds if not cloud.is_solved)
        return self.has_density and num_points >= NUM_POINTS_MANY

    @property
    def has_density(self) -> bool:
        """Whether there are points enough for a kernel density, and not all of them on a line.

        Those of methods that solve our model are not in it: where they lie says nothing of that world.
        """
        points = np.concatenate(
            [np.empty((0, 2)), *(cloud.points for cloud in self.clouds if not cloud.is_solved)]
        )
        if len(points) < NUM_POINTS_LEAST:
            return False
        return bool(np.linalg.svd(points - points.mean(0), compute_uv=False)[1] > SOLVED)


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


def density(rows: Iterable[Sequence[Any]], question: DensityQuestion) -> Density:
    """The points of each method with their correlation.

    Of one pair measured on several grids of alphas, the finest counts. Pairs whose barrier is null,
    because a network diverged, are left out and counted in ``missing``.

    Args:
        rows: Of the table ``barriers``: COLUMNS, then the column that ``question`` asks for.
        question: What to show.
    """
    asked, found = asked_and_found(rows, question)
    by_method = values_by_method(found, question)
    cells = sorted({row["cell_id"] for row in asked})
    losses = values_by_method([row | {"value": row["loss_barrier"]} for row in found], question)
    clouds = tuple(
        _cloud(named, cells, values, losses[named], question.points) for named, values in by_method.items()
    )
    return Density(
        question=question,
        clouds=clouds,
        datasets=tuple(sorted({row["dataset"] for row in found})),
        architectures=tuple(sorted({row["architecture"] for row in found})),
        num_networks=len({row[end] for row in found for end in ("network_a", "network_b")}),
        num_cells=len({row["cell_id"] for row in found}),
        num_real_pairs=len({_pair(row) for row in found if row["world"] == "real"}),
        num_model_pairs=len({_pair(row) for row in found if row["world"] == "model"}),
        num_alphas=max((len(row["alphas"]) for row in found), default=0),
        missing=tuple(not_shown(question, asked, len(asked) - len(found), by_method)),
    )


def finest(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """One row per pair and method: that of the finest grid."""
    finest: dict[tuple[str, Pair], dict[str, Any]] = {}
    for row in rows:
        key = row["method_json"], _pair(row)
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
        of_cell[_pair(row)] = min(row["value"], of_cell.get(_pair(row), np.inf))
    order = sorted(grouped, key=lambda named: (named[0] not in CONTROLS, named[1]))
    return {
        named: {key: np.array(list(pairs.values())) for key, pairs in grouped[named].items()}
        for named in order
    }


def _cloud(
    named: Named,
    cells: Sequence[str],
    values: dict[tuple[str, str], ndarray],
    losses: dict[tuple[str, str], ndarray],
    points: PointsBy,
) -> Cloud:
    """One method's points and agreement."""
    none = np.empty(0)
    worlds = [(values.get((cell, "real"), none), values.get((cell, "model"), none)) for cell in cells]
    return Cloud(
        method=named[0],
        label=named[1],
        searches=named[0] not in CONTROLS,
        points=np.concatenate([np.empty((0, 2)), *(paired(real, model, points) for real, model in worlds)]),
        agreement=agreement(worlds, [losses.get((cell, "model"), none) for cell in cells]),
    )


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


def _pair(row: dict[str, Any]) -> Pair:
    """What makes two rows barriers of the same pair, before and after different methods."""
    return row["world"], row["pair_id"], row["member_a"], row["member_b"]
