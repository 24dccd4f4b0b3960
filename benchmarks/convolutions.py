"""Training of several convolutional networks, against a plain loop that trains one after another.

The baseline is what a researcher writes first: one module and one ``torch.optim.SGD`` per network, batches
gathered from normalized data in memory, the loss read at every step, every operation on both cores. Ours
makes its batches from bytes. Both sides take turns; times are medians per network and step. Digits are the
real ones; MNIST and CIFAR-10 are noise of their shapes, since the arithmetic takes the same time.

With a GPU there are two more rows, of 64 networks each: MLPs and shallow CNNs.
"""

from __future__ import annotations

import time
from dataclasses import dataclass
from statistics import median
from typing import Any

import torch
from torch import nn

from lmc_sweep.data.loading import load
from workers.architectures import build
from workers.datasets.definitions import DATASETS
from workers.datasets.normalization import normalize
from workers.datasets.tensors import Dataset
from workers.device import threads
from workers.seeding import generator, with_global_seed
from workers.specs import ArchitectureSpec, MLPSpec, NetworkSpec, ResNet20Spec, ShallowCNNSpec, TrainingSpec
from workers.training.group import open_group
from workers.training.run_group import run_group

NUM_THREADS = 2
BATCH_SIZE = 64
REPEATS = 3
STEPS_OF_NOISE = 4


@dataclass(frozen=True)
class Case:
    """One comparison: so many networks of an architecture on a data set, and the ratio aimed at."""

    architecture: ArchitectureSpec
    num_networks: int
    dataset: str
    target: float = 1.0


ON_CPU = (
    Case(ShallowCNNSpec(width=8), 8, "digits"),
    Case(ShallowCNNSpec(width=32), 8, "digits"),
    Case(ShallowCNNSpec(width=8), 8, "mnist"),
    Case(ShallowCNNSpec(width=32), 8, "mnist"),
    Case(ResNet20Spec(width_multiplier=0.5), 4, "digits"),
    Case(ResNet20Spec(width_multiplier=1.0), 4, "cifar10"),
)
ON_GPU = (
    Case(MLPSpec(width=32), 64, "mnist", 20.0),
    Case(ShallowCNNSpec(width=32), 64, "cifar10", 4.0),
)


def rows() -> list[dict[str, Any]]:
    """Seconds per network-step of both sides, on the CPU and on a GPU where there is one."""
    with threads(NUM_THREADS):
        found = [_row(case, torch.device("cpu")) for case in ON_CPU]
    if torch.cuda.is_available():
        found += [_row(case, torch.device("cuda")) for case in ON_GPU]
    return found


def _row(case: Case, device: torch.device) -> dict[str, Any]:
    """The comparison of one case; the first turn warms up and does not count."""
    dataset = _data(case.dataset).to(device)
    turns = [(_ours(case, dataset, device), _plain(case, dataset, device)) for _ in range(REPEATS + 1)][1:]
    ours, baseline = (median(side) for side in zip(*turns, strict=True))
    kind = f"{case.architecture.name} width {case.architecture.width}"
    return {
        "name": f"training of {case.num_networks} {kind}, {case.dataset}, {device.type}",
        "ours": ours,
        "baseline": baseline,
        "ratio": baseline / ours,
        "target": case.target,
        "unit": "seconds per network-step",
    }


def _data(name: str) -> Dataset:
    """Digits, or noise in the shape of another data set, enough for a few steps."""
    if name == "digits":
        return load("digits")
    definition, num = DATASETS[name], STEPS_OF_NOISE * BATCH_SIZE
    stream = generator("benchmark", name)
    images = torch.randint(256, (num, *definition.shape), generator=stream, dtype=torch.uint8)
    labels = torch.randint(definition.num_classes, (num,), generator=stream)
    return Dataset(definition, images, labels, images, labels)


def _ours(case: Case, dataset: Dataset, device: torch.device) -> float:
    """Seconds per network-step of an epoch of all networks, from bytes."""
    program = build(case.architecture, DATASETS[case.dataset])
    training = TrainingSpec(batch_size=BATCH_SIZE, max_epochs=1, stop_train_loss=None)
    specs = [
        NetworkSpec(dataset=case.dataset, architecture=case.architecture, training=training, seed=seed)
        for seed in range(case.num_networks)
    ]
    inputs, labels = dataset.inputs("train", program.prepare, device), dataset.train_labels.to(device)
    group = open_group(program, len(specs), training=training, dtype=torch.float32, device=device)
    _wait(device)
    start = time.perf_counter()
    for _ in run_group(program, group, specs, inputs, {0.0: labels}, lambda _: None):
        pass
    _wait(device)
    return (time.perf_counter() - start) / (case.num_networks * _steps(dataset))


def _plain(case: Case, dataset: Dataset, device: torch.device) -> float:
    """Seconds per step of the plain loop over as many networks."""
    program: Any = build(case.architecture, DATASETS[case.dataset])
    images = dataset.train_images
    assert isinstance(images, torch.Tensor)
    inputs = program.prepare(normalize(images, dataset.definition))
    labels = dataset.train_labels.to(device)
    modules = [with_global_seed(seed, program.make).to(device) for seed in range(case.num_networks)]
    total = 0.0
    _wait(device)
    start = time.perf_counter()
    for seed, module in enumerate(modules):
        optimizer = torch.optim.SGD(module.parameters(), lr=0.01, momentum=0.9)
        order = torch.randperm(len(inputs), generator=generator("benchmark", "order", seed)).to(device)
        for begin in range(0, len(inputs), BATCH_SIZE):
            chosen = order[begin : begin + BATCH_SIZE]
            optimizer.zero_grad()
            loss = nn.functional.cross_entropy(module(inputs[chosen]), labels[chosen])
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
            total += loss.item()
    _wait(device)
    return (time.perf_counter() - start) / (case.num_networks * _steps(dataset))


def _steps(dataset: Dataset) -> int:
    """Steps of an epoch, the smaller last batch included."""
    return -(-len(dataset.train_images) // BATCH_SIZE)


def _wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
