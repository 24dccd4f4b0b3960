"""Stacked training of 64 MLPs, against a plain loop that trains one network at a time.

The baseline is what a researcher writes first: one ``nn.Sequential`` and one ``torch.optim.SGD`` per
network, batches gathered from data in memory, the loss read at every step. Both sides run on two
threads, taking turns; times are medians per network and step, drawing the batch order included. Digits are
the real ones; MNIST is noise of its shape, since the arithmetic takes the same time.
"""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn

from lmc_sweep.data.loading import load
from workers.architectures import build
from workers.datasets.definitions import DATASETS
from workers.datasets.tensors import normalize
from workers.device import threads
from workers.seeding import generator
from workers.specs import MLPSpec, NetworkSpec, TrainingSpec
from workers.training.group import open_group
from workers.training.run_group import run_group

NUM_THREADS = 2
NUM_NETWORKS = 64
BATCH_SIZE = 64
REPEATS = 5
SECONDS_PER_TURN = 0.4
TARGETS = {
    "digits": {4: 20.0, 16: 10.0, 64: 8.0, 256: 3.0, 1024: 1.5},
    "mnist": {16: 4.0, 64: 3.0, 256: 1.3, 1024: 0.95},
}
NUM_MNIST_EXAMPLES = 6_400
"""Of the noise in MNIST's shape: 20 MB, so that 64 networks of width 1024 see all of it in seconds."""


def rows() -> list[dict[str, Any]]:
    """Per data set and width, seconds per network-step of both sides; then the share of the product peak."""
    found = []
    with threads(NUM_THREADS):
        for dataset, targets in TARGETS.items():
            inputs, labels = _data(dataset)
            for width, target in targets.items():
                found += _rows(dataset, width, target, inputs, labels)
    return found


def _data(dataset: str) -> tuple[Tensor, Tensor]:
    """Inputs and labels as both sides take them."""
    definition = DATASETS[dataset]
    if dataset == "digits":
        digits = load("digits")
        return normalize(digits.train_images, definition).flatten(1), digits.train_labels
    stream = generator("benchmark", dataset)
    inputs = torch.randn((NUM_MNIST_EXAMPLES, definition.num_inputs), generator=stream)
    return inputs, torch.randint(definition.num_classes, (NUM_MNIST_EXAMPLES,), generator=stream)


def _rows(dataset: str, width: int, target: float, inputs: Tensor, labels: Tensor) -> list[dict[str, Any]]:
    """The comparison at one shape."""
    seconds = _stacked(dataset, width, 1, inputs, labels)
    num_epochs = max(1, round(SECONDS_PER_TURN / (seconds * NUM_NETWORKS * _steps(inputs))))
    num_steps = max(20, round(SECONDS_PER_TURN / _plain(width, 20, inputs, labels)))
    ours, baseline, peak = [], [], []
    for _ in range(REPEATS):
        ours.append(_stacked(dataset, width, num_epochs, inputs, labels))
        baseline.append(_plain(width, num_steps, inputs, labels))
        peak.append(_peak())
    name = f"training of {NUM_NETWORKS} MLPs, {dataset}, width {width}"
    achieved = _operations(width, inputs.shape[1]) / median(ours)
    return [
        {
            "name": name,
            "ours": median(ours),
            "baseline": median(baseline),
            "ratio": median(baseline) / median(ours),
            "target": target,
            "unit": "seconds per network-step",
        },
        {
            "name": f"{name}, against the peak of matrix products",
            "ours": achieved,
            "baseline": median(peak),
            "ratio": achieved / median(peak),
            "target": None,
            "unit": "floating-point operations per second",
        },
    ]


def _stacked(dataset: str, width: int, num_epochs: int, inputs: Tensor, labels: Tensor) -> float:
    """Seconds per network-step of stacked training, from the initializations to the last epoch's end."""
    architecture = MLPSpec(width=width)
    program = build(architecture, DATASETS[dataset])
    training = TrainingSpec(batch_size=BATCH_SIZE, max_epochs=num_epochs, stop_train_loss=None)
    specs = [
        NetworkSpec(dataset=dataset, architecture=architecture, training=training, seed=seed)
        for seed in range(NUM_NETWORKS)
    ]
    start = time.perf_counter()
    group = open_group(
        program,
        NUM_NETWORKS,
        training=training,
        dtype=inputs.dtype,
        device=inputs.device,
    )
    num_stopped = sum(1 for _ in run_group(program, group, specs, inputs, {0.0: labels}, lambda _: None))
    assert num_stopped == NUM_NETWORKS
    return (time.perf_counter() - start) / (NUM_NETWORKS * num_epochs * _steps(inputs))


def _plain(width: int, num_steps: int, inputs: Tensor, labels: Tensor) -> float:
    """Seconds per step of the plain loop."""
    module = nn.Sequential(nn.Linear(inputs.shape[1], width), nn.ReLU(), nn.Linear(width, 10))
    optimizer = torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9)
    stream = generator("benchmark", "order")
    taken, total = 0, 0.0
    start = time.perf_counter()
    while taken < num_steps:
        order = torch.randperm(len(inputs), generator=stream)
        for begin in range(0, len(inputs), BATCH_SIZE):
            chosen = order[begin : begin + BATCH_SIZE]
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(module(inputs[chosen]), labels[chosen])
            loss.backward()
            optimizer.step()
            total += loss.item()
            taken += 1
            if taken == num_steps:
                break
    return (time.perf_counter() - start) / num_steps


def _peak() -> float:
    """Floating-point operations per second of one large matrix product."""
    size = 2048
    left, right = torch.ones(size, size), torch.ones(size, size)
    start = time.perf_counter()
    left @ right
    return 2 * size**3 / (time.perf_counter() - start)


def _steps(inputs: Tensor) -> int:
    """Steps of an epoch, the smaller last batch included."""
    return -(-len(inputs) // BATCH_SIZE)


def _operations(width: int, num_inputs: int) -> float:
    """Operations of the products of a step: both layers forward and for their weights, the upper back too."""
    return 2.0 * BATCH_SIZE * width * (2 * num_inputs + 3 * 10)
