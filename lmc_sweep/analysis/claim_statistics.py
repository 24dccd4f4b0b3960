"""Statistics over a figure's points, each a mean over pairs: what claims are stated in.

All take the means of many bootstrap draws at once, and never a value by itself. A point is one place
on the horizontal axis of one line; where a line compares two kinds of barriers, on one ``side``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeAlias

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

from lmc_sweep.analysis.ranks import ranks
from workers.seeding import derive_seed


@dataclass(frozen=True)
class Points:
    """The points of one line.

    Attributes:
        x: Places, rising within a side.
        means: Of every draw; the first is of the pairs as they are.
        is_first: Whether a point is of the side that is measured against the other; False without sides.
        fits: Whether the networks of a point fit their training examples; False where that is not told.
    """

    x: Float64[ndarray, " points"]
    means: Float64[ndarray, "draws points"]
    is_first: Bool[ndarray, " points"]
    fits: Bool[ndarray, " points"]


Draws: TypeAlias = Float64[ndarray, " draws"]


class UndefinedError(Exception):
    """The points have no such statistic; the text says what is missing."""


def _mean(points: Points) -> Draws:
    return points.means.mean(1)


def _smallest(points: Points) -> Draws:
    return points.means.min(1)


def _largest(points: Points) -> Draws:
    return points.means.max(1)


def _last_to_first(points: Points) -> Draws:
    _need(points, 2)
    return _ratio(points.means[:, -1], points.means[:, 0])


def _last_minus_first(points: Points) -> Draws:
    _need(points, 2)
    difference: Draws = points.means[:, -1] - points.means[:, 0]
    return difference


def _last_to_peak(points: Points) -> Draws:
    _need(points, 3)
    return _ratio(points.means[:, -1], points.means.max(1))


def _peak_from_fit(points: Points) -> Draws:
    """Steps on the grid from the first point that fits to the highest.

    A highest point at an end of the grid is no peak that was seen: it may lie further out. Far from the
    first point that fits it is too far all the same; beside it, nothing can be told.
    """
    _need(points, 3)
    if not points.fits.any():
        raise UndefinedError("no point fits its training examples")
    highest, first, last = points.means.argmax(1), int(points.fits.argmax()), len(points.x) - 1
    if (highest[0] == 0 and first <= 1) or (highest[0] == last and first >= last - 1):
        end = "smallest" if highest[0] == 0 else "largest"
        raise UndefinedError(
            f"no peak was seen: the barrier is highest at the {end} x, {points.x[highest[0]]:g}"
        )
    return highest - float(first)


def _tenfold(points: Points) -> Draws:
    """The factor by which the mean falls for every tenfold of x, from the first point to the last."""
    _need(points, 2)
    if points.x[0] <= 0:
        raise UndefinedError("x must be positive")
    tens = np.log10(points.x[-1] / points.x[0])
    with np.errstate(invalid="ignore"):
        fall: Draws = _ratio(points.means[:, 0], points.means[:, -1]) ** (1 / tens)
    return fall


def _rank_correlation(points: Points) -> Draws:
    return _pearson(ranks(points.x), ranks(points.means, axis=1))


def _correlation(points: Points) -> Draws:
    """Pearson's correlation with x; points are drawn, since their pairs' noise is in the means already."""
    from lmc_sweep.analysis.concordance import coefficients

    if len(points.x) < 3:
        raise UndefinedError(f"it takes 3 points, not {len(points.x)}")
    num_points, num_draws = len(points.x), len(points.means)
    stream = np.random.default_rng(derive_seed("bootstrap", "claim", "points", num_points))
    drawn = stream.integers(num_points, size=(num_draws, num_points))
    drawn[0] = np.arange(num_points)
    return coefficients(np.stack([points.x, points.means[0]], axis=1)[drawn])[:, 0]


def _side_ratio(points: Points) -> Draws:
    """The sum of the first side over that of the other, at places where both are."""
    both = np.intersect1d(points.x[points.is_first], points.x[~points.is_first])
    if len(both) == 0:
        raise UndefinedError("no place has barriers on both sides")
    at = np.isin(points.x, both)
    return _ratio(points.means[:, at & points.is_first].sum(1), points.means[:, at & ~points.is_first].sum(1))


def _need(points: Points, num_points: int) -> None:
    if len(points.x) < num_points:
        raise UndefinedError(f"it takes {num_points} points, not {len(points.x)}")


def _ratio(over: Draws, under: Draws) -> Draws:
    """The quotients; not a number where they are undefined."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(under == 0, np.nan, over / under)


def _pearson(x: Float64[ndarray, " points"], y: Float64[ndarray, "draws points"]) -> Draws:
    """Pearson's correlation of every draw; not a number where nothing varies."""
    if len(x) < 3:
        raise UndefinedError(f"it takes 3 points, not {len(x)}")
    of_x, of_y = x - x.mean(), y - y.mean(1, keepdims=True)
    return _ratio(of_y @ of_x, np.sqrt((of_x**2).sum() * (of_y**2).sum(1)))


BY_POINT = "each"
"""The statistic that makes a part of every point."""

BY_DRAWN_POINTS = "correlation"
"""The statistic whose interval comes of points drawn anew, not of pairs."""

BY_EXPONENT = "exponent"
"""The statistic of every pair's own values along x, whose interval is Student's t over pairs."""

STATISTICS: dict[str, Callable[[Points], Draws]] = {
    BY_POINT: _mean,
    "mean": _mean,
    "smallest": _smallest,
    "largest": _largest,
    "last_to_first": _last_to_first,
    "last_minus_first": _last_minus_first,
    "last_to_peak": _last_to_peak,
    "peak_from_fit": _peak_from_fit,
    "tenfold": _tenfold,
    "rank_correlation": _rank_correlation,
    "correlation": _correlation,
    "side_ratio": _side_ratio,
}

NAMES = (*STATISTICS, BY_EXPONENT)
"""What a claim may name."""
