"""Critical points of one network's loss, to the last digits of float64."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse.linalg
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from workers.permutation_points.hessian import LARGEST_FULL, hessian, hessian_product
from workers.permutation_points.losses import Loss
from workers.permutation_points.minimize import Descent

_NEWTON_STEPS = 30
_FLAT_SHARE = 1e-12
"""Eigenvalues below this share of the largest are no direction to move in: rounding, or a zero mode."""
_KRYLOV_PRODUCTS = 500
"""Hessian products for one Newton step of a network whose whole Hessian is too large."""


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
    """The critical points next to these networks, by Newton's method.

    A step is taken while it shortens the gradient. Directions in which the Hessian vanishes are left alone.
    Networks of more than ``LARGEST_FULL`` parameters get their steps from products with the Hessian (MINRES),
    and may end with more of a gradient.

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
        step = _newton_step(loss, point, gradient)
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


def _newton_step(
    loss: Loss, point: Float64[Tensor, " D"], gradient: Float64[Tensor, " D"]
) -> Float64[Tensor, " D"]:
    """The shortest solution of Hessian times step = gradient."""
    if len(point) > LARGEST_FULL:

        def product(vector: np.ndarray) -> np.ndarray:
            direction = torch.as_tensor(np.ascontiguousarray(vector.ravel()))
            found: np.ndarray = hessian_product(loss, point, direction).numpy()
            return found

        operator = scipy.sparse.linalg.LinearOperator((len(point),) * 2, matvec=product, dtype=np.float64)
        found, _ = scipy.sparse.linalg.minres(
            operator, gradient.numpy(), rtol=1e-10, maxiter=_KRYLOV_PRODUCTS
        )
        return torch.as_tensor(found)
    values, vectors = torch.linalg.eigh(hessian(loss, point))
    bent = values.abs() > _FLAT_SHARE * values.abs().max()
    step: Tensor = vectors[:, bent] @ ((vectors[:, bent].T @ gradient) / values[bent])
    return step
