"""Where a module is repaired: the layers that make the pre-activations of its hidden units.

These are the norms, and the linear and convolutional layers that no norm follows. A scale and a shift
of a unit fold into such a layer, if it is called once and shares its tensors with no other.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache

import torch
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from workers.architectures.module_program import ModuleProgram
from workers.params import ParamStack, num_networks
from workers.permutation.derive import derive_permutation_spec
from workers.seeding import with_global_seed

PRODUCTS = (nn.Linear, nn.Conv1d, nn.Conv2d, nn.Conv3d)
NORMS = (_BatchNorm, _InstanceNorm, nn.GroupNorm, nn.LayerNorm)


@dataclass(frozen=True)
class Site:
    """One layer to correct.

    Attributes:
        layer: Its name in the module.
        weight_axis: Of its weight, along which its units lie.
        output_axis: Of its output, along which its units lie; counted from the last, negative.
    """

    layer: str
    weight_axis: int
    output_axis: int


@dataclass(frozen=True)
class Repairable:
    """A program whose sites all have a weight and a bias, and the sites from input to output."""

    program: ModuleProgram
    sites: tuple[Site, ...]

    def extend(self, params: ParamStack) -> ParamStack:
        """The same functions for this program: weights of 1 and biases of 0 where they are missing."""
        like = next(tensor for tensor in params.values() if tensor.is_floating_point())
        num, extended = num_networks(params), dict(params)
        parameters = dict(self.program.module.named_parameters())
        for name in self.program.names:
            if name not in params:
                fill = 0.0 if name.rpartition(".")[2] == "bias" else 1.0
                extended[name] = like.new_full((num, *parameters[name].shape), fill)
        return extended


@lru_cache(maxsize=16)
def repairable(program: ModuleProgram) -> Repairable:
    """The program with a weight and a bias at every site.

    Raises:
        ValueError: If no layer makes hidden units whose scale and shift could be folded into it.
    """
    module = with_global_seed(0, program.make)
    candidates = _candidates(program, module)
    complete = with_global_seed(0, _completed(program.make, candidates))
    spec = derive_permutation_spec(complete, _example(program))
    sites = []
    for layer in candidates:
        free = [
            axis
            for (name, axis), segments in spec.axes.items()
            if name == f"{layer}.weight" and any(segment.group is not None for segment in segments)
        ]
        site = _site(layer, complete.get_submodule(layer), free)
        if site is not None:
            sites.append(site)
    if not sites:
        raise ValueError(
            f"repair corrects hidden units, and {program.name} has no linear, convolutional or norm layer "
            "of hidden units that is called once and shares its weights with no other: "
            "leave the correction out"
        )
    make = _completed(program.make, [site.layer for site in sites])
    return Repairable(ModuleProgram(make, program.shape, program.num_classes, program.name), tuple(sites))


def _completed(make: Callable[[], nn.Module], layers: list[str]) -> Callable[[], nn.Module]:
    """Makes the module with a weight of 1 and a bias of 0 in those of the layers that lack one."""

    def complete() -> nn.Module:
        module = make()
        for name in layers:
            layer = module.get_submodule(name)
            if layer.weight is None:
                assert isinstance(layer, NORMS)
                layer.weight = nn.Parameter(torch.ones(_norm_shape(layer)))
            if layer.bias is None:
                shape = layer.weight.shape if isinstance(layer, NORMS) else layer.weight.shape[:1]
                layer.bias = nn.Parameter(torch.zeros(shape))
        return module

    return complete


def _norm_shape(norm: nn.Module) -> tuple[int, ...]:
    """Shape of a norm's weight."""
    if isinstance(norm, nn.LayerNorm):
        return tuple(norm.normalized_shape)
    channels = norm.num_channels if isinstance(norm, nn.GroupNorm) else norm.num_features
    assert isinstance(channels, int)
    return (channels,)


def _site(layer: str, module: nn.Module, free: list[int]) -> Site | None:
    """The layer as a site, if hidden units lie along its output."""
    if isinstance(module, nn.LayerNorm):
        # the last axes of the output are those of the weight
        return Site(layer, free[0], free[0] - len(module.normalized_shape)) if len(free) == 1 else None
    if 0 not in free:
        return None
    if isinstance(module, nn.Linear):
        return Site(layer, 0, -1)
    assert isinstance(module.weight, Tensor)
    if isinstance(module, PRODUCTS):
        return Site(layer, 0, 1 - module.weight.ndim)  # the weight's axes but one lie behind the examples
    return Site(layer, 0, 1)


def _candidates(program: ModuleProgram, module: nn.Module) -> list[str]:
    """Norms, and products without a norm behind, that are called once, in the order of the calls."""
    shared = set(program.aliases) | set(program.aliases.values())
    calls, normed = _calls(module, _example(program))
    named = dict(module.named_modules())
    return [
        name
        for name, count in calls.items()
        if count == 1
        and name not in normed
        and "weight" in named[name]._parameters
        and not any(f"{name}.{kind}" in shared for kind in ("weight", "bias"))
    ]


def _calls(module: nn.Module, example: Tensor) -> tuple[Counter[str], set[str]]:
    """How often each product and norm is called, and the products whose output goes right into a norm."""
    calls: Counter[str] = Counter()
    normed: set[str] = set()
    outputs: dict[int, tuple[str, Tensor, int]] = {}  # by memory, which is held, so that it stays theirs

    def note(name: str, layer: nn.Module, inputs: tuple[Tensor, ...], output: Tensor) -> None:
        calls[name] += 1
        if isinstance(layer, PRODUCTS):
            outputs[output.untyped_storage().data_ptr()] = name, output, output._version
            return
        for given in inputs[:1]:
            memory = given.untyped_storage().data_ptr()
            source, whole, version = outputs.get(memory, ("", output, -1))
            # else a part of it, or changed in place, by an activation perhaps
            if version == given._version and whole.numel() == given.numel():
                normed.add(source)

    for name, layer in module.named_modules():
        if isinstance(layer, (*PRODUCTS, *NORMS)):
            layer.register_forward_hook(
                lambda layer, inputs, output, name=name: note(name, layer, inputs, output)
            )
    module.eval()
    with torch.no_grad():
        module(example)
    return calls, normed


def _example(program: ModuleProgram) -> Tensor:
    """Two examples of zeros."""
    return program.prepare(torch.zeros(2, *program.shape))
