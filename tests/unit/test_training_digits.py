"""Stacks of 64 on real images, trained to the end."""

from __future__ import annotations

import pytest
from toy_networks import assert_same_bits

from lmc_sweep.data.loading import load
from workers.architectures import build
from workers.device import threads
from workers.specs import MLPSpec, NetworkSpec, TrainingSpec
from workers.training.train import train


@pytest.mark.slow
@pytest.mark.parametrize("width", [7, 64])
def test_a_network_alone_is_itself_in_a_stack_of_64(width: int) -> None:
    """At the end of training on digits, alone or among 64, on one thread or two: the same bits."""
    dataset = load("digits")
    architecture = MLPSpec(width=width)
    program = build(architecture, dataset.definition)
    training = TrainingSpec(learning_rate=0.03, max_epochs=60)
    specs = [
        NetworkSpec(dataset="digits", architecture=architecture, training=training, seed=seed)
        for seed in range(64)
    ]
    together = {}
    for num_threads in (1, 2):
        with threads(num_threads):
            together[num_threads] = train(program, specs, dataset)
    for place in range(64):
        assert_same_bits(together[1], place, together[2], place)
    last = max(range(64), key=lambda place: together[1].epochs_trained[place])
    for place in {0, 41, last}:
        for num_threads in (1, 2):
            with threads(num_threads):
                alone = train(program, [specs[place]], dataset)
            assert_same_bits(alone, 0, together[1], place)
    if width >= 16:
        assert set(together[1].stop_reason) == {"loss_reached"}
