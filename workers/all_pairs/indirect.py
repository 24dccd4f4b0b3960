"""Barriers between two networks by way of a third."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64, Int64

NO_NETWORK = -1
"""Where no third network will do."""


@dataclass(frozen=True)
class Indirect:
    """For every pair of N networks, the lowest way over one other network."""

    heights: Float64[np.ndarray, "N N"]
    """The larger barrier of its two legs; NaN where no third network has known barriers with both."""
    intermediates: Int64[np.ndarray, "N N"]
    """The third network, of equals the first; ``NO_NETWORK`` where there is none."""


def indirect(direct: Float64[np.ndarray, "N N"]) -> Indirect:
    """For every pair A, C the least over B of the larger of the barriers of A, B and of B, C.

        I[A, C] = min over B, not A and not C, of max(D[A, B], D[B, C])

    The direct barrier of A and C has no part in it, so it may be above or below. Values may be negative,
    as midpoint barriers are.

    Args:
        direct: Symmetric; NaN where a barrier is not known. The diagonal is not read.

    Raises:
        ValueError: If it is not symmetric, or holds an infinite barrier.

    Source:
        Entezari et al. 2021, appendix E.3.
    """
    legs = known_legs(direct)
    heights, intermediates = np.full(legs.shape, np.inf), np.full(legs.shape, NO_NETWORK)
    for first, own in enumerate(legs if len(legs) > 1 else ()):
        ways = np.maximum(own, legs)  # [C, B]: legs is symmetric
        best = ways.argmin(1)
        heights[first], intermediates[first] = ways[np.arange(len(best)), best], best
    np.fill_diagonal(heights, np.inf)
    unknown = np.isinf(heights)
    heights[unknown], intermediates[unknown] = np.nan, NO_NETWORK
    return Indirect(heights, intermediates)


def known_legs(direct: Float64[np.ndarray, "N N"]) -> Float64[np.ndarray, "N N"]:
    """The barriers, infinite where they are not known and on the diagonal.

    Raises:
        ValueError: If the matrix is not symmetric, or holds an infinite barrier.
    """
    legs = np.array(direct, dtype=np.float64)
    np.fill_diagonal(legs, np.nan)
    if not np.array_equal(legs, legs.T, equal_nan=True):
        raise ValueError("the barrier of A and B is that of B and A, and this matrix is not symmetric")
    if np.isinf(legs).any():
        raise ValueError("a barrier is finite, or NaN where it is not known; this matrix holds an infinity")
    legs[np.isnan(legs)] = np.inf
    return legs
