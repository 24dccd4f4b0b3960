"""Laws of stacked training: the reference loop, company, order, permutations."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from toy_networks import assert_same_bits, network, run, toy

from workers.architectures import build
from workers.datasets.tensors import Dataset, normalize
from workers.device import threads
from workers.params import Params, row, stack
from workers.permutation import permute
from workers.permutation.derive import derive_permutation_spec
from workers.seeding import derive_seed, generator
from workers.specs import MLPSpec, NetworkSpec


def plain_loop(spec: NetworkSpec, dataset: Dataset, dtype: torch.dtype) -> Params:
    """Weights after training one module by ``torch.optim``, step by step."""
    program = build(spec.architecture, dataset.definition)
    module = program.make()  # type: ignore[attr-defined]
    module.load_state_dict(program.initialize(derive_seed("init", spec.seed)))
    module = module.to(dtype)
    options = spec.training
    rate, decay = options.learning_rate, options.weight_decay
    optimizer: torch.optim.Optimizer = (
        torch.optim.SGD(module.parameters(), lr=rate, momentum=options.momentum, weight_decay=decay)
        if options.optimizer == "sgd"
        else torch.optim.Adam(
            module.parameters(), lr=rate, betas=(options.momentum, 0.999), weight_decay=decay
        )
    )
    inputs = normalize(dataset.train_images, dataset.definition).flatten(1).to(dtype)
    labels = dataset.labels("train", spec.label_noise)
    for epoch in range(options.max_epochs):
        if options.schedule == "cosine":
            rate = options.learning_rate / 2 * (1 + math.cos(math.pi * epoch / options.max_epochs))
            optimizer.param_groups[0]["lr"] = rate
        order = torch.randperm(len(inputs), generator=generator("order", spec.seed, epoch))
        for chosen in order.split(options.batch_size):
            optimizer.zero_grad()
            nn.functional.cross_entropy(module(inputs[chosen]), labels[chosen]).backward()
            optimizer.step()
    return {name: value.detach() for name, value in module.state_dict().items()}


def largest_relative_difference(expected: Params, actual: Params) -> float:
    """Largest entrywise difference over the largest entry, worst tensor."""
    return max(
        float((expected[name] - actual[name]).abs().max() / expected[name].abs().max()) for name in expected
    )


cells = st.builds(
    dict,
    learning_rate=st.sampled_from([0.003, 0.05, 0.3]),
    momentum=st.sampled_from([0.0, 0.9]),
    weight_decay=st.sampled_from([0.0, 1e-3]),
    schedule=st.sampled_from(["constant", "cosine"]),
    noise=st.sampled_from([0.0, 0.3]),
    stop_train_loss=st.sampled_from([None, 1.5]),
    max_epochs=st.integers(1, 4),
)
shapes = st.builds(dict, width=st.integers(1, 21), depth=st.integers(1, 3), batch_size=st.integers(3, 100))


@settings(max_examples=25, deadline=None)
@given(
    cell=cells,
    shape=shapes,
    seed=st.integers(0, 99),
    classes=st.integers(2, 11),
    optimizer=st.sampled_from(["sgd", "adam"]),
)
def test_training_equals_a_plain_loop(
    cell: dict, shape: dict, seed: int, classes: int, optimizer: str
) -> None:
    """In float64 a trained network equals one trained by ``torch.optim``, whatever the options."""
    dataset = toy(num_classes=classes)
    # Adam divides noise by noise where a gradient is zero but for rounding.
    rate, tolerance = {"sgd": (1.0, 1e-10), "adam": (0.1, 1e-8)}[optimizer]
    cell = {**cell, "learning_rate": rate * cell["learning_rate"], "stop_train_loss": None}
    spec = network(seed, **cell, **shape, optimizer=optimizer)
    trained = run([spec], dataset, dtype=torch.float64)
    expected = plain_loop(spec, dataset, torch.float64)
    assert largest_relative_difference(expected, row(trained.params, 0)) < tolerance


@settings(max_examples=30, deadline=None)
@given(
    shape=shapes,
    members=st.lists(st.tuples(st.integers(0, 9), cells), min_size=2, max_size=7, unique_by=lambda m: m[0]),
    num_threads=st.sampled_from([1, 2, 3]),
    side=st.integers(1, 4),
)
def test_a_network_is_the_same_bits_in_any_company(
    shape: dict, members: list[tuple[int, dict]], num_threads: int, side: int
) -> None:
    """A network alone on one thread is the same bits in a stack of several cells on any number of threads."""
    dataset = toy(side=side)
    specs = [network(seed, **{**cell, **shape}) for seed, cell in members]
    with threads(num_threads):
        together = run(specs, dataset)
        reversed_order = run(specs[::-1], dataset)
    with threads(1):
        alone = run(specs[:1], dataset)
    assert_same_bits(alone, 0, together, 0)
    for place in range(len(specs)):
        assert_same_bits(together, place, reversed_order, len(specs) - 1 - place)


@settings(max_examples=15, deadline=None)
@given(width=st.integers(2, 30), depth=st.integers(1, 3), seed=st.integers(0, 9), number=st.integers(0, 9))
def test_a_permuted_initialization_gives_the_permuted_solution(
    width: int, depth: int, seed: int, number: int
) -> None:
    """With the same batch order, a permuted initialization gives the permuted solution: 1e-10 in float64."""
    dataset = toy()
    plain = network(seed, width, depth, max_epochs=5)
    moved = network(seed, width, depth, max_epochs=5, permute_init=number)
    trained = run([plain, moved], dataset, dtype=torch.float64)
    units = derive_permutation_spec(build(plain.architecture, dataset.definition).module)
    chosen = permute.random(units, "permute_init", seed, number)
    one = {group: index.unsqueeze(0) for group, index in chosen.items()}
    expected = row(permute.apply(stack([row(trained.params, 0)]), one, units), 0)
    assert largest_relative_difference(expected, row(trained.params, 1)) < 1e-10


def test_a_permuted_initialization_gives_the_permuted_solution_in_float32() -> None:
    """The same in float32 holds to 1e-3."""
    dataset = toy()
    trained = run([network(1, 16, 2), network(1, 16, 2, permute_init=7)], dataset)
    units = derive_permutation_spec(build(MLPSpec(width=16, depth=2), dataset.definition).module)
    one = {g: i.unsqueeze(0) for g, i in permute.random(units, "permute_init", 1, 7).items()}
    expected = row(permute.apply(stack([row(trained.params, 0)]), one, units), 0)
    moved = row(trained.params, 1)
    assert largest_relative_difference(expected, moved) < 1e-3
    assert not torch.equal(trained.params["layers.0.weight"][0], moved["layers.0.weight"])


def test_training_changes_none_of_its_inputs() -> None:
    """The data set is the same after training."""
    dataset = toy()
    before = [t.clone() for t in (dataset.train_images, dataset.train_labels, dataset.test_images)]
    run([network(0, noise=0.2), network(1)], dataset)
    after = [dataset.train_images, dataset.train_labels, dataset.test_images]
    assert all(torch.equal(old, new) for old, new in zip(before, after, strict=True))


@pytest.mark.parametrize("step", [0, 1, 7, 8, 100])
def test_networks_spawn_from_a_common_run(step: int) -> None:
    """Networks that spawn at step k equal the common run until k, and each its own order afterwards."""
    dataset = toy(num_train=80)  # 5 steps an epoch
    common = run([network(0, max_epochs=step // 5, init_seed=0, order_seed=0)], dataset)
    until = [network(seed, max_epochs=step // 5, spawn_at_step=step) for seed in (3, 4)]
    spawned = run(until, dataset)
    for place in range(2):
        assert_same_bits(common, 0, spawned, place)
    later = run([replace(s, training=replace(s.training, max_epochs=step // 5 + 2)) for s in until], dataset)
    are_equal = torch.equal(*later.params["layers.0.weight"])
    assert not are_equal
