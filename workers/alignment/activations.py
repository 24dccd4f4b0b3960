"""What the units of a group compute on examples: at which layers of a module they are to be seen, and how.

A group lies along the inputs of the layers that read it, behind every nonlinearity. Where no layer with
weights of its own reads it as it is, it is looked at where layers give it out.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float64
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.conv import _ConvNd, _ConvTransposeNd
from torch.nn.modules.instancenorm import _InstanceNorm

from workers.alignment.examples import Examples
from workers.architectures.module_program import ModuleProgram, laid_out
from workers.architectures.program import StackedProgram
from workers.params import Params
from workers.permutation.spec import PermutationSpec, Segment

Side = Literal["input", "output"]

FLOATS_AT_ONCE = 1 << 21
"""Activations of the examples that are looked at together, in floats."""

BYTES_PER_FLOAT = 64
"""Of the same: both networks' in float32, what is seen of them in float64, and what is formed of that."""


@dataclass(frozen=True)
class Place:
    """Where units of a group are to be seen.

    Attributes:
        layer: Name in the module.
        side: Of the layer.
        axis: Of its input or output.
        start: Where the units' entries begin along the axis.
        segment: The units' group and number; ``block`` entries of each lie together.
    """

    layer: str
    side: Side
    axis: int
    start: int
    segment: Segment

    def units(self, tensor: Tensor) -> Float64[Tensor, "W samples"]:
        """A copy of what the units show in the tensor: one column per example and position."""
        entries = tensor.narrow(self.axis, self.start, self.segment.length).movedim(self.axis, 0)
        by_unit = entries.reshape(self.segment.num_units, -1)
        return by_unit.to(torch.float64, copy=True)


def places_of(
    program: StackedProgram, spec: PermutationSpec, called: Collection[str] | None = None
) -> dict[str, tuple[Place, ...]]:
    """For each group, every place where it is to be seen, in the order of the module's layers.

    Args:
        program: Whose module it is.
        spec: Where the groups act.
        called: The layers that a forward pass calls. Others, such as the output projection of torch's
            attention, of which only the weights are used, show nothing. None: all layers.

    Raises:
        ValueError: If a group is to be seen nowhere.
    """
    layers = {
        name: layer for name, layer in program.module.named_modules() if called is None or name in called
    }
    found: dict[str, tuple[Place, ...]] = {}
    for group in spec.groups:
        read = tuple(_places(layers, spec, group, "input"))
        found[group] = read or tuple(_places(layers, spec, group, "output"))
        if not found[group]:
            on = ", ".join(name for name, _, _ in spec.axes_of(group)[:5])
            raise ValueError(
                f"what the units of group {group!r} compute is looked at where linear, convolutional or norm "
                f"layers read it or give it out, and none does: the group acts on {on}. Choose a method that "
                "looks at weights alone, such as weight_matching"
            )
    return found


def shows_units(layer: nn.Module) -> bool:
    """Whether a layer is one at which units can be looked at."""
    return _input_axes(layer) is not None or _output_axes(layer) is not None


def _places(
    layers: Mapping[str, nn.Module], spec: PermutationSpec, group: str, side: Side
) -> Iterator[Place]:
    """The places of a group on one side of the layers."""
    for name, layer in layers.items():
        axes = _input_axes(layer) if side == "input" else _output_axes(layer)
        if axes is None:
            continue
        parameter = f"{name}.weight" if name else "weight"
        start = 0
        for segment in spec.axes.get((parameter, axes[0]), ()):
            if segment.group == group:
                yield Place(name, side, axes[1], start, segment)
            start += segment.length


def _input_axes(layer: nn.Module) -> tuple[int, int] | None:
    """The axis of a layer's weight that meets its input, and the one of the input."""
    if isinstance(layer, nn.Linear):
        return 1, -1
    if isinstance(layer, _ConvTransposeNd):
        return 0, 1
    if isinstance(layer, _ConvNd) and layer.groups == 1:
        return 1, 1
    return None


def _output_axes(layer: nn.Module) -> tuple[int, int] | None:
    """The axis of a layer's weight along which its output lies, and the one of the output."""
    if isinstance(layer, nn.Linear):
        return 0, -1
    if isinstance(layer, _ConvNd):
        is_turned = isinstance(layer, _ConvTransposeNd)
        return None if is_turned and layer.groups > 1 else (int(is_turned), 1)
    if isinstance(layer, nn.Embedding):
        return 1, -1
    if isinstance(layer, nn.LayerNorm | nn.RMSNorm):
        return (0, -1) if len(layer.normalized_shape) == 1 else None
    if isinstance(layer, _BatchNorm | _InstanceNorm | nn.GroupNorm):
        return 0, 1
    return None


def chunks(examples: Examples, params: Params, max_bytes: float) -> Iterator[Tensor]:
    """The inputs of all examples piece by piece; at least one example at a time."""
    floats = min(FLOATS_AT_ONCE, max_bytes / BYTES_PER_FLOAT)
    size = max(1, int(floats // examples.program.floats_per_example()))
    for start in range(0, len(examples.labels), size):
        yield fitting(examples.inputs[start : start + size], params)


def fitting(inputs: Tensor, params: Params) -> Tensor:
    """The inputs on the networks' device; in their type, unless they are whole numbers such as tokens."""
    weight = next(tensor for tensor in params.values() if tensor.is_floating_point())
    return inputs.to(weight.device, weight.dtype if inputs.is_floating_point() else inputs.dtype)


def look(
    program: StackedProgram,
    params: Params,
    inputs: Tensor,
    sides: Sequence[tuple[str, Side]],
    note: Callable[[str, Side, Tensor], None],
) -> None:
    """Runs one network in evaluation mode and calls ``note`` with each input or output of some layers.

    In the order of the calls; a layer that is called twice is noted twice. What ``note`` gets may change
    afterwards.
    """
    with _runnable(program, params) as module, torch.no_grad():
        handles = []
        for name, side in dict.fromkeys(sides):
            layer = module.get_submodule(name)
            if side == "input":
                hook = layer.register_forward_pre_hook(
                    lambda _, given, named, name=name: note(name, "input", (*given, *named.values())[0]),
                    with_kwargs=True,
                )
            else:
                hook = layer.register_forward_hook(
                    lambda _, __, output, name=name: note(name, "output", output)
                )
            handles.append(hook)
        try:
            functional_call(module, params, (laid_out(inputs),))
        finally:
            for handle in handles:
                handle.remove()


@contextmanager
def _runnable(program: StackedProgram, params: Params) -> Iterator[nn.Module]:
    """A copy of the module without weights, the caller's own meanwhile."""
    if isinstance(program, ModuleProgram):
        with program.copy("evaluation", params) as module:
            yield module
    else:
        yield copy.deepcopy(program.module).eval()
