"""Critical points of one network's loss, to the last digits of float64."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from workers.permutation_points.hessian import hessian
from workers.permutation_points.losses import Loss
from workers.permutation_points.minimize import Descent

_NEWTON_STEPS = 30
_FLAT_SHARE = 1e-12
"""Eigenvalues below this share of the largest are no direction to move in: rounding, or a zero mode."""


@dataclass(frozen=True)
class Polished:
    """Networks at a critical point each, as far as it could be reached.

    Attributes:
        points: Their vectors.
        losses: There.
        gradient_norms: Euclidean lengths of the gradients there.
    """

    points: Float64[Tensor, "N D"]
    losses: Float64[Tensor, " N"]
    gradient_norms: Float64[Tensor, " N"]


def minimized(
    loss: Loss, starts: Float[Tensor, "N D"], gradient_norm: float, max_evaluations: int
) -> Float[Tensor, "N D"]:
    """Minima of the loss from these networks, as far as so many evaluations lead."""
    descent = Descent.start(starts)
    for _ in range(max_evaluations):
        descent.advance(loss)
        if bool(((descent.gradients.norm(dim=1) <= gradient_norm) | descent.is_stalled).all()):
            break
    return descent.points


def polished(loss: Loss, starts: Float64[Tensor, "N D"], gradient_norm: float = 1e-13) -> Polished:
    """The critical points next to these networks, by Newton's method with the whole Hessian.

    A step is taken while it shortens the gradient. Directions in which the Hessian vanishes are left alone.

    Raises:
        ValueError: For activations without second derivatives, or another type than float64.
    """
    points = torch.stack(
        [_polished(loss.of_rows(torch.tensor([k])), starts[k], gradient_norm) for k in range(len(starts))]
    )
    losses, gradients = loss(points)
    return Polished(points, losses, gradients.norm(dim=1))


def _polished(loss: Loss, start: Float64[Tensor, " D"], gradient_norm: float) -> Float64[Tensor, " D"]:
    """One network at its critical point."""
    point = start
    gradient = loss(point.unsqueeze(0))[1][0]
    for _ in range(_NEWTON_STEPS):
        if gradient.norm() <= gradient_norm:
            break
        values, vectors = torch.linalg.eigh(hessian(loss, point))
        bent = values.abs() > _FLAT_SHARE * values.abs().max()
        step = vectors[:, bent] @ ((vectors[:, bent].T @ gradient) / values[bent])
        share = 1.0
        while share > 1e-6:
            trial = point - share * step
            found = loss(trial.unsqueeze(0))[1][0]
            if found.norm() < gradient.norm():
                break
            share /= 2
        else:
            break
        point, gradient = trial, found
    return point
