"""Means of the worlds, their difference with a bootstrap interval, and whether it is within a margin."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Shaped
from numpy import ndarray

from lmc_sweep.analysis.world_pairs import CellBarriers

NUM_RESAMPLES = 4000
LEVEL = 0.95


@dataclass(frozen=True)
class Influences:
    """How far each cluster of a cell pulls the means of the two worlds.

    Attributes:
        means: Of the real world, of our model, and their difference.
        pulls: Of each cluster on the three; their sums are 0, the sums of their squares the variances.
        degrees: Degrees of freedom of the three variances.
    """

    means: Float64[ndarray, " three"]
    pulls: Float64[ndarray, "clusters three"]
    degrees: Float64[ndarray, " three"]


@dataclass(frozen=True)
class Estimate:
    """A number and its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class MeanDifference:
    """The means of the worlds and how they differ.

    Attributes:
        real: Mean barrier of the real world.
        model: That of our model.
        difference: Real minus model.
        standard_error: Of the difference, from the spread of clusters.
        degrees: Degrees of freedom of the standard error.
        p_value: Of no difference, two-sided.
        inner: The ends of the 90 % interval of the difference, which two one-sided tests at 5 % look at.
        margin: Largest difference that counts as none; None where there is none.
        p_equivalence: Of a difference as large as the margin or larger; None without a margin.
    """

    real: Estimate
    model: Estimate
    difference: Estimate
    standard_error: float
    degrees: float
    p_value: float
    inner: tuple[float, float]
    margin: float | None
    p_equivalence: float | None


def influences(cell: CellBarriers) -> Influences:
    """The pulls of a cell's clusters, each world's widened by sqrt(k / (k - 1)) for its k clusters.

    A mean over pairs is a sum over clusters divided by the number of pairs. Cluster j pulls it by

        (sum of its barriers - number of its pairs * mean) / number of all pairs

    exactly where clusters are of one size, to first order otherwise. A cluster that holds pairs of both
    worlds pulls both means, whose difference varies the less, the more they go together.

    Degrees of freedom of the difference are Welch's where no cluster holds both worlds, else those of the
    world of fewer clusters.
    """
    index = np.unique(cell.clusters, return_inverse=True)[1]
    num_clusters = int(index.max()) + 1
    means, pulls, degrees, present = [], [], [], []
    for of_world in (cell.is_real, ~cell.is_real):
        counts = np.bincount(index[of_world], minlength=num_clusters)
        sums = np.bincount(index[of_world], weights=cell.values[of_world], minlength=num_clusters)
        present.append(counts > 0)
        num_present = int(present[-1].sum())
        means.append(sums.sum() / counts.sum())
        widened = np.sqrt(num_present / (num_present - 1)) / counts.sum()
        pulls.append(widened * (sums - counts * means[-1]))
        degrees.append(num_present - 1.0)
    of_difference = min(degrees)
    if not (present[0] & present[1]).any():
        variances = np.stack([[(pull**2).sum()] for pull in pulls])
        of_difference = float(_degrees(variances, np.array(degrees)[:, None])[0])
    return Influences(
        means=np.array([*means, means[0] - means[1]]),
        pulls=np.stack([*pulls, pulls[0] - pulls[1]], axis=1),
        degrees=np.array([*degrees, of_difference]),
    )


def resampled(
    of_cell: Influences, stream: np.random.Generator, num_resamples: int = NUM_RESAMPLES
) -> Float64[ndarray, "resamples three"]:
    """Deviations of the three means when as many clusters are drawn with replacement."""
    num_clusters = len(of_cell.pulls)
    drawn = stream.integers(num_clusters, size=(num_clusters, num_resamples))
    worlds = [of_cell.pulls[:, k][drawn].sum(0) for k in range(2)]
    return np.stack([*worlds, worlds[0] - worlds[1]], axis=1)


def mean_difference(
    cells: Sequence[Influences],
    deviations: Float64[ndarray, "resamples three"],
    margin: float | None,
) -> MeanDifference:
    """What the mean over cells, each of equal weight, says of the worlds.

    The cells are those asked for and are not drawn anew: noise comes from pairs alone.

    Args:
        cells: At least one.
        deviations: The mean over cells of ``resampled``.
        margin: In units of the barrier.
    """
    from scipy import special

    means = np.mean([cell.means for cell in cells], axis=0)
    variances = np.stack([(cell.pulls**2).sum(0) for cell in cells]) / len(cells) ** 2
    degrees = _degrees(variances, np.stack([cell.degrees for cell in cells]))
    error = float(np.sqrt(variances[:, 2].sum()))
    ends = [_interval(deviations[:, k], means[k], degrees[k], LEVEL) for k in range(3)]
    real, model, difference = (Estimate(float(mean), *end) for mean, end in zip(means, ends, strict=True))
    inside = None
    if margin is not None:
        if error > 0:
            inside = float(special.stdtr(degrees[2], (abs(difference.value) - margin) / error))
        else:
            inside = float(abs(difference.value) >= margin)
    if error > 0:
        p_value = float(2 * special.stdtr(degrees[2], -abs(difference.value) / error))
    else:
        p_value = float(difference.value == 0)
    return MeanDifference(
        real=real,
        model=model,
        difference=difference,
        standard_error=error,
        degrees=float(degrees[2]),
        p_value=p_value,
        inner=_interval(deviations[:, 2], means[2], degrees[2], 2 * LEVEL - 1),
        margin=margin,
        p_equivalence=inside,
    )


def _degrees(
    variances: Float64[ndarray, "parts columns"], degrees: Float64[ndarray, "parts columns"]
) -> Float64[ndarray, " columns"]:
    """Degrees of freedom of sums of variances (Satterthwaite); the least where there is no variance."""
    parts = (variances**2 / degrees).sum(0)
    total = variances.sum(0) ** 2
    return np.where(parts > 0, total / np.where(parts > 0, parts, 1), degrees.min(0))


def _interval(
    deviations: Shaped[ndarray, " resamples"], mean: float, degrees: float, level: float
) -> tuple[float, float]:
    """Percentile interval, taken further out by what Student's distribution is wider than the normal.

    The level of a tail is Phi(t(tail; degrees)) in place of the tail: a plain percentile interval of ten
    values misses as often as a normal one would.
    """
    from scipy import special

    tail = float(special.ndtr(special.stdtrit(degrees, (1 - level) / 2)))
    low, high = np.quantile(deviations, [tail, 1 - tail])
    return float(mean + low), float(mean + high)
