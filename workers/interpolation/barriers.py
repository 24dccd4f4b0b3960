"""Barriers: how far a curve of loss or error rises above the chord between its endpoints.

All four figures are the same two functions of a curve; they have a name each because they are stored
and reported under it. Everything is float64.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float64
from torch import Tensor


def loss_barrier(
    losses: Float64[Tensor, "P A"],
    alphas: Float64[Tensor, " A"],
) -> Float64[Tensor, " P"]:
    """Height of the loss above the straight line between the endpoints, in nats.

    For each pair, the maximum over the grid of

        L(alpha) - [(1 - alpha) * L(0) + alpha * L(1)]

    The bracket equals L at 0 and at 1, bit for bit, so the result is never negative. On a finite grid
    it is a lower bound of the supremum: store ``alphas`` with it.

    Args:
        losses: Mean loss at each alpha, all on the same examples.
        alphas: Strictly increasing, first 0.0 and last 1.0 exactly.

    Returns:
        One barrier per pair; NaN where any loss of that pair is not finite.

    Raises:
        ValueError: If ``alphas`` is not strictly increasing from 0 to 1.

    Source:
        Entezari et al. 2021, equation 1.
    """
    return _height_above_chord(losses, alphas).amax(dim=-1)


def error_barrier(
    errors: Float64[Tensor, "P A"],
    alphas: Float64[Tensor, " A"],
) -> Float64[Tensor, " P"]:
    """Height of the error above the straight line between the endpoints, as a fraction.

    The formula, the conventions and the refusals of ``loss_barrier``, on the error in [0, 1].
    """
    return _height_above_chord(errors, alphas).amax(dim=-1)


def loss_midpoint_barrier(
    losses: Float64[Tensor, "P A"],
    alphas: Float64[Tensor, " A"],
) -> Float64[Tensor, " P"]:
    """Height of the loss above the mean of the endpoints at alpha = 1/2, in nats; may be negative.

    Args:
        losses: Mean loss at each alpha, all on the same examples.
        alphas: As for ``loss_barrier``, and holding 0.5 exactly.

    Returns:
        One figure per pair, at most its ``loss_barrier``; NaN where any loss of that pair is not finite.

    Raises:
        ValueError: If ``alphas`` is not strictly increasing from 0 to 1, or lacks 0.5.

    Source:
        Entezari et al. 2021, whose figures report this one.
    """
    return _height_above_chord(losses, alphas)[:, _midpoint(alphas)]


def error_midpoint_barrier(
    errors: Float64[Tensor, "P A"],
    alphas: Float64[Tensor, " A"],
) -> Float64[Tensor, " P"]:
    """Height of the error above the mean of the endpoints at alpha = 1/2, as a fraction; may be negative.

    The conventions and the refusals of ``loss_midpoint_barrier``, on the error in [0, 1].
    """
    return _height_above_chord(errors, alphas)[:, _midpoint(alphas)]


def check_alphas(alphas: Float64[Tensor, " A"]) -> None:
    """Refuse a grid that is not strictly increasing from 0 to 1."""
    values = alphas.tolist()
    rising = all(left < right for left, right in pairwise(values))
    if len(values) < 2 or values[0] != 0.0 or values[-1] != 1.0 or not rising:
        raise ValueError(
            f"alphas must increase strictly from 0.0 to 1.0, got {values}: "
            "a barrier is measured from the chord between the endpoints, so the grid must hold both"
        )


def _height_above_chord(curves: Tensor, alphas: Tensor) -> Float64[Tensor, "P A"]:
    """Curve minus chord on the grid; NaN in every entry of a pair that has a figure which is not finite."""
    check_alphas(alphas)
    curves = curves.to(torch.float64)
    # lerp is exact at 0, at 1, and between equal ends everywhere; a sum of two products is not
    chord = torch.lerp(curves[:, :1], curves[:, -1:], alphas.to(curves))
    finite = curves.isfinite().all(dim=-1, keepdim=True)
    return torch.where(finite, curves - chord, torch.nan)


def _midpoint(alphas: Tensor) -> int:
    """Position of alpha = 1/2 on the grid."""
    values = alphas.tolist()
    if 0.5 not in values:
        raise ValueError(
            f"alphas must hold 0.5 exactly for a midpoint barrier, got {values}: add 0.5 to the grid"
        )
    return values.index(0.5)
