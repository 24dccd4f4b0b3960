"""All pairs of some networks as one stack against pair by pair, and the ways through their matrix.

Twenty trained MLPs: every pair is aligned by weight matching and its curve measured, as one stack of 190
pairs, and the barriers become a matrix with its indirect barriers and bottlenecks. The baseline asks the same
questions of one pair after another, as the study ``barriers`` would of each pair alone; both sides find
the same barriers to the last bit. The ways through a matrix of 100 networks are compared with loops over
triples and with Floyd's algorithm for the bottlenecks. Both sides run on two threads, taking turns; times
are medians.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
from numpy import ndarray

from benchmarks.turns import compared
from lmc_sweep.data.loading import load
from workers.alignment.align import align
from workers.alignment.methods import WeightMatching
from workers.all_pairs.drawing import all_pairs
from workers.all_pairs.ways import Ways, ways
from workers.architectures import build
from workers.architectures.program import StackedProgram
from workers.device import threads
from workers.interpolation.barriers import barrier
from workers.interpolation.interpolate import interpolate
from workers.params import ParamStack
from workers.params import rows as rows_of
from workers.permutation import permute
from workers.permutation.derive import derive_permutation_spec
from workers.permutation.spec import PermutationSpec
from workers.specs import MLPSpec, NetworkSpec, TrainingSpec
from workers.training.train import train

NUM_THREADS = 2
NUM_NETWORKS = 20
WIDTHS = {16: 3.0, 64: 2.0}
"""Targets of the stack of all pairs, by width."""
MAX_EPOCHS = 20
ALPHAS = tuple(k / 10 for k in range(11))
NUM_IN_MATRIX = 100
WAYS_TARGET = 5.0


def rows() -> list[dict[str, Any]]:
    """Seconds of all pairs' barriers with their matrix, by width; seconds of the ways through a matrix."""
    with threads(NUM_THREADS):
        return [*(_pairs_row(width, target) for width, target in WIDTHS.items()), _ways_row()]


def _pairs_row(width: int, target: float) -> dict[str, Any]:
    """The comparison at one width."""
    networks, program = _networks(width)
    spec = derive_permutation_spec(program.module)
    pairs = all_pairs(NUM_NETWORKS)

    def together() -> Ways:
        return _ways(_barriers(networks, pairs, program, spec))

    def alone() -> Ways:
        return _ways(torch.cat([_barriers(networks, [pair], program, spec) for pair in pairs]))

    _require_equal(together(), alone())
    name = f"barriers of all {len(pairs)} pairs of {NUM_NETWORKS} MLPs, digits, width {width}"
    return compared(name, together, alone, target)


def _networks(width: int) -> tuple[ParamStack, StackedProgram]:
    """Trained networks of one cell."""
    dataset = load("digits")
    training = TrainingSpec(learning_rate=0.02, max_epochs=MAX_EPOCHS, stop_train_loss=None)
    specs = [
        NetworkSpec(dataset="digits", architecture=MLPSpec(width=width), training=training, seed=seed)
        for seed in range(NUM_NETWORKS)
    ]
    program = build(specs[0].architecture, dataset.definition)
    return train(program, specs, dataset).params, program


def _barriers(
    networks: ParamStack, pairs: list[tuple[int, int]], program: StackedProgram, spec: PermutationSpec
) -> torch.Tensor:
    """The loss barrier of each pair after alignment, on all training examples."""
    first, second = (rows_of(networks, ends) for ends in zip(*pairs, strict=True))
    names = [f"{a}-{b}" for a, b in pairs]
    found = align(WeightMatching(), [first, second], spec, names=names)
    dataset = load("digits")
    curves = interpolate(
        program,
        first,
        permute.apply(second, found.permutations[1], spec),
        ALPHAS,
        dataset.inputs("train", program.prepare),
        dataset.train_labels,
    )
    return barrier(curves.losses, torch.tensor(ALPHAS, dtype=torch.float64))


def _ways(barriers: torch.Tensor) -> Ways:
    """Of all pairs."""
    return ways(NUM_NETWORKS, all_pairs(NUM_NETWORKS), barriers.tolist())


def _ways_row() -> dict[str, Any]:
    """The ways between all pairs of many networks."""
    pairs = all_pairs(NUM_IN_MATRIX)
    heights = np.random.default_rng(0).random(len(pairs)).tolist()

    def ours() -> Ways:
        return ways(NUM_IN_MATRIX, pairs, heights)

    def loops() -> tuple[list[float], list[float]]:
        return _plain_ways(NUM_IN_MATRIX, pairs, heights)

    indirect, bottlenecks = loops()
    found = ours()
    assert found.indirect.tolist() == indirect
    assert found.bottlenecks.tolist() == bottlenecks
    name = f"indirect barriers and bottlenecks, {NUM_IN_MATRIX} networks"
    return compared(name, ours, loops, WAYS_TARGET)


def _plain_ways(
    num: int, pairs: list[tuple[int, int]], heights: list[float]
) -> tuple[list[float], list[float]]:
    """Indirect barriers by the lowest of all third networks, bottlenecks by Floyd's algorithm."""
    direct = [[float("inf")] * num for _ in range(num)]
    for (a, b), height in zip(pairs, heights, strict=True):
        direct[a][b] = direct[b][a] = height
    indirect = [min(map(max, direct[a], direct[b])) for a, b in pairs]
    lowest = [list(row) for row in direct]
    for via in range(num):
        over = lowest[via]
        for row in lowest:
            leg = row[via]
            for end in range(num):
                way = leg if leg > over[end] else over[end]
                if way < row[end]:
                    row[end] = way
    return indirect, [lowest[a][b] for a, b in pairs]


def _require_equal(one: Ways, other: Ways) -> None:
    """Fails unless both hold the same bits."""
    for name, value in vars(one).items():
        expected: ndarray = getattr(other, name)
        assert np.array_equal(expected, value), f"{name} of a pair alone differs from that in a stack"
