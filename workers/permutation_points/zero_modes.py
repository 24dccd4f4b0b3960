"""How many flat directions a permutation point has, predicted from the smaller network, and measured.

Two copies of a neuron with parameter vector theta and output weights v / 2 each can change in two ways. What
they change together, the smaller network can do as well: its Hessian says how the loss bends. What they
change against each other, theta by +-delta and output weights by +-epsilon, leaves all outputs as they are to
first order. To second order the loss changes by a form in (delta, epsilon) with the matrix

    [[A, M^T], [M, 0]]        A = sum_x (v . r) g''(theta . x) x x^T        M = sum_x r g'(theta . x) x^T

where r is the derivative of the loss by the pre-activations of the next layer. Its zero modes are what a
permutation point has beyond the smaller network. At a critical point v^T M = 0, so M has a rank of
n_{k+1} - 1 at most, and of n_{k-1} + 1, its columns: for M of the largest rank there are
max(1, n_{k+1} - n_{k-1} - 1) and no more. Proposition 1 (ii) of Brea et al. 2019 says n_{k+1}, which holds
for one output, or where M = 0.

Source:
    The block follows from the second derivatives; Fukumizu and Amari 2000, theorem 3, have it for one output.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from workers.permutation_points.dense import curvature, slope
from workers.permutation_points.hessian import ZERO
from workers.permutation_points.losses import Loss


@dataclass(frozen=True)
class AntisymmetricBlock:
    """The second derivatives in the directions that tell two copies of a neuron apart.

    Attributes:
        bends: A, by what the neuron reads, bias included.
        mixes: M, by what reads the neuron and what it reads.
    """

    bends: Float64[Tensor, "columns columns"]
    mixes: Float64[Tensor, "readers columns"]

    @property
    def matrix(self) -> Float64[Tensor, "size size"]:
        """[[A, M^T], [M, 0]]."""
        readers = self.mixes.shape[0]
        empty = self.mixes.new_zeros(readers, readers)
        return torch.cat(
            [torch.cat([self.bends, self.mixes.T], dim=1), torch.cat([self.mixes, empty], dim=1)]
        )

    @property
    def num_zero(self) -> int:
        """Zero modes that duplication adds."""
        values = torch.linalg.eigvalsh(self.matrix)
        return int((values.abs() <= ZERO * values.abs().max()).sum())

    @property
    def num_negative(self) -> int:
        """Falling directions that duplication adds: none only where M = 0 and A has none."""
        values = torch.linalg.eigvalsh(self.matrix)
        return int((values < -ZERO * values.abs().max()).sum())


def antisymmetric_block(
    loss: Loss, flat: Float64[Tensor, " D"], layer: int, neuron: int
) -> AntisymmetricBlock:
    """The block of a neuron of the smaller network that is to be duplicated.

    Args:
        loss: Of the smaller network.
        flat: Its vector, float64.
        layer: The hidden layer, from 1.
        neuron: The one that is to stand there twice.

    Raises:
        ValueError: If there is no such neuron.
    """
    loss.shape.require_hidden(layer, neuron)
    stacked = flat.detach().unsqueeze(0)
    reads, _ = loss.inside(stacked, layer)
    active, derivative = loss.inside(stacked, layer + 1)
    own = active[0, neuron]
    rise, bend = slope(loss.shape.activation, own), curvature(loss.shape.activation, own)
    weights = stacked[0, loss.shape.outgoing(layer, neuron)]
    bends = (reads[0] * ((weights @ derivative[0]) * bend)) @ reads[0].T
    return AntisymmetricBlock(bends, (derivative[0] * rise) @ reads[0].T)
