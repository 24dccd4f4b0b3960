"""What the statistics of likeness are between halves of the real world, which are alike by construction.

A coefficient of two worlds measured on few pairs falls short of 1, and a distance of 0, by noise alone.
Two random halves of the real world's clusters show how far. Their noise is that of half as many pairs,
so the worlds are set beside them at the same size: a half of the real world against the pairs of our
model that belong to the other half.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

from lmc_sweep.analysis.agreement import SOLVED
from lmc_sweep.analysis.concordance import coefficients
from lmc_sweep.analysis.distances import distances_between
from lmc_sweep.analysis.within_cells import joined_by_rank, moments, pooled
from lmc_sweep.analysis.world_pairs import CellBarriers

NUM_SPLITS = 200
NUM_CLUSTERS_LEAST = 4
"""Clusters of the real world below which it is not halved: a half needs two."""


@dataclass(frozen=True)
class Likeness:
    """Statistics between two samples of barriers, as means over random splits.

    Attributes:
        difference: Size of the difference of means, without sign, in units of the barrier.
        kolmogorov_smirnov: Mean over cells.
        wasserstein: Mean over cells, in units of the barrier.
        pearson: Over cells; None where it is undefined, as in a single cell.
        spearman: Likewise.
        concordance: Likewise.
        within_pearson: Within cells, joined by rank; None as those over cells.
        within_concordance: Likewise.
    """

    difference: float
    kolmogorov_smirnov: float
    wasserstein: float
    pearson: float | None
    spearman: float | None
    concordance: float | None
    within_pearson: float | None
    within_concordance: float | None


@dataclass(frozen=True)
class HalfDraws:
    """Of one cell and every split, real half against real half, and against the other half's model.

    The last axis holds the means of both sides, the two distances, and the four moments of the points
    joined by rank.
    """

    ceiling: Float64[ndarray, "splits 8"]
    worlds: Float64[ndarray, "splits 8"]


def half_draws(cell: CellBarriers, stream: np.random.Generator, least: float = SOLVED) -> HalfDraws | None:
    """The draws of a cell; None where the real world, or its partner in our model, is too small to halve.

    Clusters are halved whole, so that no network is on both sides. ``least`` is as ``moments`` takes it.
    """
    of_real, of_model = (np.unique(cell.clusters[which]) for which in (cell.is_real, ~cell.is_real))
    # Model pairs outside the real world's clusters are halved along with them.
    index = np.unique(cell.clusters, return_inverse=True)[1]
    if min(len(of_real), len(of_model)) < NUM_CLUSTERS_LEAST:
        return None
    known = np.unique(cell.clusters)
    is_first = np.zeros((NUM_SPLITS, len(known)), dtype=bool)
    rest = np.setdiff1d(known, of_real)
    for part in (of_real, rest):
        places = np.searchsorted(known, part)
        order = np.argsort(stream.random((NUM_SPLITS, len(part))), axis=1)
        is_first[:, places] = order < len(part) // 2
    first: Bool[ndarray, "pairs splits"] = is_first.T[index]
    is_real = cell.is_real[:, None]
    sides = first & is_real, ~first & is_real, ~first & ~is_real
    # In a store that is filling up a half may hold no pair of our model: such splits say nothing.
    usable = np.all([side.any(0) for side in sides], axis=0)
    if not usable.all():
        return None
    return HalfDraws(
        ceiling=_between(cell.values, sides[0], sides[1], least),
        worlds=_between(cell.values, sides[0], sides[2], least),
    )


def likeness(draws: Sequence[Float64[ndarray, "splits 8"]]) -> Likeness:
    """Means over splits of what the cells say together; at least one cell."""
    stacked = np.stack(draws, axis=1)
    means, apart = stacked[:, :, :2], stacked[:, :, 2:4].mean((0, 1))
    over_cells: tuple[float | None, ...] = (None, None, None)
    within_cells: tuple[float | None, ...] = (None, None)
    if len(draws) > 2:
        over_cells = _mean_of_usable(coefficients(means))
        within_cells = _mean_of_usable(pooled(stacked[:, :, 4:].sum(1)))
    difference = np.abs((means[:, :, 0] - means[:, :, 1]).mean(1)).mean()
    return Likeness(float(difference), float(apart[0]), float(apart[1]), *over_cells, *within_cells)


def _mean_of_usable(found: Float64[ndarray, "splits values"]) -> tuple[float | None, ...]:
    """Means over the splits in which all are defined; None where there are none."""
    usable = np.isfinite(found).all(1)
    means = found[usable].mean(0) if usable.any() else [None] * found.shape[1]
    return tuple(None if value is None else float(value) for value in means)


def _between(
    values: Float64[ndarray, " pairs"],
    first: Bool[ndarray, "pairs splits"],
    second: Bool[ndarray, "pairs splits"],
    least: float,
) -> Float64[ndarray, "splits 8"]:
    """Means of both sides, the distances between them, and the moments of their ranks."""
    means = [(values @ side) / side.sum(0) for side in (first, second)]
    ranked = moments(joined_by_rank(values, first, second), least)
    return np.column_stack([*means, distances_between(values, first, second), ranked])
