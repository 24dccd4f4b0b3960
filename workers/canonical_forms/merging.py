"""Many networks matched to the mean of the others, one read at a time.

The rule is that of ``workers.alignment.merge_many``, which holds all networks in memory and permutes all
of them for each that is visited; here a running sum stands for them, so that hundreds can be merged.

Source: Ainsworth, Hayase, Srinivasa 2022 (Git Re-Basin), algorithm 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor

from workers.alignment.batch import Batch
from workers.alignment.methods import WeightMatching
from workers.alignment.weight_matching import match_weights
from workers.canonical_forms.reading import Reader
from workers.canonical_forms.specs import Merged
from workers.params import ParamStack
from workers.permutation import permute
from workers.permutation.permute import PermutationStack
from workers.permutation.spec import PermutationSpec
from workers.seeding import generator

FIRST_RESTARTS = WeightMatching().restarts
"""Descents when a network is matched for the first time; afterwards one, from where it stands."""


def merged(
    method: Merged, read: Reader, members: Sequence[int], names: Sequence[str], spec: PermutationSpec
) -> PermutationStack:
    """Permutations of n networks that make the sum over pairs of their inner products large.

    First every network is matched to the sum of those before it; the identity is taken instead if it is
    better. Then rounds visit the networks in random order, each matched to the sum of all others from
    where it stands, until a round gains no more than ``tolerance`` times the sum over pairs of
    |A_j| |A_k|, or ``max_sweeps`` are made. Of two networks, only the second is visited.

    Args:
        method: Its bounds.
        read: Gives some of the networks, all of whose numbers are finite.
        members: Positions of the networks.
        names: Of all networks, by position; streams derive from those of the members.
        spec: Where the groups of units act.
    """
    frame = _Frame(read, members, spec, "/".join(names[member] for member in members))
    frame.begin()
    num = len(members)
    order = generator("canonical_forms", frame.name, "merged", "order")
    for _ in range(method.max_sweeps):
        visited = torch.randperm(num, generator=order).tolist() if num > 2 else range(1, num)
        if sum(frame.visit(k) for k in visited) <= method.tolerance * frame.scale:
            break
    return frame.permutation


@dataclass
class _Frame:
    """The networks in their present places, and their sum; lives for one call."""

    read: Reader
    members: Sequence[int]
    spec: PermutationSpec
    name: str
    permutation: PermutationStack = field(init=False)
    total: ParamStack = field(init=False)
    scale: float = field(init=False)

    def begin(self) -> None:
        """Each network matched to the sum of those before it, or all as they are, whichever is better."""
        start = permute.identity(self.spec, len(self.members))
        self.permutation = {group: index.clone() for group, index in start.items()}
        as_they_are = self._placed(0)
        self.total = as_they_are
        norms = [_norm(as_they_are)]
        for k in range(1, len(self.members)):
            here = self._placed(k)
            norms.append(_norm(here))
            as_they_are = _sum(as_they_are, here)
            self._match(k, here, self.total, FIRST_RESTARTS)
            self.total = _sum(self.total, self._placed(k))
        # Of all pairs: (squared sum - sum of squares) / 2, the same for the norms.
        self.scale = (sum(norms) ** 2 - sum(norm**2 for norm in norms)) / 2
        if _norm(self.total) < _norm(as_they_are):
            self.permutation, self.total = start, as_they_are

    def visit(self, k: int) -> float:
        """What is gained by matching one network to the sum of the others."""
        here = self._placed(k)
        others = {name: tensor - here[name] for name, tensor in self.total.items()}
        gain = self._match(k, here, others, 1)
        if gain > 0:
            self.total = _sum(others, self._placed(k))
        return gain

    def _match(self, k: int, here: ParamStack, towards: ParamStack, restarts: int) -> float:
        """Puts one network in better places, if there are any; by how much its inner product grows."""
        batch = Batch([towards, here], self.spec, [f"{self.name}/{k}"])
        found = match_weights(WeightMatching(restarts=restarts), batch)
        gain = float(found.objective_end[0] - found.objective_start[0])
        if gain > 0:
            own = {group: index[k : k + 1] for group, index in self.permutation.items()}
            for group, index in permute.compose(own, found.permutations[1]).items():
                self.permutation[group][k] = index[0]
        return gain

    def _placed(self, k: int) -> ParamStack:
        """One network where it stands, in float64, its parameters on which groups act."""
        network = self.read([self.members[k]])
        names = sorted({name for name, _ in self.spec.axes} & network.keys() - self.spec.buffers)
        own = {group: index[k : k + 1] for group, index in self.permutation.items()}
        return permute.apply({name: network[name].double().cpu() for name in names}, own, self.spec)


def _sum(first: ParamStack, second: ParamStack) -> ParamStack:
    return {name: tensor + second[name] for name, tensor in first.items()}


def _norm(networks: ParamStack) -> float:
    """Of a stack of one."""
    squares: list[Tensor] = [tensor.square().sum() for tensor in networks.values()]
    return float(torch.stack(squares).sum().sqrt())
