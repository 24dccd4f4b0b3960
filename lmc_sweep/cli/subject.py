"""The module that ``align`` and ``spec`` are asked about, its input, and its permutation spec."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from lmc_sweep.checkpoints import unwrapped
from lmc_sweep.cli.asked import Asked, data_of_shape, image_shape

if TYPE_CHECKING:
    from torch import Tensor, nn

    from workers.architectures.program import StackedProgram
    from workers.permutation.derive import Derivation
    from workers.permutation.recorder import PinnedOperation
    from workers.specs import ArchitectureSpec, DataSpec, ModuleSpec

_SIDES = (32, 28, 8, 64, 224, 96)
"""Sides of images, in pixels, that are tried where nothing but layers says what a network takes."""

_LENGTHS = (64, 32, 16, 8, 4, 128, 256, 512, 1024, 100, 784, 1000)
"""Lengths of sequences and numbers of tokens that are tried likewise."""

_POSITIONS = 1 << 16
"""Of one example at most, so that volumes stay small."""


@dataclass(frozen=True)
class Subject:
    """A module and a batch that it takes; its program where classes and shape of an image are known.

    The module has no weights of interest: it may be on the ``meta`` device.
    """

    module: nn.Module
    example: Tensor
    program: StackedProgram | None


def subject(asked: Asked, state: Mapping[str, Tensor] | None = None) -> Subject:
    """The module that was asked for.

    Args:
        asked: By the options.
        state: Of a checkpoint, from which the inputs and classes of a family's network are told where no
            data set is named.

    Raises:
        ValueError: If the module is not there, fails, or does not take such inputs.
    """
    import torch

    from workers.architectures import build
    from workers.datasets.definitions import define
    from workers.specs import ModuleSpec

    if isinstance(asked.architecture, ModuleSpec) and asked.data is None:
        return _alone(asked.architecture, asked.shape)
    data = asked.data or _told(asked.architecture, asked.shape, state)
    definition = define(data)
    program = build(asked.architecture, definition)
    return Subject(program.module, program.prepare(torch.zeros(2, *definition.shape)), program)


def derived(of: Subject) -> Derivation:
    """The subject's permutation spec, proved by a random permutation.

    Raises:
        ValueError: If the module cannot be traced, or nothing in it can be permuted.
    """
    from workers.permutation.check import check_spec
    from workers.permutation.derive import derive

    found = derive(of.module, of.example)
    check_spec(of.module, found.spec, of.example)
    return found


def limit(pinned: PinnedOperation) -> str:
    """What an operation without a rule means, for people."""
    return f"no rule for {pinned.name} ({pinned.operation}): the units next to it stay in place"


def _alone(spec: ModuleSpec, shape: tuple[int, ...] | None) -> Subject:
    """A module of the user's own, and inputs of a shape or, where that is not given, of its first layer."""
    import torch

    from workers.architectures.build import user_module
    from workers.seeding import with_global_seed

    module = with_global_seed(0, partial(user_module, spec)).eval()
    layer, first = _first_layer(module)
    told = type(first).__name__ + (f" '{layer}'" if layer else "")
    attempts = list(_shapes_for(first))
    if shape is not None:
        is_flat = isinstance(first, torch.nn.Linear) and len(shape) > 1
        attempts = [(math.prod(shape),), shape] if is_flat else [shape]
    elif not attempts:
        raise ValueError(
            f"the input of {spec.name} cannot be told from its first layer, {told}: "
            "name it by --input-shape 3,32,32 or --dataset"
        )
    dtype = torch.int64 if isinstance(first, torch.nn.Embedding) else torch.float32
    errors = []
    for attempt in attempts:
        example = torch.zeros(2, *attempt, dtype=dtype)
        try:
            with torch.no_grad():
                module(example)
        except Exception as error:  # whatever the module does with inputs that it was not made for
            errors.append(" ".join(str(error).split()))
            continue
        return Subject(module, example, None)
    if shape is not None:
        raise ValueError(f"{spec.name} does not take inputs of shape {_crossed(shape)}: {errors[-1]}")
    raise ValueError(
        f"{spec.name} does not take inputs of any shape that its first layer, {told}, suggests "
        f"({', '.join(map(_crossed, attempts))}); of the first: {errors[0]}. "
        "Name it by --input-shape 3,32,32 or --dataset"
    )


def _first_layer(module: nn.Module) -> tuple[str, nn.Module]:
    """The first layer that says something of the inputs and its name; where none does, the first of all.

    A convolution says it even behind other layers, such as norms, which leave the channels as they are.
    """
    from torch import nn
    from torch.nn.modules.conv import _ConvNd

    layers = [
        (n, m) for n, m in module.named_modules() if next(m.parameters(recurse=False), None) is not None
    ]
    first = layers[0] if layers else ("", module)
    if isinstance(first[1], nn.Linear | nn.Embedding):
        return first
    return next((found for found in layers if isinstance(found[1], _ConvNd)), first)


def _shapes_for(layer: nn.Module) -> Iterator[tuple[int, ...]]:
    """Shapes of an example that a first layer may take, the likeliest first; none where it says nothing."""
    from torch import nn
    from torch.nn.modules.conv import _ConvNd

    if isinstance(layer, nn.Linear):
        yield (layer.in_features,)
    elif isinstance(layer, nn.Embedding):
        yield from ((length,) for length in _LENGTHS)
    elif isinstance(layer, _ConvNd):
        axes = len(layer.kernel_size)
        for side in _LENGTHS if axes == 1 else _SIDES:
            if side**axes <= _POSITIONS:
                yield (layer.in_channels, *(side,) * axes)


def _crossed(shape: tuple[int, ...]) -> str:
    """A shape for people, as in 3x32x32."""
    return "x".join(map(str, shape))


def _told(
    architecture: ArchitectureSpec, shape: tuple[int, ...] | None, state: Mapping[str, Tensor] | None
) -> DataSpec:
    """Examples of the shape and the classes that a checkpoint of a family's network was made for.

    The first layer tells the channels, the last the classes; the side of the images is the first of
    ``_SIDES`` whose network has the shapes of the checkpoint. What is not told is 3x32x32 and 10.
    """
    from workers.specs import MLPSpec

    num_classes, channels = 10, 3
    names = list(_shapes(architecture, data_of_shape((3, 32, 32), 10)))
    if state is not None:
        state, _ = unwrapped(state, names)
    if state is not None and {names[0], names[-1]} <= state.keys() and state[names[0]].ndim > 1:
        num_classes, channels = len(state[names[-1]]), state[names[0]].shape[1]
    if shape is not None:
        return data_of_shape(image_shape(shape), num_classes)
    if isinstance(architecture, MLPSpec):
        inputs = channels if state is not None else 64  # those of digits
        return data_of_shape((1, 1, inputs), num_classes)
    candidates = [data_of_shape((channels, side, side), num_classes) for side in _SIDES]
    if state is not None:
        found = {name: tuple(tensor.shape) for name, tensor in state.items()}
        for candidate in candidates:
            shapes = _shapes(architecture, candidate)
            if shapes and all(shapes[name] == found.get(name) for name in shapes if name.endswith("weight")):
                return candidate
    return candidates[0]


def _shapes(architecture: ArchitectureSpec, data: DataSpec) -> dict[str, tuple[int, ...]]:
    """Shapes of the state dict, empty where the family takes no images of this size."""
    from workers.architectures import build
    from workers.datasets.definitions import define

    try:
        module = build(architecture, define(data)).module
    except ValueError:
        return {}
    return {name: tuple(tensor.shape) for name, tensor in module.state_dict().items()}
