"""Layers of every family as plain numbers, free of torch: what a planner needs to count and to cost.

The tables of stages are the ones that the modules are built from.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache, singledispatch
from itertools import pairwise

from workers.datasets.definitions import DatasetDefinition
from workers.specs import (
    ArchitectureSpec,
    MLPSpec,
    ModuleSpec,
    ResNet20Spec,
    ResNetSpec,
    ShallowCNNSpec,
    VGGSpec,
)

VGG_MULTIPLIERS = (1, 2, 4, 8, 8)
"""Channels of the five stages, in widths."""

VGG_CONVOLUTIONS: dict[int, tuple[int, ...]] = {
    11: (1, 1, 2, 2, 2),
    13: (2, 2, 2, 2, 2),
    16: (2, 2, 3, 3, 3),
    19: (2, 2, 4, 4, 4),
}
"""Convolutions of the five stages, by depth. Source: Simonyan and Zisserman 2014, table 1 (A, B, D, E)."""

RESNET_BLOCKS: dict[int, tuple[int, ...]] = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3)}
"""Blocks of the four stages, by depth. Source: He et al. 2015, table 1."""

RESNET20_BLOCKS = (3, 3, 3)
"""Blocks of the three stages. Source: He et al. 2015, section 4.2, n = 3."""

EXPANSION = {"basic": 1, "bottleneck": 4}
"""Channels that a block returns, in those of its 3x3 convolutions."""


@dataclass(frozen=True, kw_only=True)
class LayerShape:
    """One linear or convolutional layer with what follows it at its output: bias and norm.

    ``kernel_area`` counts the weights between an input unit and an output unit, ``positions`` the places
    of an image where the layer is evaluated, ``extra_parameters`` biases and the affine part of norms.
    """

    in_units: int
    out_units: int
    kernel_area: int = 1
    positions: int = 1
    extra_parameters: int = 0

    @property
    def num_weights(self) -> int:
        """Entries of the weight tensor."""
        return self.in_units * self.out_units * self.kernel_area

    @property
    def num_parameters(self) -> int:
        """Entries of all parameters of the layer."""
        return self.num_weights + self.extra_parameters

    @property
    def multiply_adds(self) -> int:
        """Multiplications, each with its addition, for one example."""
        return self.num_weights * self.positions

    @property
    def outputs(self) -> int:
        """Floats that the layer returns for one example."""
        return self.out_units * self.positions


@cache
def layers(spec: ArchitectureSpec, definition: DatasetDefinition) -> tuple[LayerShape, ...]:
    """Every layer with weights, in the order of the forward pass, shortcuts behind their block.

    Raises:
        ValueError: If the family takes no images of this size, or for a module of the user's own, whose
            layers are known to torch alone.
    """
    smallest, (_, height, width) = smallest_side(spec), definition.shape
    if min(height, width) < smallest:
        raise ValueError(
            f"{spec.name} takes images of {smallest}x{smallest} pixels or more, {definition.name} has "
            f"{height}x{width}: set input_size: 32"
        )
    return _layers(spec, definition)


def num_parameters(spec: ArchitectureSpec, definition: DatasetDefinition) -> int:
    """Entries of all parameters of one network; statistics of norms are none."""
    return sum(layer.num_parameters for layer in layers(spec, definition))


@singledispatch
def smallest_side(spec: ArchitectureSpec) -> int:
    """The least height and width of images that the family takes, in pixels."""
    return 1


@smallest_side.register
def _(spec: ShallowCNNSpec) -> int:
    return 7  # a 9x9 kernel over one pixel of padding on each side


@smallest_side.register
def _(spec: VGGSpec) -> int:
    return 1 << len(VGG_MULTIPLIERS)  # every stage halves


@singledispatch
def hidden_units(spec: ArchitectureSpec) -> tuple[int, ...]:
    """Sizes of the groups of units that can be permuted, in the order in which layers make them."""
    raise ValueError(f"{spec.name}: the groups of a module are known once it is traced")


@hidden_units.register(MLPSpec)
@hidden_units.register(ShallowCNNSpec)
def _(spec: MLPSpec | ShallowCNNSpec) -> tuple[int, ...]:
    return (spec.width,) * spec.depth


@hidden_units.register
def _(spec: VGGSpec) -> tuple[int, ...]:
    stages = zip(VGG_MULTIPLIERS, VGG_CONVOLUTIONS[spec.depth], strict=True)
    return tuple(spec.width * multiplier for multiplier, number in stages for _ in range(number))


@hidden_units.register(ResNetSpec)
@hidden_units.register(ResNet20Spec)
def _(spec: ResNetSpec | ResNet20Spec) -> tuple[int, ...]:
    return tuple(size for size in _residual_groups(spec) if size)


def _residual_groups(spec: ResNetSpec | ResNet20Spec) -> list[int]:
    """The stem's units, then for each block its inner ones, and those of a stream that begins in it."""
    blocks, kind = stages(spec)
    sizes, stream = [spec.width], spec.width
    for stage, number in enumerate(blocks):
        inner = spec.width * 2**stage
        for index in range(number):
            sizes += [inner] * (2 if kind == "bottleneck" else 1)
            if has_projection(stage, index, stream, inner * EXPANSION[kind]):
                stream = inner * EXPANSION[kind]
                sizes.append(stream)
    return sizes


