"""Distances between the distributions of barriers in the two worlds, and what chance makes of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

from lmc_sweep.analysis.world_pairs import CellBarriers

NUM_RELABELINGS = 2000
# Distances that differ by rounding alone are the same: a share of the largest drawn.
TIES = 1e-12


@dataclass(frozen=True)
class Distances:
    """Kolmogorov-Smirnov and Wasserstein distance with permutation p-values.

    Attributes:
        kolmogorov_smirnov: In [0, 1].
        p_kolmogorov_smirnov: Mid-p: draws that are as far apart count half.
        p_kolmogorov_smirnov_plain: They count in full: never too small, in few clusters too large.
        wasserstein: In units of the barrier.
        p_wasserstein: As of the first distance.
        p_wasserstein_plain: Likewise.
    """

    kolmogorov_smirnov: float
    p_kolmogorov_smirnov: float
    p_kolmogorov_smirnov_plain: float
    wasserstein: float
    p_wasserstein: float
    p_wasserstein_plain: float


def distances_between(
    values: Float64[ndarray, " pairs"],
    first: Bool[ndarray, "pairs draws"],
    second: Bool[ndarray, "pairs draws"],
) -> Float64[ndarray, "draws 2"]:
    """Kolmogorov-Smirnov and first Wasserstein distance of two samples of pairs, of every draw.

    With F and G the empirical distribution functions of the two samples,

        max over x of |F(x) - G(x)|,     integral over x of |F(x) - G(x)|

    Args:
        values: Of all pairs.
        first: Of each draw, the pairs in the first sample; at least one.
        second: The same of the second sample.
    """
    order = np.argsort(values, kind="stable")
    steps = np.diff(values[order])
    falls = first[order] / first.sum(0) - second[order] / second.sum(0)
    heights = np.abs(falls.cumsum(0)[:-1])
    # Between equal values there is no x.
    largest = (heights * (steps > 0)[:, None]).max(0, initial=0)
    return np.stack([largest, steps @ heights], axis=1)


def relabeled(
    cell: CellBarriers, stream: np.random.Generator, num_draws: int = NUM_RELABELINGS
) -> Bool[ndarray, "pairs draws"]:
    """Which pairs are called real, in the first draw as it is, in the others by chance.

    Were the worlds alike, then the labels ``real`` and ``model`` could be exchanged within every cluster
    that holds pairs of both, and among the clusters that hold pairs of one. Pairs that share networks so
    keep together.
    """
    index = np.unique(cell.clusters, return_inverse=True)[1]
    num_clusters = int(index.max()) + 1
    has_real = np.bincount(index[cell.is_real], minlength=num_clusters) > 0
    has_model = np.bincount(index[~cell.is_real], minlength=num_clusters) > 0
    alone = np.flatnonzero(has_real != has_model)
    flipped = stream.random((num_draws, num_clusters)) < 0.5
    order = np.argsort(stream.random((num_draws, len(alone))), axis=1)
    flipped[:, alone] = has_real[alone][order] != has_real[alone]
    flipped[0] = False
    return cell.is_real[:, None] ^ flipped.T[index]


def world_distances(
    cell: CellBarriers, stream: np.random.Generator, num_draws: int = NUM_RELABELINGS
) -> Float64[ndarray, "draws three"]:
    """Both distances between the worlds of a cell, and that of their means: as they are, then relabeled."""
    real = relabeled(cell, stream, num_draws)
    means = [(cell.values @ side) / side.sum(0) for side in (real, ~real)]
    return np.column_stack([distances_between(cell.values, real, ~real), np.abs(means[0] - means[1])])


def distances(drawn: Float64[ndarray, "draws three"]) -> Distances:
    """The first row, and how rare it is among all (the first included).

    The Kolmogorov-Smirnov distance has few values, and of a few clusters most labelings share one. Among
    draws of one value the Wasserstein distance, then that of the means, says which is further apart. A
    p-value is the share of draws further apart plus half the share of those that still are as far (mid-p,
    Lancaster 1961): at least two are, the labels as they are and all of them exchanged.

    Args:
        drawn: ``world_distances`` of a cell, or their mean over cells.
    """
    smirnov = _rarity(drawn)
    moved = _rarity(drawn[:, 1:])
    return Distances(float(drawn[0, 0]), *smirnov, float(drawn[0, 1]), *moved)


def _rarity(drawn: Float64[ndarray, "draws columns"]) -> tuple[float, float]:
    """Mid-p and plain p of the first row, rows being ordered by their columns from left to right."""
    further = np.zeros(len(drawn), dtype=bool)
    tied = np.ones(len(drawn), dtype=bool)
    for column in drawn.T:
        ahead, same = column - column[0], TIES * column.max()
        further |= tied & (ahead > same)
        tied &= np.abs(ahead) <= same
    return float(further.mean() + tied.mean() / 2), float((further | tied).mean())
