"""Which two neurons of a layer are brought together."""

from __future__ import annotations

from itertools import combinations
from typing import Literal

import torch
from jaxtyping import Float
from torch import Tensor

from workers.permutation_points.dense import DenseShape
from workers.permutation_points.losses import Loss

PairRule = Literal["cosine", "distance"]


def ranked_pairs(
    shape: DenseShape,
    flat: Float[Tensor, " D"],
    layer: int,
    rule: PairRule,
    silent: frozenset[int] = frozenset(),
) -> list[tuple[int, int]]:
    """All pairs of neurons of a hidden layer, most alike first; of equal ones the smaller numbers.

    ``cosine``: by the cosine between parameter vectors, biases included, largest first (Brea et al. 2019,
    figure 3). ``distance``: by the length of their difference, smallest first. Pairs with a ``silent`` neuron
    come last, by the same order: such neurons are alike to the rule, and merging them changes nothing.
    """
    shape.require_hidden(layer)
    vectors = shape.layers(flat.unsqueeze(0))[layer - 1][0].double()
    if rule == "cosine":
        unit = torch.nn.functional.normalize(vectors, dim=1)
        unlikeness = -(unit @ unit.T)
    else:
        unlikeness = torch.cdist(vectors, vectors, compute_mode="donot_use_mm_for_euclid_dist")
    return sorted(
        combinations(range(shape.sizes[layer]), 2),
        key=lambda pair: (not silent.isdisjoint(pair), float(unlikeness[pair]), pair),
    )


def silent_neurons(loss: Loss, flat: Float[Tensor, "1 D"], layer: int) -> frozenset[int]:
    """The ReLU neurons of a hidden layer of one network that are 0 on all examples; none of other kinds."""
    loss.shape.require_hidden(layer)
    if loss.shape.activation != "relu":
        return frozenset()
    highest = loss.highest_activations(flat, layer)[0]
    return frozenset((highest == 0).nonzero().flatten().tolist())


def nearest_kink(
    shape: DenseShape, flat: Float[Tensor, "N D"], inputs: Float[Tensor, "inputs_and_one B"]
) -> Float[Tensor, " N"]:
    """How far each ReLU network is from the next kink of its loss.

    A pre-activation a = theta . x vanishes at a distance of |a| / |x| from theta, where x is what the neuron
    reads, bias included. The least over hidden neurons and examples bounds from above how far the network can
    move before a neuron turns on or off for some example.
    """
    layers, hidden = shape.layers(flat), inputs.expand(flat.shape[0], -1, -1)
    nearest = torch.full((flat.shape[0],), torch.inf, dtype=flat.dtype)
    for weights in layers[:-1]:
        before = torch.bmm(weights, hidden)
        nearest = torch.minimum(nearest, (before.abs() / hidden.norm(dim=1, keepdim=True)).amin((1, 2)))
        active = torch.relu(before)
        hidden = torch.cat([active, active.new_ones(active.shape[0], 1, active.shape[2])], dim=1)
    return nearest
