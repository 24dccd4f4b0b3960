"""The loss under the constraint that two neurons of a layer stand at a given distance d.

Neurons l and m have the parameter vectors c -+ d e / 2 |e| and the output weights s / 2 -+ q / d. Everything
else, and c, e, s, q, are free: the same networks as those of

    theta_m = theta_l + d e / |e|

in other variables, in which the loss stays smooth as d falls. What two close neurons compute is, up to d^2,
s g(c x) + q g'(c x) (e x): a neuron and its derivative. By weights the second needs +-q / d, without bound,
and minimization comes to a halt.

So the minima of small distances need not lead to one at distance 0, where q is gone. With ReLU the
constraint leaves no trace at any other distance: parameter vectors times a share, and output weights divided
by it, compute the same. Where the output weights of both together are ``held`` at one length R,

    (w_l, w_m) = R (u, v) / |(u, v)|

they cannot grow, q = d (w_m - w_l) / 2 vanishes with d, and the minima are continuous down to d = 0.
With ReLU this holds the unit in which distances are measured, and nothing else. In a second hidden layer it
takes more: neurons below that are twice as loud make any distance count twice. So, with ReLU, the parameter
vectors of all neurons of the layers below keep their lengths as well, which a network of the same function
can always have: what is free of theta is its direction, theta = r v / |v|.

A vector of variables is laid out as the network's own, with c and e in the places of what l and m read, s and
q, or u and v, in those of their output weights; at distance 0 these are s and nothing.

Source:
    Brea et al. 2019, algorithm 1; in their appendix C.1 the distance is a penalty instead.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, replace

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
        held: R; None: the output weights are free.
        lengths: Of the parameter vectors of every layer below, where they are held; else empty.
    """

    loss: Loss
    reads: tuple[Int64[Tensor, "N columns"], Int64[Tensor, "N columns"]]
    writes: tuple[Int64[Tensor, "N readers"], Int64[Tensor, "N readers"]]
    held: Float[Tensor, " N"] | None = None
    lengths: tuple[Float[Tensor, "N _ 1"], ...] = ()

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
        return Merging(
            self.loss.of_rows(index),
            reads,
            writes,
            None if self.held is None else self.held[index],
            tuple(lengths[index] for lengths in self.lengths),
        )

    def holding(self, flat: Float[Tensor, "N D"]) -> Merging:
        """The same with output weights, and with ReLU the layers below, held at their lengths here."""
        below: list[Tensor] = []
        if self.loss.shape.activation == "relu":
            below = self.loss.shape.layers(flat)[: self.layer - 1]
        return replace(
            self,
            held=torch.cat(self._taken(flat)[2:], dim=1).norm(dim=1),
            lengths=tuple(rows.norm(dim=2, keepdim=True) for rows in below),
        )

    @property
    def layer(self) -> int:
        """The hidden layer of the two neurons, from 1."""
        return bisect_right(self.loss.shape.offsets, int(self.reads[0][0, 0]))

    @property
    def pair(self) -> tuple[Int64[Tensor, " N"], Int64[Tensor, " N"]]:
        """The numbers of l and m in their layer."""
        offset, columns = self.loss.shape.offsets[self.layer - 1], self.reads[0].shape[1]
        first, second = ((reads[:, 0] - offset) // columns for reads in self.reads)
        return first, second

    def distances(self, flat: Float[Tensor, "N D"]) -> Float[Tensor, " N"]:
        """Length of theta_m - theta_l, biases included; definition 5 of the paper has its square."""
        return (flat.gather(1, self.reads[1]) - flat.gather(1, self.reads[0])).norm(dim=1)

    def output_distances(self, flat: Float[Tensor, "N D"]) -> Float[Tensor, " N"]:
        """Length of the difference of the output weights of l and m."""
        return (flat.gather(1, self.writes[1]) - flat.gather(1, self.writes[0])).norm(dim=1)

    def with_difference_of(
        self, flat: Float[Tensor, "N D"], others: Float[Tensor, "N D"]
    ) -> Float[Tensor, "N D"]:
        """The networks with output weights of l and m that differ as those of others, their sum unchanged."""
        l_reads, m_reads, l_writes, m_writes = self._taken(flat)
        mean = (l_writes + m_writes) / 2
        half = (others.gather(1, self.writes[1]) - others.gather(1, self.writes[0])) / 2
        return self._placed(flat, l_reads, m_reads, mean - half, mean + half)

    def variables(self, flat: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """The variables of networks, at their own distances above 0; e has length 1."""
        distances = self.distances(flat)[:, None]
        l_reads, m_reads, l_writes, m_writes = self._taken(flat)
        center, unit = (l_reads + m_reads) / 2, (m_reads - l_reads) / distances
        if self.held is not None:
            return self._placed(flat, center, unit, l_writes, m_writes)
        return self._placed(flat, center, unit, l_writes + m_writes, distances * (m_writes - l_writes) / 2)

    def at_zero(self, flat: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """The variables of networks whose neurons l and m are put halfway between them."""
        l_reads, m_reads, l_writes, m_writes = self._taken(flat)
        apart = m_reads - l_reads
        length = apart.norm(dim=1, keepdim=True)
        unit = torch.where(length > 0, apart / length, 1.0)
        nothing = torch.zeros_like(l_writes)
        return self._placed(flat, (l_reads + m_reads) / 2, unit, l_writes + m_writes, nothing)

    def networks(
        self, variables: Float[Tensor, "N D"], distances: Float[Tensor, " N"]
    ) -> Float[Tensor, "N D"]:
        """The networks at these distances; at 0 both neurons have half of s."""
        center, direction, first, second = self._taken(variables)
        offset = direction * (distances / (2 * direction.norm(dim=1)))[:, None]
        half = second / _divisor(distances)
        l_writes, m_writes = first / 2 - half, first / 2 + half
        if self.held is not None:
            scale = (self.held / torch.cat([first, second], dim=1).norm(dim=1))[:, None]
            is_apart = distances[:, None] > 0
            l_writes = torch.where(is_apart, first * scale, l_writes)
            m_writes = torch.where(is_apart, second * scale, m_writes)
        found = self._placed(variables, center - offset, center + offset, l_writes, m_writes)
        for rows, length in zip(self.loss.shape.layers(found), self.lengths, strict=False):
            rows *= length / _at_least(rows.norm(dim=2, keepdim=True))  # the vector found is a new one
        return found

    def constrained(
        self, variables: Float[Tensor, "N D"], distances: Float[Tensor, " N"]
    ) -> tuple[Float64[Tensor, " N"], Float[Tensor, "N D"]]:
        """Losses at these distances, and their gradients with respect to the variables."""
        losses, gradient = self.loss(self.networks(variables, distances))
        return losses, self.by_variables(variables, distances, gradient)

    def by_variables(
        self, variables: Float[Tensor, "N D"], distances: Float[Tensor, " N"], gradient: Float[Tensor, "N D"]
    ) -> Float[Tensor, "N D"]:
        """The gradient with respect to the variables, from that with respect to the networks' weights."""
        l_reads, m_reads, l_writes, m_writes = self._taken(gradient)
        direction = variables.gather(1, self.reads[1])
        length = direction.norm(dim=1, keepdim=True)
        unit, against = direction / length, m_reads - l_reads
        across = against - (against * unit).sum(1, keepdim=True) * unit
        first, second = (l_writes + m_writes) / 2, (m_writes - l_writes) / _divisor(distances)
        if self.held is not None:
            held = torch.cat(self._taken(variables)[2:], dim=1)
            both, size = torch.cat([l_writes, m_writes], dim=1), held.norm(dim=1, keepdim=True)
            ahead = (both * held).sum(1, keepdim=True) / (size * size)
            along = ((both - ahead * held) * (self.held[:, None] / size)).chunk(2, dim=1)
            is_apart = distances[:, None] > 0
            first = torch.where(is_apart, along[0], first)
            second = torch.where(is_apart, along[1], second)
        found = self._placed(
            gradient, l_reads + m_reads, across * distances[:, None] / (2 * length), first, second
        )
        below = (self.loss.shape.layers(found), self.loss.shape.layers(variables), self.lengths)
        for slopes, rows, held_at in zip(*below, strict=False):
            size = _at_least(rows.norm(dim=2, keepdim=True))
            ahead = (slopes * rows).sum(2, keepdim=True) / _at_least(size * size)
            slopes.copy_((slopes - ahead * rows) * (held_at / size))
        return found

    def penalized(
        self, flat: Float[Tensor, "N D"], multipliers: Float[Tensor, " N"]
    ) -> tuple[Float64[Tensor, " N"], Float[Tensor, "N D"]]:
        """L + lambda |theta_m - theta_l|^2 of whole networks, and its gradient."""
        losses, gradient = self.loss(flat)
        penalty = multipliers.double() * self.distances(flat).double() ** 2
        return losses + penalty, gradient + self.pull(flat, multipliers)

    def pull(self, flat: Float[Tensor, "N D"], multipliers: Float[Tensor, " N"]) -> Float[Tensor, "N D"]:
        """The gradient of lambda |theta_m - theta_l|^2."""
        l_reads, m_reads = (flat.gather(1, place) for place in self.reads)
        pull = 2 * multipliers[:, None] * (m_reads - l_reads)
        nothing = torch.zeros_like(flat)
        return nothing.scatter(1, self.reads[1], pull).scatter(1, self.reads[0], -pull)

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


def _at_least(sizes: Tensor) -> Tensor:
    """Lengths to divide by: a neuron without weights stays one."""
    return sizes.clamp(min=torch.finfo(sizes.dtype).tiny)


def _divisor(distances: Tensor) -> Tensor:
    """What q is divided by; where both neurons are one it counts for nothing."""
    return torch.where(distances > 0, distances, torch.inf)[:, None]


def _places(shape: DenseShape, layer: int, neurons: list[int], kind: int) -> Tensor:
    """Indices of what neurons read (kind 0), or of their output weights (1), a row for each."""
    everything = torch.arange(shape.num_parameters)
    find = shape.outgoing if kind else shape.neuron
    return torch.stack([everything[find(layer, neuron)] for neuron in neurons])
