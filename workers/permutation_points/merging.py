"""The loss under the constraint that two neurons of a layer stand at a given distance d.

Neurons l and m have the parameter vectors c -+ d e / 2 |e| and the output weights s / 2 -+ q / d. Everything
else, and c, e, s, q, are free: the same networks as those of

    theta_m = theta_l + d e / |e|

in other variables, in which the loss stays smooth as d falls. What two close neurons compute is, up to d^2,
s g(c x) + q g'(c x) (e x): a neuron and its derivative. By weights the second needs +-q / d, without bound,
and minimization comes to a halt.

A vector of variables is laid out as the network's own, with c and e in the places of what l and m read, s and
q in those of their output weights.

Source:
    Brea et al. 2019, algorithm 1; in their appendix C.1 the distance is a penalty instead.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from workers.permutation_points.dense import DenseShape
from workers.permutation_points.losses import Loss


@dataclass(frozen=True)
class Merging:
    """The loss of every network of a stack, two of its neurons held at a distance, or drawn together.

    Attributes:
        loss: Of the whole networks.
        reads: Where the parameter vectors of l and m stand in the vector of each network.
        writes: Where their output weights stand.
    """

    loss: Loss
    reads: tuple[Int64[Tensor, "N columns"], Int64[Tensor, "N columns"]]
    writes: tuple[Int64[Tensor, "N readers"], Int64[Tensor, "N readers"]]

    @classmethod
    def of(cls, loss: Loss, layer: int, pairs: Sequence[tuple[int, int]]) -> Merging:
        """Neurons l and m of one hidden layer for every network; ValueError where there are none such."""
        for pair in pairs:
            loss.shape.require_hidden(layer, *pair)
        first, second = ([pair[side] for pair in pairs] for side in (0, 1))
        reads, writes = (
            [_places(loss.shape, layer, side, kind) for side in (first, second)] for kind in (0, 1)
        )
        return cls(loss, (reads[0], reads[1]), (writes[0], writes[1]))

    def of_rows(self, index: Int64[Tensor, " rows"]) -> Merging:
        """The same for some of the networks."""
        reads, writes = ((first[index], second[index]) for first, second in (self.reads, self.writes))
        return Merging(self.loss.of_rows(index), reads, writes)

    def distances(self, flat: Float[Tensor, "N D"]) -> Float[Tensor, " N"]:
        """Length of theta_m - theta_l, biases included; definition 5 of the paper has its square."""
        return (flat.gather(1, self.reads[1]) - flat.gather(1, self.reads[0])).norm(dim=1)

    def variables(self, flat: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """The variables of networks, at their own distances; e has length 1."""
        distances = self.distances(flat)[:, None]
        l_reads, m_reads = (flat.gather(1, place) for place in self.reads)
        l_writes, m_writes = (flat.gather(1, place) for place in self.writes)
        unit = (m_reads - l_reads) / distances
        return self._placed(
            flat, (l_reads + m_reads) / 2, unit, l_writes + m_writes, distances * (m_writes - l_writes) / 2
        )

    def networks(
        self, variables: Float[Tensor, "N D"], distances: Float[Tensor, " N"]
    ) -> Float[Tensor, "N D"]:
        """The networks at these distances; at 0 both neurons have half of s."""
        center, direction, total, contrast = self._taken(variables)
        offset = direction * (distances / (2 * direction.norm(dim=1)))[:, None]
        apart = torch.where(distances > 0, distances, torch.inf)[:, None]
        return self._placed(
            variables,
            center - offset,
            center + offset,
            total / 2 - contrast / apart,
            total / 2 + contrast / apart,
        )

    def constrained(
        self, variables: Float[Tensor, "N D"], distances: Float[Tensor, " N"]
    ) -> tuple[Float64[Tensor, " N"], Float[Tensor, "N D"]]:
        """Losses at these distances, and their gradients with respect to the variables."""
        losses, gradient = self.loss(self.networks(variables, distances))
        l_reads, m_reads, l_writes, m_writes = self._taken(gradient)
        direction = variables.gather(1, self.reads[1])
        length = direction.norm(dim=1, keepdim=True)
        unit, against = direction / length, m_reads - l_reads
        across = against - (against * unit).sum(1, keepdim=True) * unit
        apart = torch.where(distances > 0, distances, torch.inf)[:, None]
        return losses, self._placed(
            gradient,
            l_reads + m_reads,
            across * distances[:, None] / (2 * length),
            (l_writes + m_writes) / 2,
            (m_writes - l_writes) / apart,
        )

    def penalized(
        self, flat: Float[Tensor, "N D"], multipliers: Float[Tensor, " N"]
    ) -> tuple[Float64[Tensor, " N"], Float[Tensor, "N D"]]:
        """L + lambda |theta_m - theta_l|^2 of whole networks, and its gradient."""
        losses, gradient = self.loss(flat)
        l_reads, m_reads = (flat.gather(1, place) for place in self.reads)
        difference = m_reads - l_reads
        pull = 2 * multipliers[:, None] * difference
        gradient = gradient.scatter_add(1, self.reads[1], pull).scatter_add(1, self.reads[0], -pull)
        return losses + multipliers.double() * (difference.double() ** 2).sum(1), gradient

    def along_constraint(
        self, flat: Float[Tensor, "N D"], gradient: Float[Tensor, "N D"]
    ) -> Float[Tensor, "N D"]:
        """The part of a gradient by weights along which the distance stays as it is; at 0, both as one."""
        l_reads, m_reads = (flat.gather(1, place) for place in self.reads)
        l_pull, m_pull = (gradient.gather(1, place) for place in self.reads)
        difference, against = m_reads - l_reads, (m_pull - l_pull) / 2
        length = difference.norm(dim=1, keepdim=True)
        unit = difference / torch.where(length > 0, length, 1.0)
        radial = torch.where(length > 0, (against * unit).sum(1, keepdim=True) * unit, against)
        return gradient.scatter_add(1, self.reads[0], radial).scatter_add(1, self.reads[1], -radial)

    def _taken(self, vectors: Tensor) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """What stands where l and m read, and where their output weights stand."""
        reads, writes = (
            [vectors.gather(1, place) for place in places] for places in (self.reads, self.writes)
        )
        return reads[0], reads[1], writes[0], writes[1]

    def _placed(self, vectors: Tensor, *parts: Tensor) -> Tensor:
        """The vectors with these parts there."""
        found = vectors
        for place, part in zip((*self.reads, *self.writes), parts, strict=True):
            found = found.scatter(1, place, part)
        return found


def _places(shape: DenseShape, layer: int, neurons: list[int], kind: int) -> Tensor:
    """Indices of what neurons read (kind 0), or of their output weights (1), a row for each."""
    everything = torch.arange(shape.num_parameters)
    find = shape.outgoing if kind else shape.neuron
    return torch.stack([everything[find(layer, neuron)] for neuron in neurons])
