"""Barriers: how far a curve rises above the chord between its endpoints.

The same two functions serve losses, in nats, and errors, as fractions in [0, 1]. Everything is float64.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float64
from torch import Tensor


def barrier(
    curves: Float64[Tensor, "P A"],
    alphas: Float64[Tensor, " A"],
) -> Float64[Tensor, " P"]:
    """Height of the loss, or of the error, above the straight line between the endpoints.

    For each pair, the maximum over the grid of

        L(alpha) - [(1 - alpha) * L(0) + alpha * L(1)]

    The bracket equals L at 0 and at 1, bit for bit, so the result is never negative. On a finite grid
    it is a lower bound of the supremum: store ``alphas`` with it.

    Args:
        curves: Mean loss or error at each alpha, all on the same examples.
        alphas: Strictly increasing, first 0.0 and last 1.0 exactly.

    Returns:
        One barrier per pair, in the units of the curves; NaN where any figure of that pair is not finite.

    Raises:
        ValueError: If ``alphas`` is not strictly increasing from 0 to 1.

    Source:
        Entezari et al. 2021, equation 1.
    """
    return _height_above_chord(curves, alphas).amax(dim=-1)


def midpoint_barrier(
    curves: Float64[Tensor, "P A"],
    alphas: Float64[Tensor, " A"],
) -> Float64[Tensor, " P"]:
    """Height of the loss, or of the error, above the mean of the endpoints at alpha = 1/2.

    May be negative, where the midpoint is better than its endpoints.

    Args:
        curves: As for ``barrier``.
        alphas: As for ``barrier``, and holding 0.5 exactly.

    Returns:
        One figure per pair, at most its ``barrier``; NaN where any figure of that pair is not finite.

    Raises:
        ValueError: If ``alphas`` is not strictly increasing from 0 to 1, or lacks 0.5.

    Source:
        Entezari et al. 2021, whose figures report this one.
    """
    values = alphas.tolist()
    if 0.5 not in values:
        raise ValueError(f"alphas must hold 0.5 for a midpoint barrier, got {values}: add 0.5 to the grid")
    return _height_above_chord(curves, alphas)[:, values.index(0.5)]


def check_alphas(alphas: Float64[Tensor, " A"]) -> None:
    """Refuse a grid that is not strictly increasing from 0 to 1."""
    values = alphas.tolist()
    rising = all(left < right for left, right in pairwise(values))
    if len(values) < 2 or values[0] != 0.0 or values[-1] != 1.0 or not rising:
        raise ValueError(
            f"alphas must increase strictly from 0.0 to 1.0, got {values}: "
            "a barrier is measured from the chord between the endpoints, so the grid must hold both"
        )


def height_above(
    curves: Float64[Tensor, "P A"],
    ends: Float64[Tensor, "P 2"],
    alphas: Float64[Tensor, " A"],
) -> Float64[Tensor, "P A"]:
    """Curves minus the straight lines between two figures each, on the grid.

    NaN in every entry of a pair that has a figure which is not finite.
    """
    check_alphas(alphas)
    # lerp is exact at 0, at 1, and between equal ends everywhere; a sum of two products is not
    chord = torch.lerp(ends[:, :1], ends[:, 1:], alphas)
    finite = curves.isfinite().all(dim=-1, keepdim=True) & ends.isfinite().all(dim=-1, keepdim=True)
    return torch.where(finite, curves - chord, torch.nan)


def _height_above_chord(curves: Tensor, alphas: Tensor) -> Float64[Tensor, "P A"]:
    """Curves minus the chords between their own ends."""
    return height_above(curves, curves[:, [0, -1]], alphas)
