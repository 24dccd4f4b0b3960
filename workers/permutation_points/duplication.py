"""Networks that compute what a smaller one does, some of its neurons standing there several times.

Source:
    Brea et al. 2019, definitions 4 and 6. Which of these points are critical, and which only of equal loss,
    is more than the paper says: see ``critical_shares`` and ``equal_loss_directions``.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from workers.permutation_points.dense import DenseShape


def duplicated(
    shape: DenseShape,
    flat: Float[Tensor, "N D"],
    layer: int,
    sources: Sequence[int],
    shares: Float[Tensor, " width"] | None = None,
) -> tuple[DenseShape, Float[Tensor, "N larger"]]:
    """The larger network whose neurons of one layer are copies of these neurons of the smaller one.

    Copies have the parameter vector of their source; their output weights are its own times their share.
    If the smaller network is at a critical point, so is the larger one, whatever the shares, provided
    that those of one source add up to 1.

    Args:
        shape: Of the smaller network.
        flat: Its vectors.
        layer: A hidden layer, from 1.
        sources: For every neuron of the larger layer, the neuron of the smaller one that it repeats.
        shares: Of every neuron of the larger layer; None: equal shares, as at a permutation point.

    Raises:
        ValueError: If a neuron of the smaller layer has no copy, or the shares of one do not add up to 1.
    """
    shape.require_hidden(layer, *sorted(set(sources)))
    width = shape.sizes[layer]
    absent = sorted(set(range(width)) - set(sources))
    if absent:
        raise ValueError(f"neuron {absent[0]} of layer {layer} stands nowhere in the larger layer")
    source = torch.as_tensor(sources)
    equal = 1 / torch.bincount(source, minlength=width).to(flat.dtype)[source]
    share = equal if shares is None else shares.to(flat.dtype)
    total = torch.zeros(width, dtype=flat.dtype).index_add(0, source, share)
    if not torch.allclose(total, torch.ones_like(total), rtol=0, atol=1e-12):
        raise ValueError(f"the shares of the copies of one neuron add up to 1, not to {total.tolist()}")
    layers = [matrix.clone() for matrix in shape.layers(flat)]
    layers[layer - 1] = layers[layer - 1][:, source]
    above = layers[layer]
    layers[layer] = torch.cat([above[:, :, :-1][:, :, source] * share, above[:, :, -1:]], dim=2)
    larger = shape.with_width(layer, len(sources))
    return larger, torch.cat([matrix.flatten(1) for matrix in layers], dim=1)


def merged(
    shape: DenseShape, flat: Float[Tensor, "N D"], layer: int, kept: int, moved: int
) -> tuple[DenseShape, Float[Tensor, "N smaller"]]:
    """The smaller network in which two neurons with one parameter vector are one, which computes the same.

    Its output weights are the sum of theirs. What ``moved`` read is dropped.
    """
    shape.require_hidden(layer, kept, moved)
    layers = [matrix.clone() for matrix in shape.layers(flat)]
    layers[layer][:, :, kept] += layers[layer][:, :, moved]
    stay = torch.tensor([index for index in range(shape.sizes[layer]) if index != moved])
    layers[layer - 1] = layers[layer - 1][:, stay]
    above = layers[layer]
    layers[layer] = torch.cat([above[:, :, :-1][:, :, stay], above[:, :, -1:]], dim=2)
    smaller = shape.with_width(layer, shape.sizes[layer] - 1)
    return smaller, torch.cat([matrix.flatten(1) for matrix in layers], dim=1)


def equalized(
    shape: DenseShape, flat: Float[Tensor, "N D"], layer: int, kept: int, moved: int
) -> Float[Tensor, "N D"]:
    """The permutation point: two neurons with one parameter vector share their output weights equally.

    The outputs stay as they are where the parameter vectors are equal.

    Source:
        Brea et al. 2019, section 2.1, from t = 1/4 to t = 1/2.
    """
    shape.require_hidden(layer, kept, moved)
    first, second = shape.outgoing(layer, kept), shape.outgoing(layer, moved)
    found = flat.clone()
    mean = (flat[:, first] + flat[:, second]) / 2
    found[:, first], found[:, second] = mean, mean
    return found


def equal_loss_directions(
    shape: DenseShape, layer: int, sources: Sequence[int]
) -> Float[Tensor, "directions D"]:
    """Directions of the weights along which no output changes while copies stay copies: K n_{k+1} of them.

    Each takes output weight to one neuron of the next layer from a copy and gives it to the first copy of the
    same source. The outputs, and so the loss, stay; the gradient does not: it vanishes for certain only where
    all copies of a source have output weights along one vector, that of the source (``critical_shares``).

    Source:
        Brea et al. 2019, proposition 2 (ii), for the dimension.
    """
    first: dict[int, int] = {}
    directions = []
    for neuron, source in enumerate(sources):
        if source not in first:
            first[source] = neuron
            continue
        places = torch.arange(shape.num_parameters)
        for gains, loses in zip(
            places[shape.outgoing(layer, first[source])].tolist(),
            places[shape.outgoing(layer, neuron)].tolist(),
            strict=True,
        ):
            direction = torch.zeros(shape.num_parameters, dtype=torch.float64)
            direction[gains], direction[loses] = 1.0, -1.0
            directions.append(direction)
    return (
        torch.stack(directions) if directions else torch.zeros(0, shape.num_parameters, dtype=torch.float64)
    )


def critical_shares(
    shape: DenseShape, flat: Float[Tensor, " D"], layer: int, sources: Sequence[int]
) -> Float[Tensor, "directions D"]:
    """Directions that change the shares of copies of a source in its output weights: K of them.

    Along these the point stays critical if the smaller network is at a critical point.
    """
    first: dict[int, int] = {}
    directions = []
    for neuron, source in enumerate(sources):
        if source not in first:
            first[source] = neuron
            continue
        total = sum(flat[shape.outgoing(layer, copy)] for copy, of in enumerate(sources) if of == source)
        direction = torch.zeros_like(flat)
        direction[shape.outgoing(layer, first[source])] = total
        direction[shape.outgoing(layer, neuron)] = -total
        directions.append(direction)
    return torch.stack(directions) if directions else flat.new_zeros(0, len(flat))
