"""Every family computes the same function after a permutation, and the same alone as in a stack."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from workers.architectures import build
from workers.architectures.shapes import hidden_units, smallest_side
from workers.datasets.definitions import DATASETS, DatasetDefinition, define
from workers.params import Params, ParamStack, row, stack
from workers.permutation import permute
from workers.permutation.check import check_function_preserved
from workers.permutation.derive import derive
from workers.seeding import generator
from workers.specs import (
    ArchitectureSpec,
    DataSpec,
    MLPSpec,
    ResNet20Spec,
    ResNetSpec,
    ShallowCNNSpec,
    VGGSpec,
)

QUICK: tuple[ArchitectureSpec, ...] = (
    MLPSpec(width=1, depth=1),
    MLPSpec(width=7, depth=3),
    *(ShallowCNNSpec(width=width, depth=depth) for width, depth in ((1, 2), (5, 2), (3, 4), (2, 6), (4, 8))),
    VGGSpec(width=1, depth=11),
    VGGSpec(width=3, depth=13),
    ResNetSpec(width=3, depth=18),
    ResNet20Spec(width_multiplier=0.125),
    ResNet20Spec(width_multiplier=0.25, norm="layer"),
)
LONG: tuple[ArchitectureSpec, ...] = (
    VGGSpec(width=4, depth=16),
    VGGSpec(width=2, depth=19),
    ResNetSpec(width=2, depth=34),
    ResNetSpec(width=1, depth=50),
    ResNetSpec(width=3, depth=50),
    ResNet20Spec(norm="layer"),
    ResNet20Spec(width_multiplier=2.0),
)
SPECS = [*QUICK, *(pytest.param(spec, marks=pytest.mark.slow) for spec in LONG)]


def dataset_for(spec: ArchitectureSpec, dataset: str) -> DatasetDefinition:
    """A data set, resized where the family does not take its images."""
    definition = DATASETS[dataset]
    if min(definition.shape[1:]) < smallest_side(spec):
        return define(DataSpec(dataset=dataset, input_size=32))
    return definition


def unlike_at_start(params: Params, seed: int) -> Params:
    """A network in float64 whose norms, biases and statistics are no constants, as training leaves them."""
    stream = generator("unlike", seed)
    changed: Params = {}
    for name, tensor in params.items():
        if not tensor.is_floating_point():
            changed[name] = tensor
        elif tensor.ndim == 1:
            noise = torch.rand(tensor.shape, generator=stream, dtype=torch.float64)
            changed[name] = tensor.double() + (noise if name.endswith("running_var") else noise - 0.5)
        else:
            changed[name] = tensor.double()
    return changed


def networks(spec: ArchitectureSpec, definition: DatasetDefinition, number: int) -> ParamStack:
    """Some networks of a family."""
    program = build(spec, definition)
    return stack([unlike_at_start(program.initialize(seed), seed) for seed in range(number)])


def images(definition: DatasetDefinition, number: int) -> Tensor:
    """Normal noise in float64."""
    return torch.randn(number, *definition.shape, generator=generator("images"), dtype=torch.float64)


@pytest.mark.parametrize("spec", SPECS, ids=lambda spec: f"{spec.name}{spec.depth}w{spec.width}")
def test_permuted_networks_compute_the_same_function(spec: ArchitectureSpec) -> None:
    """Random permutations of all groups at once leave the logits within 1e-10, statistics included.

    The groups are those that ``hidden_units`` counts, and no operation of the family is without a rule.
    """
    definition = dataset_for(spec, "cifar10")
    program = build(spec, definition)
    inputs = program.prepare(images(definition, 3))
    found = derive(program.module, torch.zeros(2, *inputs.shape[1:]))
    assert () == found.pinned_operations
    assert hidden_units(spec) == tuple(found.spec.groups.values())
    params = networks(spec, definition, 2)
    draws = [permute.random(found.spec, "symmetry", k) for k in range(2)]
    permutation = {group: torch.stack([draw[group] for draw in draws]) for group in found.spec.groups}
    check_function_preserved(program, params, permutation, found.spec, inputs, tolerance=1e-10)
    moved = permute.apply(params, permutation, found.spec)
    if max(hidden_units(spec)) > 2:  # else the draws may be identities
        assert any(not torch.equal(params[name], moved[name]) for name in params)
    for name in program.statistics:
        group = found.spec.axes[name, 0][0].group
        assert group is not None
        assert torch.equal(params[name].gather(1, permutation[group]), moved[name])


@pytest.mark.parametrize("spec", QUICK, ids=lambda spec: f"{spec.name}{spec.depth}w{spec.width}")
@pytest.mark.parametrize("dataset", ["digits", "mnist", "cifar10"])
def test_logits_of_a_stack_are_those_of_its_rows(spec: ArchitectureSpec, dataset: str) -> None:
    """One network alone gives what it gives among three, within 1e-12, on every image size."""
    definition = dataset_for(spec, dataset)
    program = build(spec, definition)
    params, inputs = networks(spec, definition, 3), program.prepare(images(definition, 4))
    together = program.logits(params, inputs)
    assert (3, definition.num_classes, 4) == tuple(together.shape)
    for k in range(3):
        alone = program.logits(stack([row(params, k)]), inputs)[0]
        assert torch.allclose(alone, together[k], rtol=1e-12, atol=1e-12)
    assert not torch.allclose(together[0], together[1], rtol=1e-3)
