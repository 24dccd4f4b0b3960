"""Points from barriers of two worlds, of which no pair has a natural partner in the other.

Model pair k starts from the first member of real pair k, so joining by that network would be possible.
But the barrier of a pair depends on both its members, and which networks the list of seeds puts into
one pair is arbitrary: such points would scatter by an accident of numbering. Within a cell the two
worlds are therefore compared as distributions, quantile against quantile; or by their means.

Sorting makes points of one cell rise together even where the worlds have nothing in common but the
cell. It is a way to draw, and no statistic is taken over such points: see ``agreement``.
"""

from __future__ import annotations

from typing import Literal

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

PointsBy = Literal["rank", "cell"]


def paired(
    real: Float64[ndarray, " real"], model: Float64[ndarray, " model"], by: PointsBy
) -> Float64[ndarray, "points 2"]:
    """Points (real, model) of one cell; none where a world has no barrier.

    By ``rank``, the k-th smallest barriers of the two worlds are the coordinates of point k. Where one
    world has fewer pairs, as in a sweep that still runs, the other is represented by as many quantiles
    at the positions (k + 1/2) / n. By ``cell``, there is one point: the two means.
    """
    if len(real) == 0 or len(model) == 0:
        return np.empty((0, 2))
    if by == "cell":
        return np.array([[real.mean(), model.mean()]])
    num_points = min(len(real), len(model))
    positions = (np.arange(num_points) + 0.5) / num_points
    return np.stack([np.quantile(world, positions, method="hazen") for world in (real, model)], axis=1)
