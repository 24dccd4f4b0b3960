"""Lines of ensembles learned as a stack, against a loop over autograd, and against training the networks.

The loop is what a script does: both ends as parameters of one ``torch.optim.SGD``, at every step a point
drawn between them, the module called at that point, its loss and the squared cosine of the ends
differentiated, one line after another. Its minibatches and points are those of ours, and the ends that both
find after an epoch are compared. The last row of a shape has the stacked training of as many plain networks
as its baseline: what a step of a line costs in units of a network's step. Both sides run on two threads,
taking turns; times are medians per line and step. MNIST is noise of its shape.
"""

from __future__ import annotations

import time
from statistics import median
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn.functional import cross_entropy

from lmc_sweep.data.loading import load
from workers.architectures import build
from workers.architectures.program import StackedProgram
from workers.datasets.definitions import DATASETS
from workers.datasets.tensors import Dataset
from workers.device import threads
from workers.ensembles.lines import Line, train_lines
from workers.params import Params, row
from workers.seeding import derive_seed, generator
from workers.specs import MLPSpec, NetworkSpec, TrainingSpec
from workers.training.streams import epoch_orders, initial_params
from workers.training.train import train

NUM_THREADS = 2
NUM_LINES = 16
BATCH_SIZE = 64
LEARNING_RATE = 0.01
REPEATS = 3
SECONDS_PER_TURN = 1.0
NUM_MNIST_EXAMPLES = 1_920
TOLERANCE = 1e-3
"""Of an end after an epoch, relative to its largest weight: both sides compute in single precision."""
SHAPES = {("digits", 64): 8.0, ("mnist", 64): 3.0, ("mnist", 1024): 1.3}
"""Targets against the loop."""
NETWORK_TARGET = 0.5


def rows() -> list[dict[str, Any]]:
    """Seconds per step of a line for each data set and width, with both baselines."""
    with threads(NUM_THREADS):
        return [found for shape, target in SHAPES.items() for found in _rows(*shape, target)]


def _rows(dataset_name: str, width: int, target: float) -> list[dict[str, Any]]:
    """The comparisons at one shape."""
    dataset = load("digits") if dataset_name == "digits" else _noise(dataset_name)
    program = build(MLPSpec(width=width), dataset.definition)
    num_steps = -(-len(dataset.train_labels) // BATCH_SIZE)
    seconds = _checked(program, dataset, width)
    num_epochs = max(1, round(SECONDS_PER_TURN / (seconds * NUM_LINES * num_steps)))
    times: dict[str, list[float]] = {"ours": [], "loop": [], "networks": []}
    for _ in range(REPEATS):
        start = time.perf_counter()
        train_lines(program, _lines(dataset, width, NUM_LINES, num_epochs), dataset)
        times["ours"].append((time.perf_counter() - start) / (NUM_LINES * num_epochs * num_steps))
        start = time.perf_counter()
        _loop(program, _lines(dataset, width, 1, 1)[0], dataset)
        times["loop"].append((time.perf_counter() - start) / num_steps)
        networks = [line.first for line in _lines(dataset, width, NUM_LINES, num_epochs)]
        start = time.perf_counter()
        train(program, networks, dataset)
        times["networks"].append((time.perf_counter() - start) / (NUM_LINES * num_epochs * num_steps))
    ours, loop, networks_too = (median(times[kind]) for kind in ("ours", "loop", "networks"))
    name = f"{NUM_LINES} lines between MLPs, {dataset_name}, width {width}"
    unit = "seconds per line-step"
    return [
        {
            "name": f"{name}, a loop over autograd",
            "ours": ours,
            "baseline": loop,
            "ratio": loop / ours,
            "target": target,
            "unit": unit,
        },
        {
            "name": f"{name}, a network's step",
            "ours": ours,
            "baseline": networks_too,
            "ratio": networks_too / ours,
            "target": NETWORK_TARGET,
            "unit": unit,
        },
    ]


def _noise(name: str) -> Dataset:
    """A data set of random images."""
    definition = DATASETS[name]
    stream = generator("benchmark", "lines", name)
    images = torch.randint(256, (NUM_MNIST_EXAMPLES, *definition.shape), generator=stream, dtype=torch.uint8)
    labels = torch.randint(definition.num_classes, (NUM_MNIST_EXAMPLES,), generator=stream)
    return Dataset(definition, images, labels, images[:1], labels[:1])


def _lines(dataset: Dataset, width: int, num_lines: int, num_epochs: int) -> list[Line]:
    """Lines between networks of consecutive seeds."""
    training = TrainingSpec(
        learning_rate=LEARNING_RATE, batch_size=BATCH_SIZE, max_epochs=num_epochs, stop_train_loss=None
    )
    networks = [
        NetworkSpec(
            dataset=dataset.definition.name,
            architecture=MLPSpec(width=width),
            training=training,
            seed=seed,
        )
        for seed in range(2 * num_lines)
    ]
    return [Line(*networks[2 * k : 2 * k + 2]) for k in range(num_lines)]


def _checked(program: StackedProgram, dataset: Dataset, width: int) -> float:
    """Seconds per step of a line in one epoch of all; the first line's ends are those of the loop."""
    lines = _lines(dataset, width, NUM_LINES, 1)
    train_lines(program, lines[:2], dataset)
    start = time.perf_counter()
    found = train_lines(program, lines, dataset)
    seconds = time.perf_counter() - start
    for expected, end in zip(_loop(program, lines[0], dataset), (found.first, found.second), strict=True):
        for name, value in row(end, 0).items():
            largest = float((value - expected[name]).abs().max() / expected[name].abs().max())
            assert largest < TOLERANCE, f"{name} of a line is off by {largest:.1g}"
    return seconds / (len(lines) * -(-len(dataset.train_labels) // BATCH_SIZE))


def _loop(program: StackedProgram, line: Line, dataset: Dataset) -> tuple[Params, Params]:
    """Both ends of one line after one epoch of the plain loop."""
    inputs = dataset.inputs("train", program.prepare)[:]
    (order,) = epoch_orders([line.first], [0], len(inputs))
    first, second = (
        {name: value.clone().requires_grad_() for name, value in initial_params(program, spec).items()}
        for spec in (line.first, line.second)
    )
    ends = [*first.values(), *second.values()]
    optimizer = torch.optim.SGD(ends, lr=LEARNING_RATE, momentum=line.first.training.momentum)
    total = 0.0
    for step, chosen in enumerate(torch.split(order, BATCH_SIZE)):
        alpha = derive_seed("line_point", line.first.seed, line.second.seed, step) / 2**63
        optimizer.zero_grad()
        point = {name: (1 - alpha) * first[name] + alpha * second[name] for name in first}
        loss = cross_entropy(
            functional_call(program.module, point, inputs[chosen]), dataset.train_labels[chosen]
        )
        (loss + line.strength * _cosine(first, second) ** 2).backward()  # type: ignore[no-untyped-call]
        optimizer.step()
        total += loss.item()
    return tuple({name: value.detach() for name, value in end.items()} for end in (first, second))  # type: ignore[return-value]


def _cosine(first: Params, second: Params) -> Tensor:
    """Of all weights of the two, without biases."""
    a, b = (
        torch.cat([value.flatten() for name, value in end.items() if name.endswith("weight")])
        for end in (first, second)
    )
    return a @ b / (a.norm() * b.norm())
