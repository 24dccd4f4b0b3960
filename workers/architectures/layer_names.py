"""Names of the layers of every family, as its modules have them, free of torch: what a planner can count.

A layer is a module that holds parameters, a norm too; in the order of the state dict.
"""

from __future__ import annotations

from functools import singledispatch

from workers.architectures.shapes import (
    EXPANSION,
    VGG_CONVOLUTIONS,
    has_projection,
    stages,
)
from workers.specs import ArchitectureSpec, MLPSpec, ResNet20Spec, ResNetSpec, ShallowCNNSpec, VGGSpec


@singledispatch
def layer_names(spec: ArchitectureSpec) -> tuple[str, ...]:
    """The names, from input to output.

    Raises:
        ValueError: For a module of the user's own, whose layers are known to torch alone.
    """
    raise ValueError(f"{spec.name}: the layers of a module are known once it is built")


@layer_names.register
def _(spec: MLPSpec) -> tuple[str, ...]:
    return tuple(f"layers.{index}" for index in range(spec.depth + 1))


@layer_names.register
def _(spec: ShallowCNNSpec) -> tuple[str, ...]:
    return (*(f"convolutions.{index}" for index in range(spec.depth)), "linear")


@layer_names.register
def _(spec: VGGSpec) -> tuple[str, ...]:
    found, position = [], 0
    for number in VGG_CONVOLUTIONS[spec.depth]:
        for _ in range(number):
            found += [f"features.{position}", f"features.{position + 1}"]
            position += 3  # convolution, norm, ReLU
        position += 1  # pooling
    return (*found, "classifier")


@layer_names.register(ResNetSpec)
@layer_names.register(ResNet20Spec)
def _(spec: ResNetSpec | ResNet20Spec) -> tuple[str, ...]:
    inner = ".norm" if isinstance(spec, ResNet20Spec) and spec.norm == "layer" else ""
    blocks, kind = stages(spec)
    found, stream = ["conv1", f"bn1{inner}"], spec.width
    for stage, number in enumerate(blocks):
        out = spec.width * 2**stage * EXPANSION[kind]
        for index in range(number):
            block = f"layer{stage + 1}.{index}"
            for place in range(1, (3 if kind == "bottleneck" else 2) + 1):
                found += [f"{block}.conv{place}", f"{block}.bn{place}{inner}"]
            if has_projection(stage, index, stream, out):
                found += [f"{block}.downsample.0", f"{block}.downsample.1{inner}"]
            stream = out
    return (*found, "fc")
