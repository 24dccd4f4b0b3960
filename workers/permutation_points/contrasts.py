"""Directions that tell the copies of a neuron apart, and how the loss bends along them.

Where a neuron stands c times with equal shares of its output weights, what its copies change together the
smaller network can do as well. What is left are contrasts: changes of the copies that add up to zero, in
their parameter vectors and in their output weights. There are (c - 1) (n_{k-1} + 1 + n_{k+1}) of them. The
Hessian mixes no contrast with anything else, since swapping two copies changes no loss; among the contrasts
of one neuron it has, c - 1 times, the eigenvalues of

    [[A / c, M^T], [M, 0]]

with the matrices A and M of ``zero_modes``. So the zero modes and falling directions that copies add are
counted in a small matrix, however large the network: as measured by Hessian products, and as predicted from
the smaller network alone.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from jaxtyping import Float64
from torch import Tensor

from workers.permutation_points.dense import DenseShape
from workers.permutation_points.hessian import hessian_product
from workers.permutation_points.losses import Loss
from workers.permutation_points.zero_modes import AntisymmetricBlock, antisymmetric_block


def contrasts(shape: DenseShape, layer: int, sources: Sequence[int]) -> Float64[Tensor, "directions D"]:
    """Orthonormal directions in which the copies of a source differ, and nothing else changes.

    Args:
        shape: Of the network that holds the copies.
        layer: The hidden layer, from 1.
        sources: Of every neuron of that layer, which neuron of a smaller one it repeats.
    """
    shape.require_hidden(layer)
    places = torch.arange(shape.num_parameters)
    directions = []
    for source in sorted(set(sources)):
        copies = [neuron for neuron, of in enumerate(sources) if of == source]
        of_copies = torch.stack(
            [
                torch.cat([places[shape.neuron(layer, copy)], places[shape.outgoing(layer, copy)]])
                for copy in copies
            ]
        )
        for weights in _weights(len(copies)):
            found = torch.zeros(of_copies.shape[1], shape.num_parameters, dtype=torch.float64)
            for weight, columns in zip(weights.tolist(), of_copies, strict=True):
                found[torch.arange(len(columns)), columns] = weight
            directions.append(found)
    if not directions:
        return torch.zeros(0, shape.num_parameters, dtype=torch.float64)
    return torch.cat(directions)


def measured_contrasts(
    loss: Loss, point: Float64[Tensor, " D"], layer: int, sources: Sequence[int]
) -> Float64[Tensor, " directions"]:
    """Eigenvalues, ascending, of the Hessian along the contrasts of a network that holds copies.

    Args:
        loss: Of the network that holds the copies.
        point: Its vector, with equal shares for the copies of a source.
        layer: The hidden layer, from 1.
        sources: Of every neuron of that layer, the one that it repeats.
    """
    directions = contrasts(loss.shape, layer, sources)
    if not len(directions):
        return torch.zeros(0, dtype=torch.float64)
    images = torch.stack([hessian_product(loss, point, direction) for direction in directions])
    block = directions @ images.T
    return torch.linalg.eigvalsh((block + block.T) / 2)


def predicted_contrasts(
    blocks: dict[int, AntisymmetricBlock], sources: Sequence[int]
) -> Float64[Tensor, " directions"]:
    """The same eigenvalues, ascending, from the smaller network alone.

    Args:
        blocks: Of every neuron of the smaller network that stands there more than once.
        sources: Of every neuron of the larger layer, the one that it repeats.
    """
    found = [
        torch.linalg.eigvalsh(AntisymmetricBlock(blocks[source].bends / count, blocks[source].mixes).matrix)
        for source, count in Counter(sources).items()
        for _ in range(count - 1)
    ]
    return torch.cat(found).sort().values if found else torch.zeros(0, dtype=torch.float64)


def blocks_of(
    loss: Loss, flat: Float64[Tensor, " D"], layer: int, sources: Sequence[int]
) -> dict[int, AntisymmetricBlock]:
    """The matrices A and M of every neuron of the smaller network that is repeated.

    Args:
        loss: Of the smaller network.
        flat: Its vector.
        layer: The hidden layer, from 1.
        sources: Of every neuron of the larger layer, the one that it repeats.
    """
    repeated = [source for source, count in Counter(sources).items() if count > 1]
    return {source: antisymmetric_block(loss, flat, layer, source) for source in repeated}


def steepest_plateau(
    shape: DenseShape, layer: int, sources: Sequence[int], blocks: dict[int, AntisymmetricBlock]
) -> tuple[Float64[Tensor, " D"], float]:
    """The unit direction of equal loss along which the gradient grows fastest, and that growth.

    Output weights u / sqrt(2) are taken from one copy of a neuron and given to another. No output changes;
    the gradient becomes |u^T M|, which is largest at the first left singular vector of M, and 0 along the
    neuron's own output weights where the smaller network is at a critical point.
    """
    if not blocks:
        raise ValueError("no neuron stands there twice: there is no direction of equal loss")
    growth = {source: torch.linalg.svd(block.mixes) for source, block in blocks.items()}
    source = max(growth, key=lambda one: float(growth[one].S[0]))
    first, second, *_ = (neuron for neuron, of in enumerate(sources) if of == source)
    direction = torch.zeros(shape.num_parameters, dtype=torch.float64)
    given = growth[source].U[:, 0] / 2**0.5
    direction[shape.outgoing(layer, first)] = given
    direction[shape.outgoing(layer, second)] = -given
    return direction, float(growth[source].S[0])


def _weights(num_copies: int) -> Float64[Tensor, "contrasts copies"]:
    """Orthonormal weights of copies that add up to 0: a copy against the mean of those before it."""
    rows = torch.zeros(num_copies - 1, num_copies, dtype=torch.float64)
    for k in range(1, num_copies):
        rows[k - 1, :k], rows[k - 1, k] = 1.0, -float(k)
    return torch.nn.functional.normalize(rows, dim=1)
