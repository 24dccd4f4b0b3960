"""Second derivatives of a loss at one network: the whole spectrum, or its lower end.

Float64 and smooth activations alone: a ReLU network has second derivatives of 0 almost everywhere in what its
kinks hide, and in float32 a zero mode cannot be told from a small one.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import scipy.sparse.linalg
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from workers.permutation_points.dense import SMOOTH, outputs
from workers.permutation_points.losses import Loss

LARGEST_FULL = 2000
"""Parameters up to which all eigenvalues are found: 2,000 take 32 MB and some seconds."""

_MOST_RESTARTS = 100
"""Of the Lanczos method, each some 100 products: 20 seconds at 2,500 parameters and 300 examples."""

_SUBSPACE = 100
"""Vectors of the Lanczos method beyond twice as many as eigenvalues are asked."""

ZERO = 1e-11
"""An eigenvalue that is smaller, as a share of the largest, counts as 0.

Float64 leaves some 1e-16 of the largest one in an exact zero mode. Where a network imitates another nearly
without error, what duplication adds is as small as the error: 1e-8 of the largest was seen, and is no zero.
"""


@dataclass(frozen=True)
class Spectrum:
    """Eigenvalues of a Hessian, ascending: all of them, or the lowest.

    Attributes:
        values: Ascending. Of the lowest, those to which the search converged: fewer than were asked, or none,
            where the smallest lie close together beside the largest.
        largest: The largest absolute value of all.
        is_whole: Whether these are all.
    """

    values: Float64[Tensor, " E"]
    largest: float
    is_whole: bool

    @property
    def num_zero(self) -> int:
        """Zero modes: eigenvalues of at most ``ZERO`` times the largest, among those found."""
        return int((self.values.abs() <= ZERO * self.largest).sum())

    @property
    def num_negative(self) -> int:
        """The saddle index: directions in which the loss falls, among those found."""
        return int((self.values < -ZERO * self.largest).sum())


def spectrum(loss: Loss, flat: Float[Tensor, " D"], num_lowest: int = 50) -> Spectrum:
    """All eigenvalues of small networks, the lowest of larger ones by the Lanczos method.

    Args:
        loss: For one network.
        flat: Its vector, float64.
        num_lowest: How many, where not all are found.

    Raises:
        ValueError: For activations without second derivatives, or another type than float64.
    """
    _require_smooth(loss, flat)
    if len(flat) <= LARGEST_FULL:
        values = torch.linalg.eigvalsh(hessian(loss, flat))
        return Spectrum(values, float(values.abs().max()), True)

    def product(vector: np.ndarray) -> np.ndarray:
        direction = torch.as_tensor(np.ascontiguousarray(vector.ravel()))
        found: np.ndarray = hessian_product(loss, flat, direction).numpy()
        return found

    operator = scipy.sparse.linalg.LinearOperator((len(flat),) * 2, matvec=product, dtype=np.float64)
    start = np.ones(len(flat))  # any vector does; the same one gives the same digits
    lowest = _lowest(operator, num_lowest, start)
    highest = scipy.sparse.linalg.eigsh(operator, 1, which="LM", v0=start, return_eigenvectors=False)
    return Spectrum(torch.as_tensor(np.sort(lowest)), float(abs(highest[0])), False)


def _lowest(operator: scipy.sparse.linalg.LinearOperator, num_lowest: int, start: np.ndarray) -> np.ndarray:
    """The smallest eigenvalues, as many as the search converged to."""
    size = operator.shape[0]
    found: np.ndarray
    try:
        found = scipy.sparse.linalg.eigsh(
            operator,
            min(num_lowest, size - 1),
            which="SA",
            v0=start,
            ncv=min(size, 2 * num_lowest + 1 + _SUBSPACE),
            maxiter=_MOST_RESTARTS,
            return_eigenvectors=False,
        )
    except scipy.sparse.linalg.ArpackNoConvergence as error:
        found = np.asarray(error.eigenvalues)
    return found


def hessian(loss: Loss, flat: Float[Tensor, " D"]) -> Float64[Tensor, "D D"]:
    """Second derivatives of the mean loss by all weights and biases."""
    _require_smooth(loss, flat)
    columns = torch.eye(len(flat), dtype=torch.float64)
    found = torch.stack([hessian_product(loss, flat, column) for column in columns])
    return (found + found.T) / 2


def hessian_product(
    loss: Loss, flat: Float64[Tensor, " D"], direction: Float64[Tensor, " D"]
) -> Float64[Tensor, " D"]:
    """The Hessian times a direction, without the Hessian.

    Source:
        Pearlmutter 1994, Fast exact multiplication by the Hessian.
    """
    at = flat.detach().clone().requires_grad_()
    with torch.enable_grad():
        (gradient,) = torch.autograd.grad(mean_loss(loss, at), at, create_graph=True)
        (product,) = torch.autograd.grad(gradient @ direction, at)
    return product


def mean_loss(loss: Loss, flat: Float[Tensor, " D"]) -> Float[Tensor, ""]:
    """The loss of one network by operations that can be differentiated again."""
    found = outputs(loss.shape, flat.unsqueeze(0), loss.inputs)
    if loss.name == "cross_entropy":
        return torch.nn.functional.cross_entropy(found[0].T, loss.targets)
    scale = 1.0 if loss.scale is None else loss.scale[0]
    return ((found - loss.targets[:1]) ** 2).sum() / (loss.inputs.shape[1] * scale)


def _require_smooth(loss: Loss, flat: Tensor) -> None:
    """Raises ValueError unless there are second derivatives, to full precision."""
    if loss.shape.activation not in SMOOTH:
        raise ValueError(
            f"a Hessian needs an activation with second derivatives ({', '.join(sorted(SMOOTH))}), not "
            f"{loss.shape.activation}"
        )
    if flat.dtype != torch.float64:
        raise ValueError(f"a Hessian is taken in float64, not in {flat.dtype}")
