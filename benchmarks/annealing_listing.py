"""Simulated annealing on digits, against the listing of the paper taken literally.

The baseline is the program that Entezari et al. 2021 print in appendix A.4, with two networks of
which the second is permuted: state dicts copied and permuted, averaged, loaded into a copy of the
module, and evaluated, twice a move, through ``simanneal``. Ours is one chain of the batched engine. Both
sides search the same pairs on one thread, taking turns; times are medians per step.
"""

from __future__ import annotations

import copy
import random  # noqa: TID251  the listing draws from the global generator
import signal
import time
from collections import OrderedDict
from statistics import median
from typing import Any

import torch
from simanneal import Annealer
from torch import Tensor, nn

from lmc_sweep.data.loading import load
from workers.alignment.align import Examples, align
from workers.alignment.methods import SimulatedAnnealing
from workers.architectures import StackedProgram, build
from workers.architectures.mlp import MLP
from workers.datasets.tensors import normalize
from workers.device import threads
from workers.params import Params, stack
from workers.permutation.derive import derive_permutation_spec
from workers.specs import MLPSpec

WIDTHS = (16, 64)
NUM_STEPS = 2000
NUM_BASELINE_STEPS = 200
REPEATS = 5
TARGET = 5.0


def rows() -> list[dict[str, Any]]:
    """One row per width: seconds per step of ours and of the listing, and how many times faster ours is."""
    dataset = load("digits")
    images = normalize(dataset.train_images, dataset.definition)
    with threads(1):
        return [_row(width, images, dataset.train_labels) for width in WIDTHS]


def _row(width: int, images: Tensor, labels: Tensor) -> dict[str, Any]:
    """The comparison at one width. What a step costs does not depend on training, so there is none."""
    program = build(MLPSpec(width=width), load("digits").definition)
    inputs = program.prepare(images)
    first, second = program.initialize(0), program.initialize(1)
    _ours(program, first, second, inputs, labels)
    ours, baseline = [], []
    for _ in range(REPEATS):
        ours.append(_ours(program, first, second, inputs, labels))
        baseline.append(_listing(width, first, second, inputs, labels))
    return {
        "name": f"annealing step, digits, width {width}",
        "ours": median(ours),
        "baseline": median(baseline),
        "ratio": median(baseline) / median(ours),
        "target": TARGET,
        "unit": "seconds per step",
    }


def _ours(program: StackedProgram, first: Params, second: Params, inputs: Tensor, labels: Tensor) -> float:
    """Seconds per step of the method, everything that it does before and after the steps included."""
    found = align(
        SimulatedAnnealing(steps=NUM_STEPS),
        [stack([first]), stack([second])],
        derive_permutation_spec(program.module),
        names=["benchmark"],
        examples=Examples(program, inputs, labels),
    )
    return float(found.seconds[0]) / NUM_STEPS


def _listing(width: int, first: Params, second: Params, inputs: Tensor, labels: Tensor) -> float:
    """Seconds per step of the literal listing."""
    module = MLP(inputs.shape[1], width, 1, int(labels.max()) + 1)
    handler = signal.getsignal(signal.SIGINT)
    search = _Listing(list(range(width)), module, (first, second), inputs, labels)
    signal.signal(signal.SIGINT, handler)  # the engine took it, and would swallow a Ctrl-C
    search.set_schedule({"tmax": 1e-2, "tmin": 1e-4, "steps": NUM_BASELINE_STEPS, "updates": 0})
    start = time.perf_counter()
    search.anneal()
    return (time.perf_counter() - start) / NUM_BASELINE_STEPS


class _Listing(Annealer):  # type: ignore[misc]
    """The problem as printed: a move evaluates the energy before and after itself."""

    def __init__(
        self,
        state: list[int],
        module: nn.Module,
        networks: tuple[Params, Params],
        inputs: Tensor,
        labels: Tensor,
    ) -> None:
        self.module = module
        self.first, self.second = networks
        self.inputs, self.labels = inputs, labels
        super().__init__(state)

    def move(self) -> float:
        """Swaps two units, and returns by how much the energy rose."""
        before = self.energy()
        a, b = random.randint(0, len(self.state) - 1), random.randint(0, len(self.state) - 1)
        self.state[a], self.state[b] = self.state[b], self.state[a]
        return self.energy() - before

    def energy(self) -> float:
        """Error of the average of the first network and the permuted second, on all examples."""
        permuted = copy.deepcopy(self.second)
        for name, axis in (("layers.0.weight", 0), ("layers.0.bias", 0), ("layers.1.weight", 1)):
            permuted[name] = permuted[name].index_select(axis, torch.tensor(self.state))
        average = OrderedDict((name, (tensor + permuted[name]) / 2) for name, tensor in self.first.items())
        middle = copy.deepcopy(self.module)
        middle.load_state_dict(average)
        with torch.no_grad():
            predicted = middle(self.inputs).argmax(dim=1)
        return 1.0 - float((predicted == self.labels).float().mean())
