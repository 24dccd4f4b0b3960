"""Barriers of listed pairs, and the ways around them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

from workers.all_pairs.bottleneck import bottlenecks
from workers.all_pairs.drawing import Pair
from workers.all_pairs.indirect import indirect


@dataclass(frozen=True)
class Ways:
    """Of each of P pairs the direct barrier, the indirect one and the bottleneck.

    Attributes:
        direct: NaN where it is not known.
        indirect: NaN where no third network has known barriers with both.
        intermediates: Positions of those third networks, or -1.
        bottlenecks: NaN where no chain of known barriers joins the pair.
        num_legs: Of the shortest chain that is as low, or 0.
    """

    direct: Float64[np.ndarray, " P"]
    indirect: Float64[np.ndarray, " P"]
    intermediates: Int64[np.ndarray, " P"]
    bottlenecks: Float64[np.ndarray, " P"]
    num_legs: Int64[np.ndarray, " P"]


def ways(num_networks: int, pairs: Sequence[Pair], heights: Sequence[float | None]) -> Ways:
    """The direct and the lowest other ways of some pairs, over the pairs whose barriers are known.

    Args:
        num_networks: How many there are.
        pairs: Positions of the networks of each pair; a pair may come twice, with the same barrier.
        heights: Barrier of each pair; None where a network diverged.
    """
    first, second = np.array(pairs, dtype=np.int64).reshape(-1, 2).T
    direct = np.array([np.nan if height is None else height for height in heights], dtype=np.float64)
    matrix = np.full((num_networks, num_networks), np.nan)
    matrix[first, second] = matrix[second, first] = direct
    third, lowest = indirect(matrix), bottlenecks(matrix)
    return Ways(
        direct=direct,
        indirect=third.heights[first, second],
        intermediates=third.intermediates[first, second],
        bottlenecks=lowest.heights[first, second],
        num_legs=lowest.num_legs[first, second],
    )
