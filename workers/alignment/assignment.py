"""Which unit takes which place: assignments of W units to W places."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float64, Int64
from scipy.optimize import linear_sum_assignment
from torch import Tensor


def largest_sum(gains: Float64[Tensor, "W W"]) -> Int64[Tensor, " W"]:
    """The unit for each place that makes the sum of ``gains[place, unit]`` largest: exact.

    SciPy's solver lets go of the interpreter's lock, so that several threads assign side by side.
    """
    _, units = linear_sum_assignment(gains.numpy(), maximize=True)
    return torch.from_numpy(units).to(torch.int64)


def smallest_sum(costs: Float64[Tensor, "W W"]) -> Int64[Tensor, " W"]:
    """The unit for each place that makes the sum of ``costs[place, unit]`` smallest: exact."""
    _, units = linear_sum_assignment(costs.numpy())
    return torch.from_numpy(units).to(torch.int64)


def nearest_first(costs: Float64[Tensor, "W W"]) -> Int64[Tensor, " W"]:
    """The unit for each place if the smallest cost of all is taken, then the smallest left, and so on.

    Of equal costs, that of the first place is taken first, then that of the first unit.
    """
    num = len(costs)
    order = np.argsort(costs.numpy().ravel(), kind="stable")
    taken = np.full(num, -1)
    is_free = np.ones(num, dtype=bool)
    # most entries lie in rows or columns that are gone when their turn comes: whole pieces are sifted at once
    for start in range(0, len(order), 4 * num):
        places, units = np.divmod(order[start : start + 4 * num], num)
        open_ones = (taken[places] < 0) & is_free[units]
        for place, unit in zip(places[open_ones].tolist(), units[open_ones].tolist(), strict=True):
            if taken[place] < 0 and is_free[unit]:
                taken[place], is_free[unit] = unit, False
    return torch.from_numpy(taken).to(torch.int64)


def matched(values: Float64[Tensor, "W W"], units: Int64[Tensor, " W"]) -> float:
    """The sum of ``values[place, unit]`` over all places."""
    return float(values.gather(1, units.unsqueeze(1)).sum())
