"""How barriers of one cell go together in the two worlds, once what the cells differ by is taken away.

Over cells nearly anything correlates, since what makes a cell hard makes it hard in both worlds. Within a
cell pairs can be joined in two ways. By rank: the k-th smallest of one world with the k-th smallest of
the other. Any two samples rise together then, so this means something only beside what it is between
halves of the real world. By network: real pair k with model pair k, which share a network; it tells
whether a network that is far from another one is far from its own permutations as well.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

from lmc_sweep.analysis.agreement import NUM_CELLS_LEAST, SOLVED
from lmc_sweep.analysis.concordance import NUM_RESAMPLES, Correlation
from lmc_sweep.analysis.world_pairs import CellBarriers


@dataclass(frozen=True)
class Within:
    """Pearson's correlation and Lin's concordance within cells, pooled over cells."""

    pearson: Correlation
    concordance: Correlation


def joined_by_rank(
    values: Float64[ndarray, " pairs"],
    first: Bool[ndarray, "pairs draws"],
    second: Bool[ndarray, "pairs draws"],
) -> Float64[ndarray, "draws points 2"]:
    """The samples' quantiles at (k + 1/2) / n, n the size of the smaller one, of every draw."""
    num_points = int(min(first.sum(0).min(), second.sum(0).min()))
    positions = (np.arange(num_points) + 0.5) / num_points
    return np.stack([_quantiles(values, side, positions).T for side in (first, second)], axis=-1)


def joined_by_network(cell: CellBarriers) -> Float64[ndarray, "1 points 2"]:
    """Mean real and mean model barrier of every cluster that has both; an ordinary one has a pair of each."""
    index = np.unique(cell.clusters, return_inverse=True)[1]
    counts = [np.bincount(index, weights=world) for world in (cell.is_real, ~cell.is_real)]
    sums = [np.bincount(index, weights=cell.values * world) for world in (cell.is_real, ~cell.is_real)]
    both = (counts[0] > 0) & (counts[1] > 0)
    return np.stack([total[both] / count[both] for total, count in zip(sums, counts, strict=True)], -1)[None]


def least_level(num_examples: int, quantity: Literal["loss", "error"]) -> float:
    """The least barrier that others of its cell are measured in: of errors, one example.

    An error is a count of examples: where a cell's mean barrier is a fraction of one, a single example
    more in one pair would be many times the mean, and such cells would make most of what is pooled.
    """
    return 1 / num_examples if quantity == "error" else SOLVED


def moments(points: Float64[ndarray, "draws points 2"], least: float = SOLVED) -> Float64[ndarray, "draws 4"]:
    """Both variances, the covariance and the squared difference of means, in units of the cell's barrier.

    They are divided by the square of the mean over both worlds, or of ``least`` where that is more, so that
    cells of high barriers weigh no more than others; all 0 where the mean is at most SOLVED, or there are
    fewer than two points.
    """
    means = points.mean(1)
    level = means.mean(1)
    centered = points - means[:, None]
    found = np.column_stack(
        [(centered**2).mean(1), centered.prod(2).mean(1), np.square(means[:, 0] - means[:, 1])]
    )
    counts = (level > SOLVED) & (points.shape[1] > 1)
    return np.where(counts[:, None], found / np.maximum(level, least)[:, None] ** 2, 0.0)


def pooled(summed: Float64[ndarray, "draws 4"]) -> Float64[ndarray, "draws 2"]:
    """Pearson's correlation and the concordance of moments summed over cells; NaN without spread.

        cov / sqrt(var_real var_model),    2 cov / (var_real + var_model + (mean_real - mean_model)^2)

    Source:
        Lin 1989, A concordance correlation coefficient to evaluate reproducibility, Biometrics 45.
    """
    real, model, together, level = summed.T
    spread = (real > 0) & (model > 0)
    scale = np.where(spread, real * model, 1.0)
    whole = np.where(spread, real + model + level, 1.0)
    found = np.column_stack([together / np.sqrt(scale), 2 * together / whole])
    return np.where(spread[:, None], found, np.nan)


def within(of_cells: Sequence[Float64[ndarray, "1 4"]], stream: np.random.Generator) -> Within | None:
    """Both coefficients with percentile intervals at 95 % of resampled cells; None for too few cells.

    Args:
        of_cells: ``moments`` of each cell.
        stream: Draws the cells.
    """
    stacked = np.concatenate([np.empty((0, 4)), *of_cells])
    stacked = stacked[stacked[:, :2].sum(1) > 0]
    if len(stacked) < NUM_CELLS_LEAST:
        return None
    value = pooled(stacked.sum(0)[None])[0]
    if not np.isfinite(value).all():
        return None
    drawn = stream.integers(len(stacked), size=(NUM_RESAMPLES, len(stacked)))
    ends = np.nanquantile(pooled(stacked[drawn].sum(1)), [0.025, 0.975], axis=0)
    pearson, agreeing = (Correlation(float(value[k]), *map(float, ends[:, k])) for k in range(2))
    return Within(pearson, agreeing)


def _quantiles(
    values: Float64[ndarray, " pairs"],
    side: Bool[ndarray, "pairs draws"],
    positions: Float64[ndarray, " points"],
) -> Float64[ndarray, "points draws"]:
    """Hazen's quantiles of the pairs on one side of every draw, as ``pairing`` has them."""
    ordered = np.sort(np.where(side, values[:, None], np.inf), axis=0)
    num = side.sum(0)
    at = np.clip(positions[:, None] * num - 0.5, 0, num - 1)
    below = np.floor(at).astype(np.int64)
    above = np.minimum(below + 1, num - 1)
    share = at - below
    low, high = (np.take_along_axis(ordered, place, axis=0) for place in (below, above))
    quantiles: Float64[ndarray, "points draws"] = low + share * (high - low)
    return quantiles
