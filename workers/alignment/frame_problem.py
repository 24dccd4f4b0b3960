"""n networks brought into one frame by soft permutations: how much they agree there, and its gradient."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from workers.alignment.soft_permutations import Matrices, by_unit, soft_apply, soft_gradient
from workers.params import ParamStack, concatenate
from workers.permutation import permute
from workers.permutation.permute import PermutationStack
from workers.permutation.spec import PermutationSpec

COPIES = 8
"""Of all networks' parameters, and of a matrix per network and group: what a search keeps and forms."""


@dataclass(frozen=True)
class FrameProblem:
    """The sum over all pairs of networks of their inner product, in float64.

    Of the parameters on which groups act, buffers left out (as in weight matching):

        sum over j < k of <P_j(A_j), P_k(A_k)>

    A parameter on one axis of which groups act enters by its entries per unit; all such entries of a
    group stand side by side. Where there are more of them than units of all networks, an orthogonal
    basis of what the units span takes their place: inner products stay what they are, and the number of
    inputs of a layer no longer counts.

    Attributes:
        members: The stack of n networks, reduced to the parameters on which groups act.
        features: Group to (n, W, entries), of the parameters with one permuted axis.
        coupled: The parameters with several.
        spec: Where the groups act.
        scale: Sum over pairs of the product of the networks' norms: no objective is larger.
        degree: Of the objective as a polynomial along a line of soft permutations.
    """

    members: ParamStack
    features: Mapping[str, Tensor]
    coupled: ParamStack
    spec: PermutationSpec
    scale: float
    degree: int

    @classmethod
    def of(cls, members: Sequence[ParamStack], spec: PermutationSpec) -> FrameProblem:
        """The problem of n networks, each a stack of one."""
        stack = permuted_parameters(members, spec)
        axes_of = {name: [on for on in spec.axes if on[0] == name and _acts(spec, on)] for name in stack}
        parts: dict[str, list[Tensor]] = {group: [] for group in spec.groups}
        for name, axes in axes_of.items():
            if len(axes) == 1:
                segments = spec.axes[axes[0]]
                for group in {s.group: None for s in segments if s.group is not None}:
                    parts[group].append(by_unit(stack[name], axes[0][1], segments, group))
        norms = torch.stack([t.flatten(1).square().sum(1) for t in stack.values()]).sum(0).sqrt().tolist()
        return cls(
            members=stack,
            features={group: _condensed(torch.cat(own, dim=2)) for group, own in parts.items() if own},
            coupled={name: stack[name] for name, axes in axes_of.items() if len(axes) > 1},
            spec=spec,
            scale=sum(a * b for a, b in combinations(norms, 2)),
            degree=2 * max(len(axes) for axes in axes_of.values()),
        )

    def objective(self, permutation: PermutationStack) -> float:
        """The sum over all pairs, by the permuted networks themselves."""
        permuted = permute.apply(self.members, permutation, self.spec)
        return sum(float(_over_pairs(tensor)) for tensor in permuted.values())

    def soft_objective(self, matrices: Mapping[str, Tensor]) -> float:
        """The same under soft permutations, up to what no permutation changes."""
        mixed = [matrices[group] @ units for group, units in self.features.items()]
        mixed += soft_apply(self.coupled, matrices, self.spec).values()
        return sum(float(_over_pairs(tensor)) for tensor in mixed)

    def gradient(self, matrices: Mapping[str, Tensor]) -> Matrices:
        """Derivative of the soft objective by every entry of every matrix (n, W, W)."""
        mixed = soft_apply(self.coupled, matrices, self.spec)
        towards = {name: _others(tensor) for name, tensor in mixed.items()}
        total = soft_gradient(self.coupled, towards, matrices, self.spec)
        for group, units in self.features.items():
            total[group] += _others(matrices[group] @ units) @ units.mT
        return total


def needed_bytes(members: Sequence[ParamStack], spec: PermutationSpec) -> float:
    """Memory that the search of one group of networks takes in float64, about."""
    parameters = sum(tensor[0].numel() for tensor in members[0].values())
    matrices = sum(units**2 for units in spec.groups.values())
    return 8.0 * COPIES * len(members) * (parameters + matrices)


def permuted_parameters(members: Sequence[ParamStack], spec: PermutationSpec) -> ParamStack:
    """The stack of the networks in float64, reduced to parameters on which groups act, without buffers."""
    names = sorted({name for name, _ in spec.axes} & members[0].keys() - spec.buffers)
    return concatenate([{name: member[name].double().cpu() for name in names} for member in members])


def _acts(spec: PermutationSpec, on: tuple[str, int]) -> bool:
    """Whether some group acts on an axis that the spec names."""
    return any(segment.group is not None for segment in spec.axes[on])


def _others(tensor: Tensor) -> Tensor:
    """For each network, the sum of the others'."""
    return tensor.sum(0, keepdim=True) - tensor


def _over_pairs(tensor: Tensor) -> Tensor:
    """Sum over pairs of networks of their inner product: of each network with the sum of those before it."""
    return (tensor.cumsum(0)[:-1] * tensor[1:]).sum()


def _condensed(units: Tensor) -> Tensor:
    """Features (n, W, fewer entries) with the same inner products, if there are more entries than units."""
    num, width, entries = units.shape
    if entries <= num * width:
        return units.contiguous()
    basis, _ = torch.linalg.qr(units.reshape(num * width, entries).mT)
    condensed: Tensor = units @ basis
    return condensed
