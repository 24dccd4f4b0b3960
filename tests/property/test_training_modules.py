"""Laws of training any module: the reference loop, company, order, kernels, options."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from toy_images import CNN, RESNET, image_network, plain_images_loop
from toy_networks import assert_same_bits, run, toy

from workers.architectures import build
from workers.architectures.module_program import ModuleProgram
from workers.device import threads
from workers.params import Params, row
from workers.specs import ArchitectureSpec, ResNet20Spec, VGGSpec
from workers.statistics import statistics_batches
from workers.training.module_group import ModuleGroup
from workers.training.vmap_group import VmapGroup

BOTH = pytest.mark.parametrize("architecture", [CNN, RESNET], ids=["shallow_cnn", "resnet20"])
OPTIMIZERS = pytest.mark.parametrize("optimizer", ["sgd", "adam"])


def assert_close(expected: Params, actual: Params, tolerance: float) -> None:
    """Entrywise, relative to the tensor's largest entry."""
    for name, value in expected.items():
        difference = (value - actual[name]).abs().max() / value.abs().max().clamp_min(1e-6)
        assert difference < tolerance, (name, float(difference))


@BOTH
@OPTIMIZERS
def test_training_of_modules_equals_a_plain_loop(architecture: ArchitectureSpec, optimizer: str) -> None:
    """In float64 a trained network equals one trained by ``torch.optim``, batch-norm statistics included."""
    dataset = toy(side=8)
    spec = image_network(
        architecture,
        seed=3,
        noise=0.2,
        optimizer=optimizer,
        learning_rate=0.05 if optimizer == "sgd" else 0.003,
        weight_decay=1e-3,
        schedule="cosine",
    )
    trained = run([spec], dataset, dtype=torch.float64)
    assert_close(plain_images_loop(spec, dataset, torch.float64), row(trained.params, 0), 1e-10)


@BOTH
def test_statistics_equal_a_plain_loop_in_float32(architecture: ArchitectureSpec) -> None:
    """An untrained network has the statistics that a module of ``momentum=None`` averages, to 1e-6."""
    dataset = toy(num_train=600, side=8)
    spec = image_network(architecture, max_epochs=0)
    assert_close(plain_images_loop(spec, dataset, torch.float32), row(run([spec], dataset).params, 0), 1e-6)


@settings(max_examples=6, deadline=None)
@given(
    architecture=st.sampled_from([CNN, RESNET]),
    seeds=st.lists(st.integers(0, 9), min_size=2, max_size=4, unique=True),
    options=st.fixed_dictionaries(
        {
            "learning_rate": st.sampled_from([0.01, 0.1]),
            "optimizer": st.sampled_from(["sgd", "adam"]),
            "momentum": st.sampled_from([0.0, 0.9]),
            "precision": st.sampled_from(["float32", "bfloat16"]),
        }
    ),
)
def test_a_module_is_the_same_bits_in_any_company(
    architecture: ArchitectureSpec, seeds: list[int], options: dict[str, Any]
) -> None:
    """A network alone on one thread is the same bits in a stack, in any order, on several threads."""
    dataset = toy(side=8)
    specs = [image_network(architecture, seeds[0], **options)]
    specs += [
        image_network(architecture, seed, weight_decay=1e-3, max_epochs=1 + seed % 3) for seed in seeds[1:]
    ]
    with threads(3):
        together = run(specs, dataset)
        reversed_order = run(specs[::-1], dataset)
    with threads(1):
        alone = run(specs[:1], dataset)
        again = run(specs[:1], dataset)
    assert_same_bits(alone, 0, again, 0)
    assert_same_bits(alone, 0, together, 0)
    for place in range(len(specs)):
        assert_same_bits(together, place, reversed_order, len(specs) - 1 - place)


@OPTIMIZERS
@pytest.mark.parametrize(
    "architecture", [CNN, RESNET, ResNet20Spec(width_multiplier=0.25, norm="layer")], ids=str
)
def test_one_call_for_all_networks_equals_one_after_another(
    architecture: ArchitectureSpec, optimizer: str
) -> None:
    """The kernels ``loop`` and ``vmap`` give the same networks in float64, dropped slots included."""
    dataset = toy(side=8)
    program = build(architecture, dataset.definition)
    assert isinstance(program, ModuleProgram)
    inputs = dataset.inputs("train", program.prepare, dtype=torch.float64)
    training = image_network(architecture, optimizer=optimizer).training
    order = torch.stack([torch.arange(90), torch.arange(90).flip(0), torch.arange(90).roll(7)])
    found = []
    for kind in (ModuleGroup, VmapGroup):
        group = kind(program, 3, training=training, dtype=torch.float64)
        for slot in range(3):
            group.load(slot, program.initialize(slot))
        first = group.epoch(
            inputs, order, dataset.train_labels[order], [0.01, 0.02, 0.005], [0.0, 1e-3, 0.0], lambda *_: 0
        )
        group.keep([2, 0])
        order_left = order[[1, 0]]
        second = group.epoch(
            inputs, order_left, dataset.train_labels[order_left], [0.004, 0.01], [0.1, 0.0], lambda *_: 0
        )
        found.append((first, second, [group.read(slot) for slot in range(2)]))
    (loop_first, loop_second, loop_networks), (vmap_first, vmap_second, vmap_networks) = found
    torch.testing.assert_close(loop_first, vmap_first, rtol=1e-8, atol=0)
    torch.testing.assert_close(loop_second, vmap_second, rtol=1e-8, atol=0)
    for loop_network, vmap_network in zip(loop_networks, vmap_networks, strict=True):
        assert list(loop_network) == list(vmap_network)
        assert_close(loop_network, vmap_network, 1e-6)


SECOND_VALUES: dict[str, Any] = {
    "optimizer": "adam",
    "learning_rate": 0.02,
    "momentum": 0.5,
    "weight_decay": 0.1,
    "batch_size": 8,
    "schedule": "cosine",
    "max_epochs": 3,
    "stop_train_loss": 100.0,
    "precision": "bfloat16",
    "save_at": 1,
    "init_seed": 5,
    "order_seed": 5,
    "spawn_at_step": 3,
    "permute_init": 1,
}


@pytest.mark.parametrize("option", SECOND_VALUES)
def test_every_option_changes_what_a_module_becomes(option: str) -> None:
    """A second value of any one option of training gives another network."""
    dataset = toy(side=8)
    plain = run([image_network(CNN, seed=1)], dataset)
    changed = run([image_network(CNN, seed=1, **{option: SECOND_VALUES[option]})], dataset)
    assert any(not torch.equal(plain.params[name], changed.params[name]) for name in plain.params)


def test_batch_norm_keeps_no_running_averages() -> None:
    """The statistics belong to the weights at the end: measuring them anew changes nothing."""
    dataset = toy(side=32)
    spec = image_network(VGGSpec(width=2, depth=11), max_epochs=1)
    program = build(spec.architecture, dataset.definition)
    trained = run([spec], dataset)
    inputs = dataset.inputs("train", program.prepare)
    with threads(1):
        measured = program.with_statistics(trained.params, statistics_batches(inputs, "toy"))
    for name in program.statistics:
        assert torch.equal(measured[name], trained.params[name])
