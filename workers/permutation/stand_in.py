"""Copies of a module with other tensors in place of its own."""

from __future__ import annotations

import copy
from collections.abc import Callable

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy


def named_state(module: nn.Module) -> dict[str, Tensor]:
    """Parameters, then the buffers of the state dict; tied ones under each of their names."""
    stored = set(module.state_dict(keep_vars=True))
    parameters = dict(module.named_parameters(remove_duplicate=False))
    buffers = dict(module.named_buffers(remove_duplicate=False))
    return parameters | {name: tensor for name, tensor in buffers.items() if name in stored}


def stand_in(
    module: nn.Module, make: Callable[[str | None, Tensor], Tensor]
) -> tuple[nn.Module, dict[str, Tensor]]:
    """A copy of the module in eval mode on the CPU, and its state by the names of ``named_state``.

    Tied tensors stay tied, and the module itself is not changed.

    Args:
        make: From name and tensor to what stands in its place. Tensors that the module holds outside of
            its state dict have no name.

    Raises:
        ValueError: If the module cannot be copied, or a parameter has no shape yet.
    """
    kind, state = type(module).__name__, named_state(module)
    memo: dict[int, object] = {}
    made: dict[str, Tensor] = {}
    by_place: dict[object, Tensor] = {}
    for name, tensor in state.items():
        if is_lazy(tensor):
            raise ValueError(f"{name} of {kind} has no shape yet: run the module once on an example first")
        place = _place(tensor)
        if place not in by_place:
            value = make(name, tensor)
            by_place[place] = nn.Parameter(value, False) if isinstance(tensor, nn.Parameter) else value
        made[name] = memo[id(tensor)] = by_place[place]
    for submodule in module.modules():
        held = [*submodule._buffers.values(), *vars(submodule).values()]
        for tensor in held:
            if isinstance(tensor, Tensor) and id(tensor) not in memo:
                memo[id(tensor)] = make(None, tensor)
    try:
        copied = copy.deepcopy(module, memo).eval()
    except Exception as error:
        raise ValueError(
            f"{kind} cannot be copied: {first_line(error)}. What a module holds must survive copy.deepcopy."
        ) from error
    found = named_state(copied)
    if any(found.get(name) is not tensor for name, tensor in made.items()):
        raise ValueError(f"{kind} cannot be traced: give the plain nn.Module, not a compiled or scripted one")
    return copied, made


def first_line(error: BaseException) -> str:
    """What torch's errors say before their advice and stacks."""
    return str(error).strip().partition("\n")[0]


def _place(tensor: Tensor) -> object:
    """Equal for tensors that share their entries."""
    if tensor.device.type == "meta" or tensor.layout != torch.strided or tensor.numel() == 0:
        return id(tensor)
    return (tensor.data_ptr(), tuple(tensor.shape), tensor.stride(), tensor.dtype)


def values_of(tensor: Tensor) -> Tensor:
    """A copy on the CPU; zeros for a tensor without values."""
    if tensor.is_meta:
        return torch.zeros(tensor.shape, dtype=tensor.dtype)
    return tensor.detach().cpu().clone()
