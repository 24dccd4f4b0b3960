"""Networks taken along the way of one training."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest
import torch
from toy_images import RESNET, image_network
from toy_networks import assert_same_bits, network, run, toy

from workers.architectures import build
from workers.seeding import derive_seed
from workers.specs import NetworkSpec
from workers.training.trajectories import trajectories_of


def along_the_way(spec: NetworkSpec, save_at: list[int | None]) -> list[NetworkSpec]:
    """The spec, taken after so many epochs each."""
    return [replace(spec, training=replace(spec.training, save_at=epoch)) for epoch in save_at]


@pytest.mark.parametrize(
    "options", [{}, {"schedule": "cosine"}, {"optimizer": "adam", "learning_rate": 0.01}], ids=str
)
def test_networks_of_one_training_are_those_trained_alone(options: dict[str, Any]) -> None:
    """Taken at 0, 1, 3 epochs and at the end, each has the bits that it has alone."""
    dataset = toy()
    specs = along_the_way(network(2, max_epochs=4, **options), [None, 1, 0, 3, 9])
    others = [network(5, max_epochs=2, **options)]
    together = run(specs[:3] + others + specs[3:], dataset)
    assert (4, 1, 0, 2, 3, 4) == together.epochs_trained
    for place, spec in zip((0, 1, 2, 4, 5), specs, strict=True):
        assert_same_bits(run([spec], dataset), 0, together, place)
    assert_same_bits(run(others, dataset), 0, together, 3)


def test_a_training_with_batch_norm_measures_every_network_that_is_taken() -> None:
    """Statistics belong to the weights they are stored with; at 0 these are the initialization."""
    dataset = toy(side=8)
    specs = along_the_way(image_network(RESNET, max_epochs=2), [0, 1, 2])
    together = run(specs, dataset)
    for place, spec in enumerate(specs):
        assert_same_bits(run([spec], dataset), 0, together, place)
    start = build(RESNET, dataset.definition).initialize(derive_seed("init", 0))
    name = next(name for name in start if name.endswith("running_mean"))
    assert torch.equal(start["fc.weight"], together.params["fc.weight"][0])
    assert not torch.equal(start[name], together.params[name][0])
    assert not torch.equal(together.params[name][1], together.params[name][2])


def test_a_training_that_stops_early_gives_its_end_to_the_later_ones() -> None:
    """Networks asked for after its end are the last one, with its reason."""
    dataset = toy()
    plain = network(0, max_epochs=40, stop_train_loss=1.3, learning_rate=0.02)
    end = run([plain], dataset)
    last = end.epochs_trained[0]
    assert last < 40
    found = run(along_the_way(plain, [1, last, last + 1, 40]), dataset)
    assert (1, last, last, last) == found.epochs_trained
    assert ("max_epochs", "loss_reached", "loss_reached", "loss_reached") == found.stop_reason
    for place in (1, 2, 3):
        assert_same_bits(end, 0, found, place)


def test_a_training_is_done_once() -> None:
    """Specs that differ in ``save_at`` alone are one training; its epochs are counted once."""
    specs = [*along_the_way(network(0, max_epochs=4), [1, 2, 4, None]), network(1, max_epochs=4)]
    assert [{1: (0,), 2: (1,), 4: (2, 3)}, {4: (4,)}] == [t.places for t in trajectories_of(specs)]
    calls: list[tuple[int, int]] = []
    trained = run(specs, toy(), progress=lambda finished, epochs: calls.append((finished, epochs)))
    assert (8, 5) == (calls[-1][1], max(finished for finished, _ in calls))
    assert all(seconds > 0 for seconds in trained.train_seconds)
