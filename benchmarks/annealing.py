"""A proposal of the annealer, against one full forward pass of the merged network on the same examples.

The baseline permutes nothing and averages nothing: it is the pass alone, in batches of 1,000 or 10,000,
whichever is faster, on as many threads as torch has. Ours is the time that a chain's trace tells, from
its first proposal to its last, by their number; one chain runs on one thread. What a search does once is
in the rows of eight chains, which time the whole of it. Inputs are noise in MNIST's shape: no time
depends on what they show.

Of the compiled kernel, the rate at which it reads is told beside that of a sum over a large array, and
the rate of its arithmetic beside that of a product of large matrices, both on one thread.

Shallow convolutional networks are timed on 2,000 examples; there the pass runs on one thread, too, in
batches of 256 or 1,000.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from functools import partial
from statistics import median
from typing import Any

import torch
from torch import Tensor

from workers.alignment.align import AlignmentResult, Examples, align
from workers.alignment.methods import SimulatedAnnealing
from workers.architectures.mlp import MLPProgram
from workers.architectures.module_program import ModuleProgram
from workers.architectures.shallow_cnn import ShallowCNN
from workers.device import threads
from workers.params import ParamStack, stack
from workers.permutation.derive import derive_permutation_spec
from workers.seeding import generator

NUM_THREADS = 2
NUM_EXAMPLES, NUM_INPUTS, NUM_CLASSES = 60_000, 784, 10
IMAGE = (1, 28, 28)
SHAPES = {  # width and depth: target, steps
    (16, 1): (None, 2000),
    (64, 1): (20.0, 2000),
    (1024, 1): (200.0, 2000),
    (256, 3): (5.0, 60),
}
CHAINS = {1_000: (4.0, 2_000), NUM_EXAMPLES: (9.0, 1_000)}
"""Examples: what eight chains may cost at most in units of one, and their steps."""
CONVOLUTIONAL = {(8, 2): 3.0, (32, 2): 3.0, (8, 3): None, (32, 3): None}
"""Width and depth of shallow convolutional networks: target."""
CONVOLUTIONAL_EXAMPLES, CONVOLUTIONAL_STEPS = 2_000, 100
REPEATS = 3


def rows() -> list[dict[str, Any]]:
    """Seconds per energy by shape; the kernel's rates; what eight chains cost."""
    inputs = torch.randn((NUM_EXAMPLES, NUM_INPUTS), generator=generator("benchmark", "inputs"))
    labels = torch.randint(NUM_CLASSES, (NUM_EXAMPLES,), generator=generator("benchmark", "labels"))
    found = []
    with threads(NUM_THREADS):
        for (width, depth), (target, steps) in SHAPES.items():
            found += _rows(width, depth, target, steps, inputs, labels)
        for num_examples, (allowed, steps) in CHAINS.items():
            found.append(_chains(allowed, steps, inputs[:num_examples], labels[:num_examples]))
    some, of_some = inputs[:CONVOLUTIONAL_EXAMPLES].view(-1, *IMAGE), labels[:CONVOLUTIONAL_EXAMPLES]
    with threads(1):
        for (width, depth), target in CONVOLUTIONAL.items():
            found.append(_convolutional(width, depth, target, some, of_some))
    return found


def _rows(
    width: int, depth: int, target: float | None, steps: int, inputs: Tensor, labels: Tensor
) -> list[dict[str, Any]]:
    """One shape: energies against passes, and, of the compiled kernel, its rates."""
    program, members = _networks(width, depth)
    examples = Examples(program, inputs, labels)
    _search(program, members, examples, 1)  # compiles, where nobody has
    ours, baseline = [], []
    for _ in range(REPEATS):
        (trace,) = _search(program, members, examples, steps).traces[0]
        ours.append((trace.seconds[-1] - trace.seconds[0]) / steps)
        baseline.append(min(_pass(program, members[0], inputs, size) for size in (1_000, 10_000)))
    name = f"annealing, width {width}, depth {depth}, 60,000 examples"
    found = [
        {
            "name": f"{name}, an energy",
            "ours": median(ours),
            "baseline": median(baseline),
            "ratio": median(baseline) / median(ours),
            "target": target,
            "unit": "seconds",
        }
    ]
    if depth == 1:
        # four hidden rows and the margins of the other classes are read; four terms are added to each margin
        read = 4.0 * NUM_EXAMPLES * (4 + NUM_CLASSES - 1) / median(ours)
        made = 2.0 * 4 * NUM_EXAMPLES * (NUM_CLASSES - 1) / median(ours)
        for what, rate, limit, unit in (
            ("bytes read", read, _one_thread(_read_rate), "bytes per second"),
            ("operations", made, _one_thread(_product_rate), "operations per second"),
        ):
            found.append(
                {
                    "name": f"{name}, {what}",
                    "ours": rate,
                    "baseline": limit,
                    "ratio": rate / limit,
                    "target": None,
                    "unit": unit,
                }
            )
    return found


