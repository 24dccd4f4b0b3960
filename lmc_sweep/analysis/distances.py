"""Distances between the distributions of barriers in the two worlds, and what chance makes of them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

from lmc_sweep.analysis.world_pairs import CellBarriers

NUM_RELABELINGS = 2000
# Distances that differ by rounding alone are the same.
TIES = 1e-12


@dataclass(frozen=True)
class Distances:
    """Kolmogorov-Smirnov and Wasserstein distance with permutation p-values.

    The first in [0, 1], the second in units of the barrier.
    """

    kolmogorov_smirnov: float
    p_kolmogorov_smirnov: float
    wasserstein: float
    p_wasserstein: float


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
) -> Float64[ndarray, "draws 2"]:
    """Both distances between the worlds of a cell: in the first row as they are, then relabeled."""
    real = relabeled(cell, stream, num_draws)
    return distances_between(cell.values, real, ~real)


def distances(drawn: Float64[ndarray, "draws 2"]) -> Distances:
    """The first row, and the share of rows (the first included) that are at least as large.

    Args:
        drawn: ``world_distances`` of a cell, or their mean over cells.
    """
    at_least = (drawn >= drawn[0] - TIES).mean(0)
    return Distances(float(drawn[0, 0]), float(at_least[0]), float(drawn[0, 1]), float(at_least[1]))
