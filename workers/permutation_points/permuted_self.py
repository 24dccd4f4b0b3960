"""Paths from a network to itself with the neurons of a layer in any other order.

Two of its neurons come together at minimal loss, the layer is put in the wanted order at equal loss, and the
way back is the way there with permuted neurons. So the highest loss on the way is that of one merging path,
whatever the order: the pair whose path rises least connects all orders of the layer.

A merging path is known at its distances. What the loss is on the straight pieces between them is another
question, since a minimum may be far from that at the next distance: ``losses_between`` measures it.

Source:
    Brea et al. 2019, sections 2.1 and 2.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from workers.permutation_points.dense import DenseShape
from workers.permutation_points.duplication import equalized
from workers.permutation_points.equal_loss import EqualLossPath, equal_loss_path
from workers.permutation_points.losses import Loss
from workers.permutation_points.paths import MergingPath


@dataclass(frozen=True)
class PermutedSelf:
    """The three parts of a path from a network to itself in another order.

    Attributes:
        down: From the network to the permutation point, at minimal loss for every distance.
        across: From the permutation point to the same in the other order, at equal loss.
        up: From there to the network in the other order.
    """

    down: EqualLossPath
    across: EqualLossPath
    up: EqualLossPath

    def at(self, times: Float[Tensor, " T"]) -> Float[Tensor, "T D"]:
        """Points at times from 0 to 1, of which each part takes a third.

        Raises:
            ValueError: If a time lies outside.
        """
        if bool(((times < 0) | (times > 1)).any()):
            raise ValueError("times on a path lie between 0 and 1")
        parts = (self.down, self.across, self.up)
        which = (times * 3).long().clamp(max=2)
        found = self.down.corners.new_empty(len(times), self.down.corners.shape[1])
        for k, part in enumerate(parts):
            chosen = which == k
            if chosen.any():
                found[chosen] = part.at((times[chosen] * 3 - k).clamp(0, 1))
        return found


def path_to_permuted_self(shape: DenseShape, path: MergingPath, permutation: Sequence[int]) -> PermutedSelf:
    """The way from the start of a merging path to the same network with its layer in another order.

    Between the distances of the merging path it runs straight.

    Args:
        shape: Of the network.
        path: A merging path of the layer, with its networks.
        permutation: Neuron i of the layer at the end is neuron ``permutation[i]`` of the start.

    Raises:
        ValueError: If the path has not come to distance 0, or the permutation is none of this layer.
    """
    if not path.distances or path.distances[-1] != 0:
        raise ValueError(
            "the merging path ends before its two neurons are one: there is no permutation point"
        )
    point = equalized(shape, path.networks[-1].unsqueeze(0), path.layer, *path.pair)[0]
    across = equal_loss_path(shape, point, path.layer, path.pair, permutation)
    down = torch.stack([*path.networks, point])
    up = in_order(shape, down.flip(0), path.layer, permutation)
    return PermutedSelf(EqualLossPath(down), across, EqualLossPath(up))


def in_order(
    shape: DenseShape, flat: Float[Tensor, "N D"], layer: int, permutation: Sequence[int]
) -> Float[Tensor, "N D"]:
    """The networks whose neuron i of a hidden layer is neuron ``permutation[i]``, which compute the same."""
    shape.require_hidden(layer, *permutation)
    found = flat.clone()
    for neuron, source in enumerate(permutation):
        for place, of in (
            (shape.neuron(layer, neuron), shape.neuron(layer, source)),
            (shape.outgoing(layer, neuron), shape.outgoing(layer, source)),
        ):
            found[:, place] = flat[:, of]
    return found


def swapped(
    shape: DenseShape, flat: Float[Tensor, "N D"], layer: int, pair: tuple[int, int]
) -> Float[Tensor, "N D"]:
    """The networks with two neurons in each other's place."""
    order = list(range(shape.sizes[layer]))
    order[pair[0]], order[pair[1]] = pair[1], pair[0]
    return in_order(shape, flat, layer, order)


def lowest_barrier(paths: Sequence[MergingPath]) -> tuple[MergingPath, float]:
    """Of the paths of one network and layer, the one whose highest loss is least, and its height.

    The height is above the loss at the start. Given the paths of all pairs, the permutation point at the end
    of this one connects all orders of the layer at the least cost that these paths have.

    Source:
        Brea et al. 2019, section 2.2.
    """
    if not paths:
        raise ValueError("no paths: there is no lowest barrier")
    heights = [max(path.losses) - path.losses[0] for path in paths]
    best = min(range(len(paths)), key=lambda k: (heights[k], paths[k].pair))
    return paths[best], heights[best]


def losses_between(
    loss: Loss, networks: Float[Tensor, "T D"] | Sequence[Float[Tensor, " D"]], num: int = 9
) -> Float64[Tensor, " pieces"]:
    """The highest of the losses at so many points inside each straight piece between neighboring networks.

    Args:
        loss: For one network.
        networks: Along a path: one stack, or a list, such as the ``networks`` of a ``MergingPath``.
        num: Points inside each piece, equally spaced.
    """
    shares = torch.linspace(0, 1, num + 2, dtype=networks[0].dtype)[1:-1, None]
    targets = loss.targets.expand(num, -1, -1) if loss.name == "squared" else loss.targets
    scale = None if loss.scale is None else loss.scale.expand(num)
    together = Loss(loss.shape, loss.inputs, targets, scale)
    pieces = pairwise(networks)
    return torch.stack([together(torch.lerp(a, b, shares))[0].max() for a, b in pieces])
