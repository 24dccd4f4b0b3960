"""Soft permutations: a doubly stochastic matrix per group in the place of an index.

A row of the matrix says of which units a new unit is mixed, new[i] = sum over j of M[i, j] * old[j]; the
matrix of a permutation has its ones at (i, perm[i]).
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

from workers.alignment.assignment import largest_sum
from workers.params import ParamStack
from workers.permutation.permute import PermutationStack
from workers.permutation.spec import PermutationSpec, Segment

Matrices = dict[str, Tensor]
"""Group to matrices (N, W, W)."""


def soft_apply(params: ParamStack, matrices: Mapping[str, Tensor], spec: PermutationSpec) -> ParamStack:
    """The networks with their units mixed; differentiable in the parameters and in the matrices.

    With the matrices of permutations it equals ``permute.apply``, in the value of every entry.

    Args:
        params: A stack; unchanged, and what no group acts on is shared with the result.
        matrices: For some groups, (N, W, W); absent groups stay.
        spec: Where each group acts. Parameters that it names and the stack lacks are passed over.
    """
    mixed = dict(params)
    for (name, axis), segments in spec.axes.items():
        if name in params and any(segment.group in matrices for segment in segments):
            mixed[name] = mix_axis(mixed[name], axis, segments, matrices)
    return mixed


def mix_axis(
    tensor: Tensor, axis: int, segments: tuple[Segment, ...], matrices: Mapping[str, Tensor]
) -> Tensor:
    """The tensor (N, ...) with one axis mixed; ``axis`` does not count the networks."""
    if len(segments) == 1:
        return _mix_segment(tensor, axis, segments[0], matrices)
    parts = torch.split(tensor, [segment.length for segment in segments], dim=axis + 1)
    mixed = [_mix_segment(part, axis, s, matrices) for part, s in zip(parts, segments, strict=True)]
    return torch.cat(mixed, dim=axis + 1)


def _mix_segment(part: Tensor, axis: int, segment: Segment, matrices: Mapping[str, Tensor]) -> Tensor:
    """One segment's entries mixed; those of a block move together."""
    if segment.group is None or segment.group not in matrices:
        return part
    front = part.movedim(axis + 1, 1)
    units = front.reshape(len(part), segment.num_units, -1)
    product = matrices[segment.group].to(units) @ units
    return product.reshape(front.shape).movedim(1, axis + 1)


def soft_gradient(
    params: ParamStack, outer: Mapping[str, Tensor], matrices: Mapping[str, Tensor], spec: PermutationSpec
) -> Matrices:
    """Derivative by every entry of every matrix of the inner product of ``outer`` and the mixed networks.

    Args:
        params: A stack.
        outer: For some of its parameters, of their shapes; the others do not count.
        matrices: For all groups, (N, W, W).
        spec: Where each group acts.
    """
    total = {group: torch.zeros_like(matrix) for group, matrix in matrices.items()}
    for name, towards in outer.items():
        axes = {axis: segments for (owner, axis), segments in spec.axes.items() if owner == name}
        for axis, segments in axes.items():
            units = params[name]
            for other, along in axes.items():
                if other != axis:
                    units = mix_axis(units, other, along, matrices)
            for group in {s.group: None for s in segments if s.group is not None}:
                wanted, own = (by_unit(t, axis, segments, group) for t in (towards, units))
                total[group] += wanted @ own.mT
    return total


def by_unit(tensor: Tensor, axis: int, segments: tuple[Segment, ...], group: str) -> Tensor:
    """All entries that move with the units of a group along one axis: (N, W, entries per unit)."""
    parts = torch.split(tensor.movedim(axis + 1, 1), [segment.length for segment in segments], dim=1)
    own = [
        part.reshape(len(tensor), segment.num_units, -1)
        for part, segment in zip(parts, segments, strict=True)
        if segment.group == group
    ]
    return own[0] if len(own) == 1 else torch.cat(own, dim=2)


def matrices_of(permutation: PermutationStack, dtype: torch.dtype = torch.float64) -> Matrices:
    """The matrices of permutations: ones at (i, perm[i])."""
    return {
        group: torch.zeros(*index.shape, index.shape[1], dtype=dtype).scatter_(2, index.unsqueeze(2), 1.0)
        for group, index in permutation.items()
    }


def hardened(matrices: Mapping[str, Tensor]) -> PermutationStack:
    """The permutations with the largest sums of entries: the nearest ones to soft permutations."""
    return {
        group: torch.stack([largest_sum(matrix.double()) for matrix in stack])
        for group, stack in matrices.items()
    }
