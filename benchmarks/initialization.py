"""The study ``initialization``: its matchings and its whole measurement, against NumPy and SciPy.

The baselines take one pair of networks after another. The grid: for every number of cells that the rule
tries, NumPy finds the cell of each unit, and a counter how many units stay alone; a dict of lists then
matches the units of a cell. Hungarian: SciPy's distances and SciPy's solver. The measurement: for every
alpha, all inputs through the interpolated networks as two products in double precision. Every row checks
that both sides agree: in cells and units left over, in the cost of the assignment, in the deviations.
Both sides run on two threads, taking turns; times are medians, per pair of networks.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from numpy import ndarray
from scipy.optimize import linear_sum_assignment
from scipy.spatial.distance import cdist

from benchmarks.turns import compared
from workers.device import map_on_threads, threads
from workers.initialization.draws import Pairs, drawn_inputs, drawn_pairs
from workers.initialization.grid import GridMatching, grid_matching
from workers.initialization.measure import measure, nearest_units
from workers.initialization.specs import InitializationSpec
from workers.seeding import generator

NUM_THREADS = 2
NUM_PAIRS = 4
NUM_DRAWS = 64
ALPHAS = tuple(k / 10 for k in range(11))

GRIDS = {(1, 1024): 3.0, (2, 1024): 3.0, (5, 4096): 2.0}
"""Targets by input dimension and width."""
ASSIGNMENTS = {(1, 1024): 20.0, (2, 1024): 1.0, (5, 1024): 1.0, (2, 2048): 1.0}
MEASUREMENTS = {(3, 256): 1.0, (3, 1024): 1.0}

Cell = tuple[int, ...]


def rows() -> list[dict[str, Any]]:
    """Seconds per pair of grids, of assignments and of whole measurements."""
    with threads(NUM_THREADS):
        return [
            *(_grid_row(*shape, target) for shape, target in GRIDS.items()),
            *(_assignment_row(*shape, target) for shape, target in ASSIGNMENTS.items()),
            *(_measurement_row(*shape, target) for shape, target in MEASUREMENTS.items()),
        ]


def _grid_row(input_dim: int, width: int, target: float) -> dict[str, Any]:
    """The proof's matching at one shape."""
    pairs = drawn_pairs(input_dim, width, range(NUM_PAIRS), 1)

    def ours() -> list[GridMatching]:
        return [
            grid_matching(first, second, "least_bound", generator("benchmark", "grid", row))
            for row, (first, second) in enumerate(zip(pairs.first_inputs, pairs.second_inputs, strict=True))
        ]

    def plain() -> list[tuple[int, ndarray]]:
        return [_plain_grid(first, second) for first, second in _as_arrays(pairs)]

    for found, (cells, units), (first, second) in zip(ours(), plain(), _as_arrays(pairs), strict=True):
        assert cells == found.cells_per_axis
        assert sorted(found.units.tolist()) == list(range(width))
        num_apart = [_num_apart(first, second, order, cells) for order in (found.units.numpy(), units)]
        assert num_apart == [found.num_unmatched] * 2
    return _per_pair(f"grid matching, {input_dim} inputs, {width:,} units", ours, plain, target)


def _assignment_row(input_dim: int, width: int, target: float) -> dict[str, Any]:
    """The assignment at one shape."""
    pairs = drawn_pairs(input_dim, width, range(NUM_PAIRS), 1)

    def ours() -> list[ndarray]:
        found = map_on_threads(
            lambda row: nearest_units(pairs.first_inputs[row], pairs.second_inputs[row]), range(NUM_PAIRS)
        )
        return [units.numpy() for units in found]

    def plain() -> list[ndarray]:
        return [_plain_assignment(first, second) for first, second in _as_arrays(pairs)]

    for found, expected, (first, second) in zip(ours(), plain(), _as_arrays(pairs), strict=True):
        costs = [np.square(first - second[units]).sum() for units in (found, expected)]
        assert np.isclose(*costs, rtol=1e-12, atol=0)
    return _per_pair(f"Hungarian matching, {input_dim} inputs, {width:,} units", ours, plain, target)


