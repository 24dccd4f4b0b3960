"""Parameters as plain dicts of tensors, one network or a stack of them.

Shape legend of the whole package: N networks, P pairs, B examples of a batch, A alphas, W units of
a group, C classes.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

Params = dict[str, Tensor]
"""State-dict name to tensor, one network."""

ParamStack = dict[str, Tensor]
"""The same with a leading network axis of length N in every tensor."""


def num_networks(stack: ParamStack) -> int:
    """Length of the network axis."""
    return next(iter(stack.values())).shape[0]


def stack(networks: Sequence[Params]) -> ParamStack:
    """The networks along a new leading axis, in the order given."""
    return {name: torch.stack([network[name] for network in networks]) for name in networks[0]}


def rows(params: ParamStack, index: Tensor | Sequence[int]) -> ParamStack:
    """The sub-stack of the rows named by ``index``, copied."""
    chosen = torch.as_tensor(index, dtype=torch.int64)
    return {name: tensor[chosen.to(tensor.device)] for name, tensor in params.items()}


def row(params: ParamStack, index: int) -> Params:
    """One network of a stack, as views."""
    return {name: tensor[index] for name, tensor in params.items()}


def concatenate(stacks: Sequence[ParamStack]) -> ParamStack:
    """Stacks joined along the network axis."""
    return {name: torch.cat([part[name] for part in stacks]) for name in stacks[0]}


def interpolated(params_a: ParamStack, params_b: ParamStack, alpha: float) -> ParamStack:
    """(1 - alpha) * a + alpha * b; a tensor of whole numbers, such as a counter of batches, stays a's."""
    return {
        name: torch.lerp(tensor, params_b[name], alpha) if tensor.is_floating_point() else tensor
        for name, tensor in params_a.items()
    }


def converted(params: Params, device: torch.device | str, dtype: torch.dtype) -> Params:
    """The tensors on a device, those of floating point in a type."""
    return {
        name: tensor.to(device, dtype if tensor.is_floating_point() else tensor.dtype)
        for name, tensor in params.items()
    }


def num_parameters(params: Params) -> int:
    """Entries of all tensors of one network."""
    return sum(tensor.numel() for tensor in params.values())


def stack_bytes(params: ParamStack) -> int:
    """Memory that a stack occupies, in bytes."""
    return sum(tensor.numel() * tensor.element_size() for tensor in params.values())