def _chains(allowed: float, steps: int, inputs: Tensor, labels: Tensor) -> dict[str, Any]:
    """Eight chains of one pair, in units of one; the target is on what is allowed over what they cost."""
    program, members = _networks(64, 1)
    examples = Examples(program, inputs, labels)
    ours, baseline = [], []
    for _ in range(REPEATS):
        baseline.append(float(_search(program, members, examples, steps).seconds[0]))
        ours.append(float(_search(program, members, examples, steps, restarts=8).seconds[0]))
    return {
        "name": f"annealing, eight chains at {len(labels):,} examples, against {allowed:g} of one",
        "ours": median(ours),
        "baseline": allowed * median(baseline),
        "ratio": allowed * median(baseline) / median(ours),
        "target": 1.0,
        "unit": "seconds",
    }


def _convolutional(
    width: int, depth: int, target: float | None, inputs: Tensor, labels: Tensor
) -> dict[str, Any]:
    """One shape of shallow convolutional networks: energies against passes."""
    program = ModuleProgram(partial(ShallowCNN, IMAGE, width, depth, NUM_CLASSES), IMAGE, NUM_CLASSES)
    members = [stack([program.initialize(seed)]) for seed in range(2)]
    spec = derive_permutation_spec(program.module, inputs[:1])
    examples = Examples(program, inputs, labels)

    def search(steps: int) -> AlignmentResult:
        method = SimulatedAnnealing(steps=steps, temperature_start=1e-3, temperature_end=1e-5)
        return align(method, members, spec, names=["benchmark"], examples=examples)

    search(10)  # compiles, where nobody has
    ours, baseline = [], []
    for _ in range(REPEATS):
        (trace,) = search(CONVOLUTIONAL_STEPS).traces[0]
        ours.append((trace.seconds[-1] - trace.seconds[0]) / CONVOLUTIONAL_STEPS)
        baseline.append(min(_pass(program, members[0], inputs, size) for size in (256, 1_000)))
    return {
        "name": f"annealing, shallow_cnn, width {width}, depth {depth}, 2,000 examples, an energy",
        "ours": median(ours),
        "baseline": median(baseline),
        "ratio": median(baseline) / median(ours),
        "target": target,
        "unit": "seconds",
    }


def _networks(width: int, depth: int) -> tuple[MLPProgram, list[ParamStack]]:
    """Two networks as they are initialized."""
    program = MLPProgram(NUM_INPUTS, width, depth, NUM_CLASSES)
    return program, [stack([program.initialize(seed)]) for seed in range(2)]


def _search(
    program: MLPProgram, members: list[ParamStack], examples: Examples, steps: int, restarts: int = 1
) -> AlignmentResult:
    """A search. Temperatures are given, so that there are no probes."""
    method = SimulatedAnnealing(steps=steps, restarts=restarts, temperature_start=1e-3, temperature_end=1e-5)
    spec = derive_permutation_spec(program.module)
    return align(method, members, spec, names=["benchmark"], examples=examples)


def _pass(program: MLPProgram | ModuleProgram, network: ParamStack, inputs: Tensor, batch_size: int) -> float:
    """Seconds of a forward pass over all examples."""
    start = time.perf_counter()
    with torch.no_grad():
        for begin in range(0, len(inputs), batch_size):
            program.logits(network, inputs[begin : begin + batch_size])
    return time.perf_counter() - start


def _one_thread(measure: Callable[[], float]) -> float:
    """A rate on one thread."""
    with threads(1):
        return max(measure() for _ in range(5))


def _read_rate() -> float:
    """Bytes per second of a sum over 3 MB, as much as a proposal reads, from where it lay before."""
    values = torch.ones(780_000)
    values.sum()
    start = time.perf_counter()
    for _ in range(20):
        values.sum()
    return 20 * 4.0 * values.numel() / (time.perf_counter() - start)


def _product_rate() -> float:
    """Floating-point operations per second of one large matrix product."""
    size = 1024
    left, right = torch.ones(size, size), torch.ones(size, size)
    left @ right
    start = time.perf_counter()
    left @ right
    return 2 * size**3 / (time.perf_counter() - start)
