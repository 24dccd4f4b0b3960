"""How the mean barriers of cells go together in the two worlds."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from lmc_sweep.analysis.ranks import ranks

NUM_RESAMPLES = 2000
NO_SPREAD = 1e-9
"""Share of the largest scale among resamples below which one has no spread."""


@dataclass(frozen=True)
class Correlation:
    """A correlation over cells with its 95 % interval."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Concordance:
    """Pearson's and Spearman's correlation, and Lin's concordance correlation, over cells."""

    pearson: Correlation
    spearman: Correlation
    concordance: Correlation


def concordance(means: Float64[ndarray, "cells 2"], stream: np.random.Generator) -> Concordance:
    """The three coefficients, with percentile intervals of resampled cells.

    Cells are drawn and not pairs: the pairs' noise is in the means already, and drawing them would add
    it a second time. With few cells the intervals are rough. Draws without spread are left out.

    Args:
        means: Of each cell, the mean barrier in the real world and in our model; both with spread.
        stream: Draws the cells.
    """
    drawn = means[stream.integers(len(means), size=(NUM_RESAMPLES, len(means)))]
    values, resampled = coefficients(means[None])[0], coefficients(drawn)
    ends = np.nanquantile(resampled, [0.025, 0.975], axis=0)
    return Concordance(
        *(Correlation(float(values[k]), float(ends[0, k]), float(ends[1, k])) for k in range(3))
    )


def coefficients(means: Float64[ndarray, "draws cells 2"]) -> Float64[ndarray, "draws 3"]:
    """Pearson's, Spearman's and the concordance correlation of every draw; NaN where one has no spread.

    With means m, variances s^2 (divided by the number of cells) and covariance c, the last is

        2 c / (s_real^2 + s_model^2 + (m_real - m_model)^2)

    which is 1 only where the two are equal cell by cell: it falls short of Pearson's by what the scales
    and the levels of the worlds differ.

    Source:
        Lin 1989, A concordance correlation coefficient to evaluate reproducibility, Biometrics 45.
    """
    centered = means - means.mean(1, keepdims=True)
    variances = (centered**2).mean(1)
    level = np.diff(means.mean(1), axis=1)[:, 0]
    with np.errstate(invalid="ignore", divide="ignore"):
        agreeing = 2 * centered.prod(2).mean(1) / (variances.sum(1) + level**2)
    pearson = _pearson(means)
    return np.stack(
        [pearson, _pearson(ranks(means, axis=1)), np.where(np.isfinite(pearson), agreeing, np.nan)], 1
    )


def _pearson(points: Float64[ndarray, "draws cells 2"]) -> Float64[ndarray, " draws"]:
    """Pearson's correlation of every draw."""
    centered = points - points.mean(1, keepdims=True)
    scale = np.sqrt((centered**2).sum(1).prod(1))
    spread = scale > NO_SPREAD * scale.max(initial=0)
    safe = np.where(spread, scale, 1)
    return np.where(spread, centered.prod(2).sum(1) / safe, np.nan)
