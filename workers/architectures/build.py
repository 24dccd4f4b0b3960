"""From an architecture's spec to its program; torch is imported where one is built."""

from __future__ import annotations

from functools import cache, partial
from typing import TYPE_CHECKING

from workers import user_code
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

if TYPE_CHECKING:
    from torch import nn

    from workers.architectures.program import StackedProgram


@cache
def build(spec: ArchitectureSpec, dataset: DatasetDefinition) -> StackedProgram:
    """The program of an architecture for the shape and the classes of a data set.

    Raises:
        ValueError: If the architecture does not take images of this shape, or the user's own module is
            not there or does not return one.
    """
    from workers.architectures.mlp import MLPProgram
    from workers.architectures.module_program import ModuleProgram

    if isinstance(spec, MLPSpec):
        return MLPProgram(
            num_inputs=dataset.num_inputs, width=spec.width, depth=spec.depth, num_classes=dataset.num_classes
        )
    name = spec.name if isinstance(spec, ModuleSpec) else f"{spec.name} on {dataset.name}"
    return ModuleProgram(partial(_make, spec, dataset), dataset.shape, dataset.num_classes, name)


def _make(spec: ArchitectureSpec, dataset: DatasetDefinition) -> nn.Module:
    """The module of a spec, with fresh weights."""
    shape, num_classes = dataset.shape, dataset.num_classes
    if isinstance(spec, ShallowCNNSpec):
        from workers.architectures.shallow_cnn import ShallowCNN

        return ShallowCNN(shape, spec.width, spec.depth, num_classes)
    if isinstance(spec, VGGSpec):
        from workers.architectures.vgg import VGG

        return VGG(shape, spec.width, spec.depth, num_classes)
    if isinstance(spec, ResNetSpec):
        from workers.architectures.resnet import ResNet

        return ResNet(shape, spec.width, spec.depth, num_classes)
    if isinstance(spec, ResNet20Spec):
        from workers.architectures.resnet20 import ResNet20

        return ResNet20(shape, spec.width, spec.norm, num_classes)
    assert isinstance(spec, ModuleSpec)
    return user_module(spec)


def user_module(spec: ModuleSpec) -> nn.Module:
    """What the user's function returns for the spec's arguments.

    Raises:
        ValueError: If it is not there, is not the one that was planned, fails, or returns no module.
    """
    from torch import nn

    function = user_code.resolve(spec.name)
    if spec.source_sha256 not in user_code.loaded_sha256(spec.name):
        raise ValueError(
            f"{spec.name}: its source file has changed since the sweep was planned, or since it was imported "
            "here. Start again, so that results are named by the module that made them"
        )
    try:
        made = function(**dict(spec.arguments))
    except Exception as error:  # whatever the user's function does
        raise ValueError(f"{spec.name} failed: {type(error).__name__}: {error}") from error
    if not isinstance(made, nn.Module):
        raise ValueError(f"{spec.name} must return a torch.nn.Module, it returns {type(made).__name__}")
    return made
