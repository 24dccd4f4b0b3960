"""Permutations acting on stacks: apply, invert, compose, draw.

Gather convention everywhere: ``new[i] = old[perm[i]]``. A stacked permutation has a leading network
axis; every function here works on stacks, and one network is a stack of one.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Int64
from torch import Tensor

from workers.params import ParamStack
from workers.permutation.spec import PermutationSpec, Segment
from workers.seeding import generator

PermutationStack = dict[str, Tensor]
"""Group to int64 index of shape (N, W)."""


def apply(params: ParamStack, permutation: Mapping[str, Tensor], spec: PermutationSpec) -> ParamStack:
    """The permuted networks, each computing the same function; groups absent from ``permutation`` stay.

    Args:
        params: A stack; unchanged.
        permutation: For some groups, indices of shape (N, W).
        spec: Where each group acts.
    """
    permuted = dict(params)
    for (name, axis), segments in spec.axes.items():
        if not any(segment.group in permutation for segment in segments if segment.group):
            continue
        index = _axis_index(segments, permutation).to(permuted[name].device)
        permuted[name] = _gather(permuted[name], axis + 1, index)
    return {name: tensor.clone() if tensor is params[name] else tensor for name, tensor in permuted.items()}


def invert(permutation: PermutationStack) -> PermutationStack:
    """The permutation that undoes this one."""
    return {group: torch.argsort(index, dim=-1) for group, index in permutation.items()}


def compose(first: PermutationStack, then: PermutationStack) -> PermutationStack:
    """The permutation whose effect is that of ``first`` followed by ``then``."""
    return {group: index.gather(-1, then[group]) for group, index in first.items()}


def identity(spec: PermutationSpec, num_networks: int) -> PermutationStack:
    """The permutation that moves nothing."""
    return {group: torch.arange(units).repeat(num_networks, 1) for group, units in spec.groups.items()}


def random(spec: PermutationSpec, purpose: str, *parts: str | int) -> dict[str, Int64[Tensor, " W"]]:
    """A uniform permutation of every group, each from a stream of its own: (purpose, parts, group).

    Groups of equal size get independent permutations.
    """
    return {
        group: torch.randperm(units, generator=generator(purpose, *parts, group))
        for group, units in spec.groups.items()
    }


def _axis_index(segments: tuple[Segment, ...], permutation: Mapping[str, Tensor]) -> Int64[Tensor, "N axis"]:
    """Index into the whole axis that the permutations of its segments amount to."""
    num_networks = next(iter(permutation.values())).shape[0]
    parts, start = [], 0
    for segment in segments:
        if segment.group is not None and segment.group in permutation:
            units = permutation[segment.group]
        else:
            units = torch.arange(segment.num_units).expand(num_networks, -1)
        entries = units.unsqueeze(-1) * segment.block + torch.arange(segment.block, device=units.device)
        parts.append(entries.flatten(1) + start)
        start += segment.length
    return torch.cat(parts, dim=1)


def _gather(tensor: Tensor, axis: int, index: Int64[Tensor, "N axis"]) -> Tensor:
    """Per network n, ``tensor[n]`` with ``axis`` re-ordered by ``index[n]``."""
    rows = torch.arange(tensor.shape[0], device=tensor.device).unsqueeze(-1)
    return tensor.movedim(axis, 1)[rows, index].movedim(1, axis).contiguous()
