"""What the density plot shows: barriers of the real world against those of our model."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from lmc_sweep.analysis.agreement import SOLVED, Agreement, agreement
from lmc_sweep.analysis.density_rows import (
    COLUMNS,
    CONTROLS,
    DensityQuestion,
    Extent,
    Named,
    Quantity,
    asked_and_found,
    not_shown,
    pair_of,
    values_by_method,
)
from lmc_sweep.analysis.pairing import PointsBy, paired

__all__ = [
    "COLUMNS",
    "CONTROLS",
    "NUM_POINTS_LEAST",
    "NUM_POINTS_MANY",
    "Cloud",
    "Density",
    "DensityQuestion",
    "Extent",
    "Quantity",
    "density",
]

NUM_POINTS_LEAST = 12
"""Points below which a kernel density shows the kernel and not the points."""

NUM_POINTS_MANY = 600
"""Points from which on a line is drawn around half of each cloud."""


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
        num_real_pairs=len({pair_of(row) for row in found if row["world"] == "real"}),
        num_model_pairs=len({pair_of(row) for row in found if row["world"] == "model"}),
        num_alphas=max((len(row["alphas"]) for row in found), default=0),
        missing=tuple(not_shown(question, asked, len(asked) - len(found), by_method)),
    )


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
