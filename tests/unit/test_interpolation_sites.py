"""Which layers repair corrects, and what the corrections refuse."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from small_convolutions import CLASSES, PROGRAMS, SHAPE, examples, networks
from torch import Tensor, nn

from workers.architectures.build import build
from workers.architectures.mlp import MLPProgram
from workers.architectures.module_program import ModuleProgram
from workers.datasets.definitions import define
from workers.interpolation.interpolate import interpolate
from workers.interpolation.moments import Moments, affine_to
from workers.interpolation.sites import repairable
from workers.params import stack
from workers.specs import DataSpec, ResNet20Spec


@pytest.mark.parametrize(
    ("name", "layers"),
    [
        ("plain", ["0", "2", "5"]),
        ("batch_normed", ["1", "4"]),
        ("bare_norms", ["1", "3", "7"]),
        ("residual", ["stem_norm", "inner_norm", "outer_norm"]),
        ("shared", ["first"]),
    ],
)
def test_sites_are_norms_and_hidden_layers_without_one(name: str, layers: list[str]) -> None:
    """Not the output, no layer right before a norm, none that is called twice."""
    assert layers == [site.layer for site in repairable(PROGRAMS[name]).sites]


def test_layer_norms_of_resnet20_are_sites_with_channels_last() -> None:
    """One for each of its 21 convolutions; they see maps with the channels as the last axis."""
    program = build(ResNet20Spec(norm="layer"), define(DataSpec(dataset="cifar10")))
    assert isinstance(program, ModuleProgram)

    sites = repairable(program).sites

    assert 21 == len(sites)
    assert {("norm", -1)} == {(site.layer.rpartition(".")[2], site.output_axis) for site in sites}


def test_tied_layers_are_no_sites() -> None:
    """What is folded into one would change the other."""

    def make() -> nn.Module:
        layers = nn.Sequential(
            nn.Flatten(), nn.Linear(72, 6), nn.ReLU(), nn.Linear(6, 6), nn.ReLU(), nn.Linear(6, 6)
        )
        layers.append(nn.ReLU()).append(nn.Linear(6, CLASSES))
        layers[5].weight = layers[3].weight
        return layers

    sites = repairable(ModuleProgram(make, SHAPE, CLASSES)).sites

    assert ["1"] == [site.layer for site in sites]


@pytest.mark.parametrize("name", ["plain", "bare_norms"])
def test_added_weights_and_biases_change_no_function(name: str) -> None:
    """Where a site lacks them it gets ones and zeros, and the logits stay the same bits."""
    program = PROGRAMS[name]
    params, target = networks(program, range(2)), repairable(program)

    extended = target.extend(params)

    assert set(target.program.names) == set(extended)
    assert set(params) < set(extended)
    inputs = examples(20)
    assert torch.equal(program.logits(params, inputs), target.program.logits(extended, inputs))


def test_units_without_variance_are_scaled_by_a_thousand_at_most() -> None:
    """Equal moments give scale 1 and shift 0 exactly; a constant unit that shall vary stays finite."""
    variance = torch.tensor([2.0, 0.0, 4.0, 0.0], dtype=torch.float64)
    own = torch.tensor([2.0, 0.0, 0.0, 1.0], dtype=torch.float64)
    mean = torch.tensor([0.1, 0.2, 0.3, 0.4], dtype=torch.float64)

    affine = affine_to(Moments(mean, variance), Moments(mean, own))

    assert [1.0, 1.0] == affine.scale[:2].tolist()
    assert [0.0, 0.0] == affine.shift[:2].tolist()
    assert 1000.0 == pytest.approx(affine.scale[2].item(), rel=1e-5)
    assert 0.0 == pytest.approx(affine.scale[3].item(), abs=1e-9)


MLP = MLPProgram(num_inputs=3, width=4, depth=1, num_classes=2)
BATCH = torch.ones(8, 3)


def nothing_hidden() -> nn.Module:
    """A linear classifier."""
    return nn.Sequential(nn.Flatten(), nn.Linear(72, CLASSES))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"correction": "repair"}, "got no statistics"),
        ({"correction": "repair", "statistics": []}, r"got batches of \[\]"),
        ({"correction": "repair", "statistics": [BATCH, BATCH[:1]]}, r"got batches of \[8, 1\]"),
        ({"correction": "reset_bn", "statistics": [BATCH]}, "keeps none"),
    ],
)
def test_a_correction_that_cannot_be_made_is_refused(options: dict[str, Any], message: str) -> None:
    """The message says what is missing."""
    params = stack([MLP.initialize(0)])
    with pytest.raises(ValueError, match=message):
        interpolate(MLP, params, params, [0.0, 1.0], BATCH, torch.zeros(8, dtype=torch.int64), **options)


def test_repair_of_a_network_without_hidden_units_is_refused() -> None:
    """There is no layer to correct."""
    program = ModuleProgram(nothing_hidden, SHAPE, CLASSES, "linear")
    params, inputs = stack([program.initialize(0)]), examples(8, dtype=torch.float32)
    truth: Tensor = torch.zeros(8, dtype=torch.int64)
    with pytest.raises(ValueError, match=r"nothing in Sequential can be permuted|no linear"):
        interpolate(
            program, params, params, [0.0, 1.0], inputs, truth, correction="repair", statistics=[inputs]
        )
