"""Curves of 40 pairs of MLPs on digits, against a loop over modules.

The baseline is what a notebook does: for each pair and alpha, average the state dicts, load them into
the module, run it over the examples in batches, and take cross-entropy and error. It runs with batches
of 1,000 and with all examples at once, and the faster of the two counts. Both sides see the same
examples on the same threads in the same run; times are medians.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn import functional

from lmc_sweep.data.loading import load
from workers.architectures import StackedProgram, build
from workers.datasets.tensors import normalize
from workers.device import threads
from workers.interpolation.interpolate import interpolate
from workers.params import Params, stack
from workers.specs import MLPSpec

WIDTHS = (16, 64, 256)
NUM_PAIRS = 40
ALPHAS = [k / 10 for k in range(11)]
NUM_THREADS = 2
REPEATS = 5
TARGETS = {64: 3.0}


def rows() -> list[dict[str, Any]]:
    """One row per width: seconds of ours and of the baseline, and how many times faster ours is."""
    dataset = load("digits")
    with threads(NUM_THREADS):
        images = normalize(dataset.train_images, dataset.definition)
        return [_row(width, images, dataset.train_labels) for width in WIDTHS]


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
    seconds = _medians(candidates)
    ours = seconds.pop("ours")
    baseline = min(seconds.values())
    return {
        "name": f"curves of {NUM_PAIRS} pairs, {len(ALPHAS)} alphas, digits, width {width}",
        "ours": ours,
        "baseline": baseline,
        "ratio": baseline / ours,
        "target": TARGETS.get(width),
        "unit": "seconds",
    }


def _medians(candidates: dict[str, Callable[[], object]]) -> dict[str, float]:
    """Median seconds of each candidate; they take turns, so that a busy moment falls on all."""
    seconds: dict[str, list[float]] = {name: [] for name in candidates}
    for repeat in range(REPEATS + 1):
        for name, run in candidates.items():
            start = time.perf_counter()
            run()
            if repeat > 0:  # the first turn warms up
                seconds[name].append(time.perf_counter() - start)
    return {name: median(taken) for name, taken in seconds.items()}


def _loop(
    program: StackedProgram, a: list[Params], b: list[Params], inputs: Tensor, labels: Tensor, batch_size: int
) -> list[list[tuple[float, float]]]:
    """Loss and error of every pair at every alpha, one forward pass at a time."""
    module: nn.Module = program.module.to_empty(device="cpu")
    curves = []
    with torch.no_grad():
        for first, second in zip(a, b, strict=True):
            curve = []
            for alpha in ALPHAS:
                module.load_state_dict(
                    {name: (1 - alpha) * first[name] + alpha * second[name] for name in first}
                )
                loss = mistakes = 0.0
                for chosen, truth in zip(inputs.split(batch_size), labels.split(batch_size), strict=True):
                    logits = module(chosen)
                    loss += functional.cross_entropy(logits, truth, reduction="sum").item()
                    mistakes += (logits.argmax(1) != truth).sum().item()
                curve.append((loss / len(labels), mistakes / len(labels)))
            curves.append(curve)
    return curves


if __name__ == "__main__":
    for result in rows():
        print(result)
