"""Copies of a module without values, into which the tensors of networks are put to run it."""

from __future__ import annotations

import copy
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm

from workers.params import Params

Mode = Literal["evaluation", "statistics", "training"]
"""How a copy of the module is set.

``evaluation``: as ``eval()``. ``training``: as ``train()``, but batch norm keeps no running averages.
``statistics``: as ``eval()``, but batch norm normalizes by the batch and averages over batches.
"""


@dataclass(frozen=True)
class _Slot:
    """Where a module holds one tensor, and the name of the network's tensor that belongs there."""

    holder: dict[str, Any]
    key: str
    name: str
    without_values: Tensor


@dataclass(frozen=True)
class ModuleCopy:
    """A copy of a module, called with the tensors of any network; these stay until the next call."""

    module: nn.Module
    slots: tuple[_Slot, ...]

    def __call__(self, network: Params, inputs: Tensor) -> Tensor:
        """What the module returns with the network's tensors; what it writes into buffers is theirs."""
        for slot in self.slots:
            slot.holder[slot.key] = network[slot.name]
        outputs: Tensor = self.module(inputs)
        return outputs

    def clear(self) -> None:
        """Takes the tensors out again."""
        for slot in self.slots:
            slot.holder[slot.key] = slot.without_values


class ModuleCopies:
    """The copies of one module, each used by one thread at a time.

    Args:
        module: With its state on the ``meta`` device; unchanged.
        named: Names in its state dict, and the names of a network's tensors that belong there.
    """

    def __init__(self, module: nn.Module, named: Mapping[str, str]) -> None:
        self._module, self._named = module, named
        self._free: dict[tuple[Mode, torch.device], list[ModuleCopy]] = {}
        self._lock = threading.Lock()

    @contextmanager
    def module(self, mode: Mode, device: torch.device) -> Iterator[nn.Module]:
        """A copy as a module, to be called by ``functional_call``."""
        with self.forward(mode, device) as copied:
            yield copied.module

    @contextmanager
    def forward(self, mode: Mode, device: torch.device) -> Iterator[ModuleCopy]:
        """A copy that is the caller's own meanwhile."""
        with self._lock:
            free = self._free.setdefault((mode, device), [])
            copied = free.pop() if free else self._made(mode, device)
        try:
            yield copied
        finally:
            copied.clear()
            with self._lock:
                free.append(copied)

    def _made(self, mode: Mode, device: torch.device) -> ModuleCopy:
        """A new copy."""
        module = _moved(set_for(copy.deepcopy(self._module), mode), device)
        return ModuleCopy(module, tuple(_slots(module, self._named)))


def _slots(module: nn.Module, named: Mapping[str, str]) -> Iterator[_Slot]:
    """Where the tensors of its state lie; those that are switched off in a mode lie nowhere."""
    for place, name in named.items():
        layer, _, key = place.rpartition(".")
        owner = module.get_submodule(layer)
        holder: dict[str, Any] = owner._parameters if key in owner._parameters else owner._buffers
        if holder[key] is not None:
            yield _Slot(holder, key, name, holder[key])


def _moved(module: nn.Module, device: torch.device) -> nn.Module:
    """The module with buffers that no state dict holds, and constants, on a device; in place.

    Its state stays on ``meta``, from where no value can be moved.
    """
    for layer in module.modules():
        for tensors in (layer._buffers, vars(layer)):
            found = {name: tensor for name, tensor in tensors.items() if isinstance(tensor, Tensor)}
            tensors.update({name: t.to(device) for name, t in found.items() if not t.is_meta})
    return module


def set_for(module: nn.Module, mode: Mode) -> nn.Module:
    """The module set for a mode, in place."""
    module.train(mode == "training")
    for layer in module.modules():
        if not isinstance(layer, _BatchNorm) or layer.running_mean is None:
            continue
        if mode == "training":
            layer.track_running_stats = False
            layer.running_mean = layer.running_var = layer.num_batches_tracked = None
        elif mode == "statistics":
            layer.train()
            layer.momentum = None  # a simple average over batches
    return module
