"""Permutations acting on stacks: apply, invert, compose, draw.

Gather convention everywhere: ``new[i] = old[perm[i]]``. A stacked permutation has a leading network
axis; every function here works on stacks, and one network is a stack of one. A group that a
permutation leaves out stays where it is.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Int64
from torch import Tensor

from workers.params import ParamStack, num_networks
from workers.permutation.spec import PermutationSpec, Segment
from workers.seeding import generator

PermutationStack = dict[str, Tensor]
"""Group to int64 index of shape (N, W)."""


def apply(params: ParamStack, permutation: Mapping[str, Tensor], spec: PermutationSpec) -> ParamStack:
    """The permuted networks, each computing the same function; every tensor is a new one.

    Args:
        params: A stack; unchanged.
        permutation: For some groups, indices of shape (N, W).
        spec: Where each group acts. Parameters that it names and the stack lacks are passed over.

    Raises:
        ValueError: If the permutation names an unknown group, or an index has another shape than (N, W).
    """
    _check_shapes(permutation, spec, num_networks(params))
    permuted = dict(params)
    for (name, axis), segments in spec.axes.items():
        if name not in params or not any(segment.group in permutation for segment in segments):
            continue
        index = axis_index(segments, permutation).to(permuted[name].device)
        permuted[name] = _gather(permuted[name], axis + 1, index)
    return {name: tensor.clone() if tensor is params[name] else tensor for name, tensor in permuted.items()}


def invert(permutation: Mapping[str, Tensor]) -> PermutationStack:
    """The permutation that undoes this one."""
    return {group: torch.argsort(index, dim=-1) for group, index in permutation.items()}


def compose(first: Mapping[str, Tensor], then: Mapping[str, Tensor]) -> PermutationStack:
    """The permutation whose effect is that of ``first`` followed by ``then``."""
    composed = {**first, **then}
    for group in first.keys() & then.keys():
        composed[group] = first[group].gather(-1, then[group])
    return {group: index.clone() for group, index in composed.items()}


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


def axis_index(segments: tuple[Segment, ...], permutation: Mapping[str, Tensor]) -> Int64[Tensor, "N axis"]:
    """Index into the whole axis that the permutations of its segments amount to.

    Args:
        segments: What lies along the axis.
        permutation: Indices of shape (N, W) for at least one group; absent groups stay.
    """
    some = next(iter(permutation.values()))
    parts, start = [], 0
    for segment in segments:
        if segment.group is not None and segment.group in permutation:
            units = permutation[segment.group].to(some.device)
        else:
            units = torch.arange(segment.num_units, device=some.device).expand(some.shape[0], -1)
        entries = units.unsqueeze(-1) * segment.block + torch.arange(segment.block, device=some.device)
        parts.append(entries.flatten(1) + start)
        start += segment.length
    return torch.cat(parts, dim=1)


def validate(permutation: Mapping[str, Tensor], spec: PermutationSpec, num_networks: int) -> None:
    """Raises ValueError unless every index is int64, of shape (N, W), and a permutation in every row."""
    _check_shapes(permutation, spec, num_networks)
    for group, index in permutation.items():
        if index.dtype != torch.int64:
            raise ValueError(f"the index of group {group!r} must be int64, not {index.dtype}")
        ascending = torch.arange(spec.groups[group], device=index.device)
        bad = (index.sort(dim=-1).values != ascending).any(dim=-1).nonzero().flatten().tolist()
        if bad:
            raise ValueError(
                f"the index of group {group!r} is not a permutation of 0..{spec.groups[group] - 1} "
                f"in rows {bad}"
            )


def _check_shapes(permutation: Mapping[str, Tensor], spec: PermutationSpec, num_networks: int) -> None:
    """Raises ValueError for a group that the spec lacks, or an index of the wrong shape."""
    for group, index in permutation.items():
        if group not in spec.groups:
            raise ValueError(f"unknown group {group!r}; the permutation spec has {', '.join(spec.groups)}")
        expected = (num_networks, spec.groups[group])
        if tuple(index.shape) != expected:
            raise ValueError(f"the index of group {group!r} has shape {tuple(index.shape)}, not {expected}")


def _gather(tensor: Tensor, axis: int, index: Int64[Tensor, "N axis"]) -> Tensor:
    """Per network n, ``tensor[n]`` with ``axis`` re-ordered by ``index[n]``."""
    rows = torch.arange(tensor.shape[0], device=tensor.device).unsqueeze(-1)
    return tensor.movedim(axis, 1)[rows, index].movedim(1, axis).contiguous()
