"""Paths of equal loss from a permutation point to any of its permuted copies.

Where two neurons are one, one of them can do all the work, and the other is free: its output weights are 0,
so its parameter vector may become that of any neuron, which then hands its work over and is free in turn. So
the neurons of the layer change places like the tiles of a sliding puzzle, and no output changes on the way.

Source:
    Brea et al. 2019, proposition 1 (iii) and its six steps in appendix C.2.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from workers.permutation_points.dense import DenseShape


@dataclass(frozen=True)
class EqualLossPath:
    """A path of straight pieces in the space of weights, walked at constant speed from t = 0 to t = 1."""

    corners: Float[Tensor, "corners D"]

    @property
    def length(self) -> float:
        """Sum of the lengths of its pieces."""
        return float(self._lengths().sum())

    def at(self, times: Float[Tensor, " T"]) -> Float[Tensor, "T D"]:
        """The points at these times: steps of time dt are steps of length dt times ``length`` at most."""
        lengths = self._lengths()
        if not lengths.sum():
            return self.corners[:1].expand(len(times), -1)
        reached = torch.cat([lengths.new_zeros(1), lengths.cumsum(0)]) / lengths.sum()
        piece = (torch.searchsorted(reached, times.to(reached.dtype), right=True) - 1).clamp(
            0, len(lengths) - 1
        )
        share = (times - reached[piece]) / (reached[piece + 1] - reached[piece])
        share = torch.where(times >= 1, torch.ones_like(share), share)
        last = torch.where(times >= 1, len(lengths), piece + 1)
        return torch.lerp(self.corners[piece], self.corners[last], share[:, None].to(self.corners.dtype))

    def _lengths(self) -> Tensor:
        lengths: Tensor = (self.corners[1:] - self.corners[:-1]).norm(dim=1)
        return lengths


def equal_loss_path(
    shape: DenseShape,
    point: Float[Tensor, " D"],
    layer: int,
    pair: tuple[int, int],
    permutation: Sequence[int],
) -> EqualLossPath:
    """From a permutation point to the network whose neuron i of the layer is neuron ``permutation[i]`` of it.

    Args:
        shape: Of the network.
        point: A network whose neurons l and m of the layer have one parameter vector.
        layer: The hidden layer, from 1.
        pair: l and m.
        permutation: Of the layer's neurons, in gather convention.

    Raises:
        ValueError: If l and m have different parameter vectors, or the permutation is none of this layer.
    """
    worker, idle = pair
    shape.require_hidden(layer, worker, idle)
    width = shape.sizes[layer]
    if sorted(permutation) != list(range(width)):
        raise ValueError(
            f"layer {layer} is permuted by an order of 0 to {width - 1}, not by {list(permutation)}"
        )
    if not torch.equal(point[shape.neuron(layer, worker)], point[shape.neuron(layer, idle)]):
        raise ValueError(
            f"neurons {worker} and {idle} of layer {layer} are not one: this is no permutation point"
        )
    walk = _Walk(shape, layer, [point.clone()])
    shares = point[shape.outgoing(layer, worker)].clone(), point[shape.outgoing(layer, idle)].clone()
    walk.hand_over(idle, worker)
    holds = list(range(width))  # the work that each neuron does; that of l is the work of both
    free, end = idle, list(permutation).index(idle)
    while True:
        if free != end:
            wanted = permutation[free]
        else:
            misplaced = [n for n in range(width) if n != free and holds[n] != permutation[n]]
            if not misplaced:
                break
            wanted = holds[misplaced[0]]
        giver = next(n for n in range(width) if n != free and holds[n] == wanted)
        walk.become(free, giver)
        walk.hand_over(giver, free)
        walk.vanish(giver)
        holds[free], free = wanted, giver
    walk.become(free, list(permutation).index(worker))
    walk.share(list(permutation).index(worker), free, *shares)
    return EqualLossPath(torch.stack(walk.corners))


@dataclass
class _Walk:
    """Corners of a path, each of which changes the weights of one or two neurons."""

    shape: DenseShape
    layer: int
    corners: list[Tensor]

    def become(self, free: int, other: int) -> None:
        """The parameter vector of a neuron without output weights becomes another's."""
        point = self.corners[-1].clone()
        point[self.shape.neuron(self.layer, free)] = point[self.shape.neuron(self.layer, other)]
        self.corners.append(point)

    def hand_over(self, giver: int, taker: int) -> None:
        """All output weights go from a neuron to another one with the same parameter vector."""
        point = self.corners[-1].clone()
        given = self.shape.outgoing(self.layer, giver)
        point[self.shape.outgoing(self.layer, taker)] += point[given]
        point[given] = 0.0
        self.corners.append(point)

    def vanish(self, free: int) -> None:
        """The parameter vector of a neuron without output weights becomes 0, the paper's fourth step."""
        point = self.corners[-1].clone()
        point[self.shape.neuron(self.layer, free)] = 0.0
        self.corners.append(point)

    def share(self, worker: int, idle: int, of_worker: Tensor, of_idle: Tensor) -> None:
        """The output weights of a neuron are shared out as they were at the start."""
        point = self.corners[-1].clone()
        point[self.shape.outgoing(self.layer, worker)] = of_worker
        point[self.shape.outgoing(self.layer, idle)] = of_idle
        self.corners.append(point)
