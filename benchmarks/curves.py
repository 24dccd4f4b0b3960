"""Curves of MLPs on digits, and of ResNet-20 with ``reset_bn``, against loops over modules.

The baseline is what a notebook does: for each pair and alpha, average the state dicts, load them into
the module, run it over the examples in batches, and take cross-entropy and error. It runs with batches
of 1,000 and with all examples at once, and the faster of the two counts. Both sides see the same
examples on the same threads in the same run; times are medians. With ``reset_bn`` both sides measure
statistics on the same batches and evaluate as many examples at once, and the loop runs with channels
last, as ours does, and with contiguous images.
"""

from __future__ import annotations

import copy
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from functools import cache
from multiprocessing import get_context
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lmc_sweep.data.loading import load
from workers.architectures import StackedProgram, build
from workers.datasets.definitions import define
from workers.datasets.tensors import normalize
from workers.device import threads
from workers.interpolation.interpolate import interpolate
from workers.params import Params, stack
from workers.seeding import generator
from workers.specs import DataSpec, MLPSpec, ResNet20Spec

WIDTHS = (16, 64, 256)
NUM_PAIRS = 40
ALPHAS = [k / 10 for k in range(11)]
NUM_THREADS = 2
REPEATS = 5
TARGETS = {64: 3.0}

RESNET_PAIRS = 10
RESNET_BATCH = 64
NUM_STATISTICS_BATCHES = 1
RESNET_EXAMPLES = 64
RESNET_REPEATS = 2


def rows() -> list[dict[str, Any]]:
    """One row per width: seconds of ours and of the baseline, and how many times faster ours is."""
    dataset = load("digits")
    with threads(NUM_THREADS):
        images = normalize(dataset.train_images, dataset.definition)
        mlps = [_row(width, images, dataset.train_labels) for width in WIDTHS]
        return [*mlps, _resnet_row()]


def _row(width: int, images: Tensor, labels: Tensor) -> dict[str, Any]:
    """The comparison at one width."""
    program = build(MLPSpec(width=width), load("digits").definition)
    inputs = program.prepare(images)
    a = [program.initialize(seed) for seed in range(NUM_PAIRS)]
    b = [program.initialize(seed) for seed in range(NUM_PAIRS, 2 * NUM_PAIRS)]
    stacks = stack(a), stack(b)
    candidates: dict[str, Callable[[], object]] = {
        "ours": lambda: interpolate(program, *stacks, ALPHAS, inputs, labels),
        "full batch": lambda: _loop(program, a, b, inputs, labels, len(labels)),
        "batches of 1,000": lambda: _loop(program, a, b, inputs, labels, 1000),
    }
    name = f"curves of {NUM_PAIRS} pairs, {len(ALPHAS)} alphas, digits, width {width}"
    return _compared(name, _medians(candidates, REPEATS), TARGETS.get(width))


def _resnet_row() -> dict[str, Any]:
    """The comparison for ResNet-20 on images of CIFAR's size; what they show does not matter to time.

    The loop has a process of its own, since ours sets how its process keeps memory.
    """
    program, a, b, inputs, labels, batches = _resnet_case()
    stacks = stack(a), stack(b)
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as other:
        candidates: dict[str, Callable[[], object]] = {
            "ours": lambda: interpolate(
                program, *stacks, ALPHAS, inputs, labels, correction="reset_bn", statistics=batches
            ),
            "channels last": lambda: other.submit(_resnet_loop, torch.channels_last).result(),
            "contiguous": lambda: other.submit(_resnet_loop, torch.contiguous_format).result(),
        }
        seconds = _medians(candidates, RESNET_REPEATS)
    name = f"curves of {RESNET_PAIRS} pairs, {len(ALPHAS)} alphas, ResNet-20, reset_bn"
    return _compared(name, seconds, 1.0)


@cache
def _resnet_case() -> tuple[StackedProgram, list[Params], list[Params], Tensor, Tensor, list[Tensor]]:
    """The program, networks of both ends, images, labels, and batches for statistics."""
    program = build(ResNet20Spec(), define(DataSpec(dataset="cifar10")))
    a = [program.initialize(seed) for seed in range(RESNET_PAIRS)]
    b = [program.initialize(seed) for seed in range(RESNET_PAIRS, 2 * RESNET_PAIRS)]
    stream = generator("benchmark", "images")
    inputs, *batches = (
        torch.randn((num, 3, 32, 32), generator=stream)
        for num in (RESNET_EXAMPLES, *(RESNET_BATCH,) * NUM_STATISTICS_BATCHES)
    )
    labels = torch.randint(10, (RESNET_EXAMPLES,), generator=stream)
    return program, a, b, inputs, labels, batches


def _resnet_loop(layout: torch.memory_format) -> None:
    """One run of the baseline."""
    program, a, b, inputs, labels, batches = _resnet_case()
    with threads(NUM_THREADS):
        images, *measured_on = (part.contiguous(memory_format=layout) for part in (inputs, *batches))
        _loop(program, a, b, images, labels, RESNET_BATCH, measured_on)


def _compared(name: str, seconds: dict[str, float], target: float | None) -> dict[str, Any]:
    """The row of a comparison with the fastest baseline."""
    ours = seconds.pop("ours")
    baseline = min(seconds.values())
    return {
        "name": name,
        "ours": ours,
        "baseline": baseline,
        "ratio": baseline / ours,
        "target": target,
        "unit": "seconds",
    }


def _medians(candidates: dict[str, Callable[[], object]], repeats: int) -> dict[str, float]:
    """Median seconds of each candidate; they take turns, so that a busy moment falls on all."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for repeat in range(repeats + 1):
        for name, run in candidates.items():
            start = time.perf_counter()
            run()
            if repeat > 0:  # the first turn warms up
                seconds[name].append(time.perf_counter() - start)
    return {name: median(taken) for name, taken in seconds.items()}


def _loop(
    program: StackedProgram,
    a: list[Params],
    b: list[Params],
    inputs: Tensor,
    labels: Tensor,
    batch_size: int,
    statistics: Sequence[Tensor] = (),
) -> list[list[tuple[float, float]]]:
    """Loss and error of every pair at every alpha, one forward pass at a time.

    With batches for statistics, batch norm is measured anew on them.
    """
    module = copy.deepcopy(program.module).to_empty(device="cpu")
    norms = [layer for layer in module.modules() if isinstance(layer, nn.BatchNorm2d)]
    for norm in norms:
        norm.momentum = None  # a simple average
    curves = []
    with torch.no_grad():
        for first, second in zip(a, b, strict=True):
            curve = []
            for alpha in ALPHAS:
                module.load_state_dict(
                    {name: (1 - alpha) * first[name] + alpha * second[name] for name in first}
                )
                for norm in norms:
                    norm.reset_running_stats()
                module.train()
                for batch in statistics:
                    module(batch)
                module.eval()
                loss = mistakes = 0.0
                for chosen, truth in zip(
                    torch.split(inputs, batch_size), torch.split(labels, batch_size), strict=True
                ):
                    logits = module(chosen)
                    loss += functional.cross_entropy(logits, truth, reduction="sum").item()
                    mistakes += (logits.argmax(1) != truth).sum().item()
                curve.append((loss / len(labels), mistakes / len(labels)))
            curves.append(curve)
    return curves


if __name__ == "__main__":
    for result in rows():
        print(result)
