"""How networks stop, what is recorded of them, and what is refused."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from toy_networks import assert_same_bits, network, run, toy

from workers.architectures import build
from workers.datasets.tensors import normalize
from workers.evaluation import evaluate
from workers.params import row
from workers.seeding import derive_seed
from workers.training.train import train


def test_divergence_is_an_outcome() -> None:
    """A network whose loss is no longer finite stops as diverged, without figures, and harms no other."""
    dataset = toy()
    wild = network(1, learning_rate=1e9, weight_decay=10.0, max_epochs=50)
    trained = run([network(0), wild, network(2)], dataset)
    assert trained.stop_reason == ("max_epochs", "diverged", "max_epochs")
    assert trained.epochs_trained[1] < 50
    assert (
        trained.train_loss[1]
        is trained.train_error[1]
        is trained.test_loss[1]
        is trained.test_error[1]
        is None
    )
    assert_same_bits(run([network(2)], dataset), 0, trained, 2)


def test_each_network_stops_at_its_own_loss() -> None:
    """A network stops after the first epoch whose mean minibatch loss is below its own threshold."""
    dataset = toy()
    thresholds = [1.5, 1.3, 1e-9]
    specs = [network(0, max_epochs=40, stop_train_loss=t, learning_rate=0.02) for t in thresholds]
    trained = run(specs, dataset)
    assert trained.stop_reason == ("loss_reached", "loss_reached", "max_epochs")
    first, second, last = trained.epochs_trained
    assert 0 < first < second < last == 40
    shorter = run([network(0, max_epochs=second, learning_rate=0.02)], dataset)
    assert torch.equal(shorter.params["layers.0.weight"][0], trained.params["layers.0.weight"][1])


def test_more_networks_than_slots_all_train(monkeypatch: pytest.MonkeyPatch) -> None:
    """Networks that wait for a slot come out as those that train at once, in the order of the specs."""
    dataset = toy()
    specs = [
        network(s, max_epochs=1 + s % 3, stop_train_loss=None, learning_rate=0.01 * (1 + s)) for s in range(9)
    ]
    at_once = run(specs, dataset)
    monkeypatch.setattr("workers.training.group.GROUP_BYTES", 2 * 9_000)
    calls: list[tuple[int, int]] = []
    in_turn = run(specs, dataset, progress=lambda finished, epochs: calls.append((finished, epochs)))
    assert len(calls) > 4
    assert (9, sum(at_once.epochs_trained)) == calls[-1]
    for place in range(9):
        assert_same_bits(at_once, place, in_turn, place)


def test_no_epochs_leave_the_initialization() -> None:
    """With max_epochs 0 a network is its initialization, and its figures are measured."""
    dataset = toy()
    trained = run([network(3, max_epochs=0), network(4, max_epochs=1)], dataset)
    program = build(network(3).architecture, dataset.definition)
    start = program.initialize(derive_seed("init", 3))
    assert all(torch.equal(start[name], value) for name, value in row(trained.params, 0).items())
    assert trained.epochs_trained == (0, 1)
    assert trained.stop_reason[0] == "max_epochs"
    assert trained.train_loss[0] is not None


def test_train_seconds_sum_to_the_wall_time() -> None:
    """Every network has a share of the wall time, and one that trains three times as long a larger one."""
    trained = run([network(0, max_epochs=4), network(1, max_epochs=12)], toy())
    assert all(seconds > 0 for seconds in trained.train_seconds)
    assert trained.train_seconds[1] > trained.train_seconds[0]


def test_train_figures_use_the_labels_trained_on() -> None:
    """Figures on train are of the noisy labels, figures on test of the true ones."""
    dataset = toy()
    trained = run([network(0, noise=0.5)], dataset)
    program = build(network(0).architecture, dataset.definition)
    for split, figure in (("train", trained.train_loss), ("test", trained.test_loss)):
        inputs = program.prepare(normalize(dataset.images(split), dataset.definition))
        expected = evaluate(program, trained.params, inputs, dataset.labels(split, 0.5))
        assert math.isclose(expected.losses[0], figure[0], rel_tol=1e-12)


def test_a_stack_shares_architecture_batch_size_and_data_set() -> None:
    """Specs that cannot share a stack are refused, naming what differs."""
    dataset = toy()
    program = build(network(0).architecture, dataset.definition)
    with pytest.raises(ValueError, match="architecture"):
        train(program, [network(0), network(0, width=7)], dataset)
    with pytest.raises(ValueError, match="batch_size"):
        train(program, [network(0), network(0, batch_size=8)], dataset)
    with pytest.raises(ValueError, match="mnist"):
        train(program, [replace(network(0), dataset="mnist")], dataset)
    with pytest.raises(ValueError, match="at least one"):
        train(program, [], dataset)