def _measurement_row(input_dim: int, width: int, target: float) -> dict[str, Any]:
    """Draws, matching by the identity, and deviations at one shape."""
    specs = [
        InitializationSpec(
            input_dim=input_dim,
            width=width,
            matching="identity",
            seed=seed,
            alphas=ALPHAS,
            num_draws=NUM_DRAWS,
        )
        for seed in range(NUM_PAIRS)
    ]

    def ours() -> list[float]:
        return [found.deviation_mean for found in measure(specs)]

    def plain() -> list[float]:
        return [_plain_deviation(spec) for spec in specs]

    assert np.allclose(ours(), plain(), rtol=1e-10, atol=0)
    return _per_pair(f"deviations, {input_dim} inputs, {width:,} units, 64 draws", ours, plain, target)


def _per_pair(
    name: str, ours: Callable[[], object], plain: Callable[[], object], target: float
) -> dict[str, Any]:
    """The row of both ways to the same, per pair of networks."""
    return compared(name, ours, plain, target, num=NUM_PAIRS, unit="seconds per pair")


def _as_arrays(pairs: Pairs) -> list[tuple[ndarray, ndarray]]:
    """Input weights of both networks of every pair."""
    return list(zip(pairs.first_inputs.numpy(), pairs.second_inputs.numpy(), strict=True))


def _plain_grid(first: ndarray, second: ndarray) -> tuple[int, ndarray]:
    """Cells along each axis for which the proof's bound is least, and the units matched within them."""
    width, dim = first.shape
    tried = [m for m in range(1, width) if m <= 8 * width ** (1 / (dim + 4)) + 1 and m**dim <= 4 * width]
    best = min(tried, key=lambda m: _num_alone(first, second, m) / width + 1 / m**2)
    left_in: dict[Cell, list[int]] = defaultdict(list)
    for unit, cell in enumerate(_cells(second, best)):
        left_in[cell].append(unit)
    draws = np.random.default_rng(0)
    for units in left_in.values():
        draws.shuffle(units)
    found = np.full(width, -1)
    for place, cell in enumerate(_cells(first, best)):
        if left_in[cell]:
            found[place] = left_in[cell].pop()
    alone = [unit for units in left_in.values() for unit in units]
    found[found < 0] = draws.permutation(alone)
    return best, found


def _num_alone(first: ndarray, second: ndarray, cells_per_axis: int) -> int:
    """Units of the first network whose cell holds fewer of the second."""
    own, other = (Counter(_cells(side, cells_per_axis)) for side in (first, second))
    return sum((own - other).values())


def _cells(units: ndarray, cells_per_axis: int) -> list[Cell]:
    """The cell of every unit in the cube [-1/sqrt(d), 1/sqrt(d)]^d."""
    steps = np.floor((units * np.sqrt(units.shape[1]) + 1) / 2 * cells_per_axis)
    return list(map(tuple, steps.clip(0, cells_per_axis - 1).astype(int).tolist()))


def _num_apart(first: ndarray, second: ndarray, units: ndarray, cells_per_axis: int) -> int:
    """Matched units that lie in different cells."""
    matched = zip(_cells(first, cells_per_axis), _cells(second[units], cells_per_axis), strict=True)
    return sum(own != other for own, other in matched)


def _plain_assignment(first: ndarray, second: ndarray) -> ndarray:
    """The unit for each place, by SciPy."""
    units: ndarray = linear_sum_assignment(cdist(first, second, "sqeuclidean"))[1]
    return units


def _plain_deviation(spec: InitializationSpec) -> float:
    """Mean of the largest deviation over all alphas, by plain products."""
    pairs = drawn_pairs(spec.input_dim, spec.width, [spec.seed], spec.num_draws)
    inputs = drawn_inputs(spec.input_dim, spec.num_inputs)

    def outputs(alpha: float) -> torch.Tensor:
        hidden = torch.relu(inputs @ ((1 - alpha) * pairs.first_inputs[0] + alpha * pairs.second_inputs[0]).T)
        return hidden @ ((1 - alpha) * pairs.first_outputs[0] + alpha * pairs.second_outputs[0]).T

    first, second = outputs(0.0), outputs(1.0)
    offs = [(outputs(alpha) - (1 - alpha) * first - alpha * second).abs() for alpha in spec.alphas]
    return float(torch.stack(offs).amax(0).mean())
