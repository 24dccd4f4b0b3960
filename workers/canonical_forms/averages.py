"""The mean of several networks' weights, and what it computes."""

from __future__ import annotations

from collections.abc import Sequence

import torch

from workers.canonical_forms.reading import Reader, in_turn
from workers.params import ParamStack


def mean_network(read: Reader, members: Sequence[int]) -> ParamStack:
    """The mean of some networks, tensor by tensor, as a stack of one; sums are in float64.

    A tensor of whole numbers, such as a counter of batches, stays the first network's.
    """
    total: ParamStack = {}
    kinds: dict[str, torch.dtype] = {}
    for chunk in in_turn(read, members):
        for name, tensor in read(chunk).items():
            if not tensor.is_floating_point():
                total.setdefault(name, tensor[:1].clone())
                continue
            kinds[name] = tensor.dtype
            part = tensor.sum(0, keepdim=True, dtype=torch.float64)
            total[name] = total[name] + part if name in total else part
    return {
        name: (tensor / len(members)).to(kinds[name]) if name in kinds else tensor
        for name, tensor in total.items()
    }


def groups_of(members: Sequence[int], size: int, num_groups: int) -> list[Sequence[int]]:
    """The first ``size`` members, the next, and so on: as many whole groups as there are, or were asked."""
    return [members[k * size : (k + 1) * size] for k in range(min(num_groups, len(members) // size))]
