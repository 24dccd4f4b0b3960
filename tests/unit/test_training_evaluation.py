"""Losses, errors and predictions of stacks over all examples."""

from __future__ import annotations

import pytest
import torch
from torch import nn
from toy_networks import toy

from workers import evaluation
from workers.architectures import build
from workers.architectures.mlp import MLPProgram
from workers.device import threads
from workers.evaluation import evaluate, tally
from workers.params import num_networks, row, rows, stack
from workers.specs import ShallowCNNSpec


def case(width: int, num: int, num_examples: int = 1300, num_inputs: int = 9) -> tuple:
    """A program, a stack, inputs and labels."""
    program = MLPProgram(num_inputs, width, 2, 7)
    params = stack([program.initialize(seed) for seed in range(num)])
    stream = torch.Generator().manual_seed(width)
    inputs = torch.randn(num_examples, num_inputs, generator=stream)
    return program, params, inputs, torch.randint(7, (num_examples,), generator=stream)


def test_evaluation_equals_cross_entropy_and_argmax() -> None:
    """Losses and errors are those of torch's cross-entropy and argmax on the module's logits."""
    program, params, inputs, labels = case(width=5, num=3)
    found = evaluate(program, params, inputs, labels, with_predictions=True)
    module = program.make()
    for place in range(3):
        module.load_state_dict(row(params, place))
        logits = module(inputs).detach()
        assert nn.functional.cross_entropy(logits, labels).item() == pytest.approx(
            found.losses[place].item(), rel=1e-5
        )
        assert torch.equal(logits.argmax(1), found.predictions[place])
        assert (logits.argmax(1) != labels).double().mean().item() == found.errors[place].item()


@pytest.mark.parametrize("width", [1, 3, 5, 16, 67])
def test_figures_do_not_depend_on_company_or_threads(width: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loss and error of a network are the same bits alone, in a stack, in other chunks, on two threads."""
    program, params, inputs, labels = case(width, num=13)
    with threads(1):
        alone = [
            evaluate(program, rows(params, [place]), inputs, labels).losses.item() for place in range(13)
        ]
    with threads(2):
        assert alone == evaluate(program, params, inputs, labels).losses.tolist()
        monkeypatch.setattr(
            evaluation, "CHUNK_FLOATS", 4 * evaluation.CHUNK_EXAMPLES * program.floats_per_example()
        )
        assert alone == evaluate(program, params, inputs, labels).losses.tolist()


def test_large_networks_take_fewer_examples_at_a_time() -> None:
    """Chunks hold 512 examples of small networks, 128 of 478,000 floats each, and at least 16 of any."""

    def sizes(width: int) -> list[int]:
        chunks = evaluation.chunks_of(MLPProgram(9, width, 1, 10), 1, torch.zeros(1000, 9))
        return [chunk.examples.stop - chunk.examples.start for chunk in chunks]

    assert [512, 488] == sizes(100)
    assert [128] * 7 + [104] == sizes(478_000)
    assert [16] * 62 + [8] == sizes(10**9)


@pytest.mark.parametrize("num_threads", [1, 2])
def test_bytes_are_evaluated_as_the_inputs_made_of_them(num_threads: int) -> None:
    """Figures of a convolutional network are the same bits from bytes and from floats, in any company."""
    dataset = toy(num_train=1100, side=8)
    program = build(ShallowCNNSpec(width=3), dataset.definition)
    params = stack([program.initialize(seed) for seed in range(3)])
    inputs = dataset.inputs("train", program.prepare)
    with threads(num_threads):
        found = evaluate(program, params, inputs, dataset.train_labels)
        of_floats = evaluate(program, rows(params, [1]), inputs[:], dataset.train_labels)
    assert of_floats.losses.item() == found.losses[1].item()


def test_every_network_may_have_labels_of_its_own() -> None:
    """Labels of shape (N, B) go to their own networks."""
    program, params, inputs, labels = case(width=5, num=2)
    own = torch.stack([labels, labels.flip(0)])
    found = evaluate(program, params, inputs, own)
    for place in range(num_networks(params)):
        expected = evaluate(program, rows(params, [place]), inputs, own[place])
        assert expected.losses.item() == found.losses[place].item()
        assert expected.errors.item() == found.errors[place].item()


def test_ties_go_to_the_first_class_and_nan_to_none() -> None:
    """The first of equal largest logits is predicted; NaN logits predict C and count as mistakes."""
    logits = torch.tensor([[[1.0, 2.0], [1.0, float("nan")], [0.0, 0.0]]])
    found = tally(logits, torch.tensor([0, 1]))
    assert [[0, 3]] == found.predictions.tolist()
    assert [1] == found.num_mistakes.tolist()
