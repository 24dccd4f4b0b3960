"""How a loss bends by the weights of every layer, as far as inputs and outputs of the layer tell it apart.

For a layer with inputs a (ones included) and derivatives J of the outputs by its pre-activations, the
Gauss-Newton matrix is the mean of (a a^T) x (J^T H J) over examples, with H that of the loss by the outputs.
It is taken as the product of the two means (K-FAC), which has an inverse by two small eigenproblems. What
all images have in common bends the loss far more than what tells them apart; steps that know it get further.
It starts quasi-Newton steps and does not replace them: what it gets wrong they learn.

Source:
    Martens and Grosse 2015, Optimizing neural networks with Kronecker-factored approximate curvature.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from workers.device import map_on_threads
from workers.permutation_points.dense import DenseShape, slope
from workers.permutation_points.losses import Loss

DAMPING = 0.1
"""Added to every curvature, as a share of the mean one of the network.

On paths of networks trained on MNIST 0.1 and 0.01 led to like losses, 1 to losses half as high again.
"""


@dataclass
class Kronecker:
    """The inverse curvature of every network of a stack, layer by layer.

    Attributes:
        shape: Of the networks.
        below: Of the inputs of each layer, eigenvectors as columns.
        above: Of its pre-activations.
        inverse: One over the damped curvature, by both.
    """

    shape: DenseShape
    below: list[Float[Tensor, "N _ _"]]
    above: list[Float[Tensor, "N _ _"]]
    inverse: list[Float[Tensor, "N _ _"]]

    def times(self, vectors: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """Its product with one vector per network."""
        found = torch.empty_like(vectors)
        layers, into = self.shape.layers(vectors), self.shape.layers(found)
        for n in range(len(vectors)):  # a product of several networks would round otherwise
            for k, (below, above, inverse) in enumerate(
                zip(self.below, self.above, self.inverse, strict=True)
            ):
                turned = above[n].T @ layers[k][n] @ below[n]
                into[k][n] = above[n] @ (turned * inverse[n]) @ below[n].T
        return found

    def rows(self, index: Int64[Tensor, " rows"]) -> Kronecker:
        """That of some of the networks."""
        parts = ([part[index] for part in side] for side in (self.below[1:], self.above, self.inverse))
        below, above, inverse = parts
        return Kronecker(self.shape, [self.below[0][: len(index)], *below], above, inverse)

    def renew(self, index: Int64[Tensor, " rows"], others: Kronecker) -> None:
        """Puts others in the places of some networks."""
        for mine, their in zip(self.above + self.inverse, others.above + others.inverse, strict=True):
            mine[index] = their
        for mine, their in zip(self.below[1:], others.below[1:], strict=True):
            mine[index] = their


@dataclass(frozen=True)
class Bends:
    """The mean of x x^T over the examples of a loss, which all networks share: values and eigenvectors."""

    values: Float64[Tensor, " inputs_and_one"]
    vectors: Float64[Tensor, "inputs_and_one inputs_and_one"]

    @classmethod
    def of(cls, loss: Loss) -> Bends:
        """Those of its examples."""
        (found,) = map_on_threads(lambda inputs: torch.linalg.eigh(_second_moment(inputs)), [loss.inputs])
        return cls(found[0].clamp(min=0), found[1])


def kronecker(
    loss: Loss,
    flat: Float[Tensor, "N D"],
    bends: Bends,
    by_rows: list[Float64[Tensor, "N _ _"]],
    by_columns: list[Float64[Tensor, "N _ _"]],
) -> Kronecker:
    """The inverse curvature at networks, by variables that each layer's matrix depends on as S V T^T.

    Args:
        loss: Of these networks.
        flat: The networks.
        bends: Of the examples; the first layer's T is the identity.
        by_rows: S, of every layer.
        by_columns: T, of every layer.
    """
    rows = [torch.tensor([n]) for n in range(len(flat))]

    def of_one(index: Tensor) -> list[tuple[Tensor, Tensor, Tensor]]:
        below, above = _factors(loss.of_rows(index), flat[index])
        n = int(index)
        outer = by_rows[0][n]
        found = [(bends.values, bends.vectors, *_spectrum(outer.T @ above[0] @ outer))]
        for k in range(1, len(above)):
            inner, outer = by_columns[k][n], by_rows[k][n]
            found.append((*_spectrum(inner.T @ below[k] @ inner), *_spectrum(outer.T @ above[k] @ outer)))
        curvatures = [outer[:, None] * inner for inner, _, outer, _ in found]
        mean = torch.stack([part.sum() for part in curvatures]).sum() / loss.shape.num_parameters
        damping = (DAMPING * mean).clamp(min=torch.finfo(flat.dtype).tiny)  # a sure network bends nothing
        return [
            (inner.to(flat.dtype), outer.to(flat.dtype), (1 / (part + damping)).to(flat.dtype))
            for part, (_, inner, _, outer) in zip(curvatures, found, strict=True)
        ]

    parts = map_on_threads(of_one, rows)
    below, above, inverse = (
        [
            torch.stack(of_layer)
            for of_layer in zip(*[[layer[side] for layer in one] for one in parts], strict=True)
        ]
        for side in range(3)
    )
    shared = bends.vectors.to(flat.dtype).expand(len(flat), -1, -1)  # 785 x 785 on MNIST
    return Kronecker(loss.shape, [shared, *below[1:]], above, inverse)


def _factors(loss: Loss, flat: Float[Tensor, "1 D"]) -> tuple[list[Tensor], list[Tensor]]:
    """Of one network and every layer, the means of a a^T and J^T H J; of the first layer no a a^T."""
    everything = slice(0, loss.inputs.shape[1])
    values = loss.forward(flat, everything)
    layers, num_layers = loss.shape.layers(flat), loss.shape.num_layers
    roots = loss.roots(values.pop(), everything)  # of H: outputs by outputs by examples
    above = [_mean_square(roots)]
    for k in range(num_layers - 1, 0, -1):
        inner = layers[k][0, :, :-1]
        roots = torch.einsum("or,coe->cre", inner, roots)
        roots = roots * slope(loss.shape.activation, values[k][0, :-1])
        above.append(_mean_square(roots))
    nothing = above[0].new_zeros(0)
    return [nothing, *(_second_moment(part[0]) for part in values[1:])], above[::-1]


def _mean_square(roots: Float[Tensor, "roots rows B"]) -> Float64[Tensor, "rows rows"]:
    """The sum over roots of the mean over examples of their products."""
    return torch.einsum("cre,cse->rs", roots, roots).double() / roots.shape[2]


def _second_moment(values: Float[Tensor, "columns B"]) -> Float64[Tensor, "columns columns"]:
    return (values @ values.T).double() / values.shape[1]


def _spectrum(matrix: Float64[Tensor, "n n"]) -> tuple[Tensor, Tensor]:
    """Eigenvalues, none below 0, and eigenvectors; of what is not finite, as in networks that diverged, 1."""
    whole = torch.where(matrix.isfinite().all(), matrix, torch.eye(len(matrix), dtype=matrix.dtype))
    values, vectors = torch.linalg.eigh((whole + whole.T) / 2)
    return values.clamp(min=0), vectors
