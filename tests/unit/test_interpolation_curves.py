"""Curves between networks whose answer is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from workers.architectures.mlp import MLPProgram
from workers.interpolation.interpolate import interpolate
from workers.params import ParamStack, stack

PROGRAM = MLPProgram(num_inputs=1, width=1, depth=1, num_classes=2)
INPUTS = torch.ones(4, 1)
LABELS = torch.tensor([0, 0, 0, 1])


def constant(*logits: float) -> ParamStack:
    """A stack of one network with these two logits whatever the input."""
    return {
        "layers.0.weight": torch.zeros(1, 1, 1),
        "layers.0.bias": torch.zeros(1, 1),
        "layers.1.weight": torch.zeros(1, 2, 1),
        "layers.1.bias": torch.tensor([logits]),
    }


def mean_loss(logit: float) -> float:
    """Loss on LABELS of the logits (logit, 0): three examples of class 0 and one of class 1."""
    return (3 * math.log1p(math.exp(-logit)) + math.log1p(math.exp(logit))) / 4


def test_losses_and_errors_are_means_over_the_examples() -> None:
    """Logits go from (2, 0) to (-2, 0): the loss has a closed form, the error rises from 1/4 to 3/4."""
    curves = interpolate(PROGRAM, constant(2.0, 0.0), constant(-2.0, 0.0), [0.0, 0.25, 1.0], INPUTS, LABELS)

    assert [mean_loss(2.0), mean_loss(1.0), mean_loss(-2.0)] == pytest.approx(
        curves.losses[0].tolist(), rel=1e-6
    )
    assert [0.25, 0.25, 0.75] == curves.errors[0].tolist()
    assert [1.0] == curves.endpoint_disagreement.tolist()
    assert (0.0, 0.25, 1.0) == curves.alphas
    assert len(LABELS) == curves.num_examples


def test_each_pair_may_have_labels_of_its_own() -> None:
    """One row of labels for each pair: the second pair's are all of class 1."""
    networks = stack([{name: tensor[0] for name, tensor in constant(2.0, 0.0).items()}] * 2)

    curves = interpolate(
        PROGRAM, networks, networks, [0.0, 1.0], INPUTS, torch.stack([LABELS, torch.ones_like(LABELS)])
    )

    assert [[0.25, 0.25], [1.0, 1.0]] == curves.errors.tolist()


@pytest.mark.parametrize("figure", [math.nan, math.inf])
def test_a_diverged_endpoint_leaves_the_other_pairs_alone(figure: float) -> None:
    """Its own losses are not finite, and its neighbor has the curve it has by itself."""
    one = {name: tensor[0] for name, tensor in constant(2.0, 0.0).items()}
    diverged = {**one, "layers.1.bias": torch.tensor([figure, 0.0])}
    alone = interpolate(PROGRAM, stack([one]), stack([one]), [0.0, 0.5, 1.0], INPUTS, LABELS)

    both = interpolate(PROGRAM, stack([diverged, one]), stack([one, one]), [0.0, 0.5, 1.0], INPUTS, LABELS)

    assert [False, False, True] == both.losses[0].isfinite().tolist()
    assert torch.equal(alone.losses[0], both.losses[1])


def test_a_grid_without_an_endpoint_is_refused() -> None:
    """A curve that could have no barrier is not measured."""
    with pytest.raises(ValueError, match=r"increase strictly from 0\.0 to 1\.0"):
        interpolate(PROGRAM, constant(1.0, 0.0), constant(0.0, 1.0), [0.0, 0.5], INPUTS, LABELS)


def test_results_can_be_differentiated_through_afterwards() -> None:
    """The tensors returned are ordinary ones, not bound to an inference mode."""
    losses: Tensor = interpolate(
        PROGRAM, constant(1.0, 0.0), constant(0.0, 1.0), [0.0, 1.0], INPUTS, LABELS
    ).losses

    assert not losses.is_inference()