def stages(spec: ResNetSpec | ResNet20Spec) -> tuple[tuple[int, ...], str]:
    """Blocks of each stage, and their kind."""
    if isinstance(spec, ResNet20Spec):
        return RESNET20_BLOCKS, "basic"
    return RESNET_BLOCKS[spec.depth], "bottleneck" if spec.depth >= 50 else "basic"


def has_projection(stage: int, index: int, in_units: int, out_units: int) -> bool:
    """Whether a block's shortcut is a 1x1 convolution: where the stride or the channels change."""
    return index == 0 and (stage > 0 or in_units != out_units)


@singledispatch
def _layers(spec: ArchitectureSpec, definition: DatasetDefinition) -> tuple[LayerShape, ...]:
    """The layers of one family."""
    assert isinstance(spec, ModuleSpec)
    raise ValueError(f"{spec.name}: the layers of a module are known once it is imported")


@_layers.register
def _(spec: MLPSpec, definition: DatasetDefinition) -> tuple[LayerShape, ...]:
    sizes = (definition.num_inputs, *(spec.width,) * spec.depth, definition.num_classes)
    return tuple(_biased(a, b) for a, b in pairwise(sizes))


@_layers.register
def _(spec: ShallowCNNSpec, definition: DatasetDefinition) -> tuple[LayerShape, ...]:
    channels, *sides = definition.shape
    area = _area([(side + 2 - 9) // 2 + 1 for side in sides])
    width = spec.width
    return (
        _biased(channels, width, kernel_area=81, positions=area),
        *(_biased(width, width, kernel_area=9, positions=area) for _ in range(spec.depth - 2)),
        _biased(width, width, kernel_area=area),
        _biased(width, definition.num_classes),
    )


@_layers.register
def _(spec: VGGSpec, definition: DatasetDefinition) -> tuple[LayerShape, ...]:
    channels, *sides = definition.shape
    found: list[LayerShape] = []
    for multiplier, number in zip(VGG_MULTIPLIERS, VGG_CONVOLUTIONS[spec.depth], strict=True):
        for _ in range(number):
            out = spec.width * multiplier
            found.append(_normed(channels, out, 9, _area(sides), has_bias=True))
            channels = out
        sides = [side // 2 for side in sides]
    return (*found, _biased(channels, definition.num_classes, kernel_area=_area(sides)))


@_layers.register(ResNetSpec)
@_layers.register(ResNet20Spec)
def _(spec: ResNetSpec | ResNet20Spec, definition: DatasetDefinition) -> tuple[LayerShape, ...]:
    channels, *sides = definition.shape
    blocks, kind = stages(spec)
    found, stream = [_normed(channels, spec.width, 9, _area(sides))], spec.width
    for stage, number in enumerate(blocks):
        inner, out = spec.width * 2**stage, spec.width * 2**stage * EXPANSION[kind]
        for index in range(number):
            before = _area(sides)
            if index == 0 and stage > 0:
                sides = [(side + 1) // 2 for side in sides]
            area = _area(sides)
            if kind == "bottleneck":
                found.append(_normed(stream, inner, 1, before))
                found.append(_normed(inner, inner, 9, area))
                found.append(_normed(inner, out, 1, area))
            else:
                found.append(_normed(stream, inner, 9, area))
                found.append(_normed(inner, out, 9, area))
            if has_projection(stage, index, stream, out):
                found.append(_normed(stream, out, 1, area))
            stream = out
    return (*found, _biased(stream, definition.num_classes))


def _biased(in_units: int, out_units: int, *, kernel_area: int = 1, positions: int = 1) -> LayerShape:
    """A layer with a bias."""
    return LayerShape(
        in_units=in_units,
        out_units=out_units,
        kernel_area=kernel_area,
        positions=positions,
        extra_parameters=out_units,
    )


def _normed(
    in_units: int, out_units: int, kernel_area: int, positions: int, *, has_bias: bool = False
) -> LayerShape:
    """A convolution and its norm, which has a weight and a bias per channel."""
    return LayerShape(
        in_units=in_units,
        out_units=out_units,
        kernel_area=kernel_area,
        positions=positions,
        extra_parameters=(3 if has_bias else 2) * out_units,
    )


def _area(sides: list[int]) -> int:
    """Positions of a map."""
    return sides[0] * sides[1]
