"""Layers counted without torch, against the modules and against published figures."""

from __future__ import annotations

import subprocess
import sys
from itertools import product

import pytest
import torch
import torchvision
from torch import nn

from workers.architectures import build
from workers.architectures.resnet import ResNet
from workers.architectures.shapes import layers, num_parameters, smallest_side
from workers.architectures.vgg import VGG
from workers.datasets.definitions import DATASETS, define
from workers.params import num_parameters as entries
from workers.specs import (
    ArchitectureSpec,
    DataSpec,
    MLPSpec,
    ModuleSpec,
    ResNet20Spec,
    ResNetSpec,
    ShallowCNNSpec,
    VGGSpec,
)

SPECS: tuple[ArchitectureSpec, ...] = (
    *(MLPSpec(width=width, depth=depth) for width, depth in ((1, 1), (5, 3))),
    *(ShallowCNNSpec(width=3, depth=depth) for depth in (2, 4, 6, 8)),
    *(VGGSpec(width=2, depth=depth) for depth in (11, 13, 16, 19)),
    *(ResNetSpec(width=2, depth=depth) for depth in (18, 34, 50)),
    *(ResNet20Spec(width_multiplier=0.25, norm=norm) for norm in ("batch", "layer")),
)


def torch_counts(module: nn.Module) -> tuple[int, int]:
    """Parameters of a module, and those of its convolutions and norms."""
    parts = [
        layer for layer in module.modules() if isinstance(layer, nn.Conv2d | nn.BatchNorm2d | nn.LayerNorm)
    ]
    every = sum(p.numel() for p in module.parameters())
    return every, sum(p.numel() for layer in parts for p in layer.parameters())


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.name}{spec.depth}")
@pytest.mark.parametrize("dataset", ["digits", "mnist", "cifar10"])
def test_counts_are_those_of_the_module(spec: ArchitectureSpec, dataset: str) -> None:
    """As many parameters as the module that is built has, layer for layer, on every image size it takes."""
    definition = DATASETS[dataset]
    if min(definition.shape[1:]) < smallest_side(spec):
        definition = define(DataSpec(dataset=dataset, input_size=32))
    module = build(spec, definition).module
    assert torch_counts(module)[0] == num_parameters(spec, definition)
    weights = [p.numel() for name, p in module.named_parameters() if p.ndim > 1]
    assert sorted(weights) == sorted(layer.num_weights for layer in layers(spec, definition))


def test_resnet20_has_its_published_size() -> None:
    """272,474 parameters at 16 channels on CIFAR-10, with 1x1 shortcuts (the reference program's count)."""
    for norm in ("batch", "layer"):
        assert 272_474 == num_parameters(ResNet20Spec(norm=norm), DATASETS["cifar10"])


@pytest.mark.parametrize(
    ("depth", "published"), [(11, 9_225_984), (13, 9_410_880), (16, 14_723_136), (19, 20_035_392)]
)
def test_vgg_features_are_those_of_torchvision(depth: int, published: int) -> None:
    """At width 64, layer for layer; the counts are those of torchvision's models without their head."""
    theirs = getattr(torchvision.models, f"vgg{depth}_bn")(init_weights=False).features
    ours = VGG((3, 32, 32), 64, depth, 10)
    assert [type(layer) for layer in theirs] == [type(layer) for layer in ours.features]
    assert {n: p.shape for n, p in theirs.state_dict().items()} == {
        n: p.shape for n, p in ours.features.state_dict().items()
    }
    counted = layers(VGGSpec(depth=depth), DATASETS["cifar10"])
    assert published == torch_counts(ours)[1] == sum(layer.num_parameters for layer in counted[:-1])


@pytest.mark.parametrize(("depth", "published"), [(18, 11_689_512), (34, 21_797_672), (50, 25_557_032)])
def test_resnets_are_those_of_torchvision_but_for_the_stem(depth: int, published: int) -> None:
    """At width 64 and 1000 classes, 7x7 - 3x3 kernels of 3 x 64 fewer than ``resnet18`` to ``resnet50``."""
    theirs = {
        name: tensor.shape
        for name, tensor in getattr(torchvision.models, f"resnet{depth}")().state_dict().items()
    }
    ours = {name: tensor.shape for name, tensor in ResNet((3, 32, 32), 64, depth, 1000).state_dict().items()}
    assert (64, 3, 7, 7) == theirs.pop("conv1.weight")
    assert (64, 3, 3, 3) == ours.pop("conv1.weight")
    assert theirs == ours
    definition = DATASETS["imagenet"]
    assert published - 3 * 64 * (49 - 9) == num_parameters(ResNetSpec(depth=depth), definition)


def test_multiply_adds_are_weights_times_positions() -> None:
    """ResNet-20 on CIFAR takes 40.55 million without shortcuts, which take 0.26 million more."""
    counted = layers(ResNet20Spec(), DATASETS["cifar10"])
    shortcuts = [layer for layer in counted if layer.kernel_area == 1 and layer.positions > 1]
    total = sum(layer.multiply_adds for layer in counted)
    aside = sum(layer.multiply_adds for layer in shortcuts)
    assert (40_551_040, 262_144) == (total - aside, aside)


@pytest.mark.parametrize("spec", [SPECS[2], SPECS[6], SPECS[10], SPECS[12], SPECS[13]], ids=lambda s: s.name)
def test_positions_are_those_of_the_forward_pass(spec: ArchitectureSpec) -> None:
    """What all layers return for an image is what hooks on the real ones count."""
    definition = DATASETS["cifar10"]
    program = build(spec, definition)
    counted: list[int] = []
    module = program.make()  # type: ignore[attr-defined]
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            layer.register_forward_hook(lambda _, __, out: counted.append(out.numel()))
    module.eval()(program.prepare(torch.zeros(1, *definition.shape)))
    assert sorted(counted) == sorted(layer.outputs for layer in layers(spec, definition))


def test_images_that_are_too_small_are_refused_with_the_remedy() -> None:
    """VGG takes 32x32 and more: on 28x28 module and count say so, and what to set."""
    for image, refuse in product(["digits", "mnist"], [build, layers]):
        with pytest.raises(ValueError, match="set input_size: 32"):
            refuse(VGGSpec(width=2), DATASETS[image])  # type: ignore[operator]
    assert (
        entries(build(VGGSpec(width=2), define(DataSpec(dataset="mnist", input_size=32))).initialize(0)) > 0
    )


def test_a_module_of_the_users_own_has_no_layers_here() -> None:
    """Its layers are known to torch alone."""
    with pytest.raises(ValueError, match="nets:make: the layers of a module"):
        layers(ModuleSpec(name="nets:make", source_sha256="0" * 64), DATASETS["digits"])


def test_counting_does_not_import_torch() -> None:
    """The planner counts in a process that never pays for torch."""
    code = (
        "import sys; from workers.architectures.shapes import num_parameters;"
        "from workers.specs import ResNet20Spec; from workers.datasets.definitions import DATASETS;"
        "print(num_parameters(ResNet20Spec(), DATASETS['cifar10']), 'torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "272474 False" == done.stdout.strip()
