"""Methods that look at what networks compute undo random permutations in convolutional families."""

from __future__ import annotations

import pytest
import torch

from workers.alignment.align import Examples, align
from workers.alignment.methods import ActivationMatching, FunctionalDifference
from workers.architectures import build
from workers.datasets.definitions import DATASETS
from workers.params import Params, interpolated, stack
from workers.permutation import permute
from workers.permutation.derive import derive_permutation_spec
from workers.seeding import generator
from workers.specs import ArchitectureSpec, ResNet20Spec, ShallowCNNSpec, VGGSpec

TRIALS = 5
CIFAR10 = DATASETS["cifar10"]


def drawn(params: Params, trial: int) -> Params:
    """A network whose biases, norms and statistics differ from unit to unit, as after training."""
    stream = generator("norms", trial)
    return {
        name: tensor + torch.rand(tensor.shape, generator=stream) / 5
        if tensor.ndim == 1 and tensor.is_floating_point()
        else tensor
        for name, tensor in params.items()
    }


@pytest.mark.slow
@pytest.mark.parametrize(
    "method",
    [ActivationMatching(), FunctionalDifference(), FunctionalDifference(assignment="hungarian")],
    ids=["activations", "greedy", "hungarian"],
)
@pytest.mark.parametrize(
    "spec",
    [ShallowCNNSpec(width=8, depth=4), VGGSpec(width=4, depth=11), ResNet20Spec(width_multiplier=0.5)],
    ids=lambda spec: spec.name,
)
def test_permuted_copies_are_networks_halfway_again(
    spec: ArchitectureSpec, method: ActivationMatching | FunctionalDifference
) -> None:
    """In 5 of 5 trials the network halfway to the aligned copy computes what both compute.

    Units that never fire may be exchanged; all others are in their places.
    """
    program = build(spec, CIFAR10)
    images = torch.randn(64, *CIFAR10.shape, generator=generator("test", "images"))
    groups = derive_permutation_spec(program.module, images[:2])
    networks = stack([drawn(program.initialize(trial), trial) for trial in range(TRIALS)])
    networks = program.with_statistics(networks, [images])
    draws = [permute.random(groups, "planted", spec.name, trial) for trial in range(TRIALS)]
    planted = {group: torch.stack([draw[group] for draw in draws]) for group in groups.groups}
    moved = permute.apply(networks, planted, groups)
    found = align(
        method,
        [networks, moved],
        groups,
        names=[str(trial) for trial in range(TRIALS)],
        examples=Examples(program, images, torch.zeros(64, dtype=torch.int64)),
    )
    back = permute.apply(moved, found.permutations[1], groups)
    expected, actual = (
        program.logits(params, images) for params in (networks, interpolated(networks, back, 0.5))
    )
    torch.testing.assert_close(expected, actual, rtol=1e-4, atol=1e-4)
