"""The cost model of alignment: modeled seconds and bytes of every method, for one group of networks.

Like all of the cost model, for one thread of a given matrix-product rate, and corrected by what the store
has measured. Bounds that a budget sets are taken into account; the time of a start is added.
"""

from __future__ import annotations

import math
from functools import singledispatch

from lmc_sweep.config.applicability import EXAMPLE_SECONDS, STATE_SECONDS, log10_permutations
from lmc_sweep.planning.workload import EFFICIENCY, FLOAT_BYTES, Workload, rate, workload
from workers.alignment.methods import (
    ActivationMatching,
    BruteForce,
    Budgeted,
    CycleConsistent,
    FunctionalDifference,
    MergeMany,
    Method,
    NodeSort,
    SimulatedAnnealing,
    Sinkhorn,
    StraightThrough,
    WeightMatching,
)
from workers.architectures.shapes import hidden_units, layers
from workers.datasets.definitions import define
from workers.specs import MLPSpec, ModuleSpec, NetworkKind, ShallowCNNSpec

ENERGY_OVERHEAD_SECONDS = 1.2e-4  # per step of the reference annealer
ACTIVATION_SECONDS = 3e-10  # per float that a forward pass writes
ASSIGNMENT_SECONDS = 8e-11  # per cubed unit: n = 1024 takes 0.08 s
ASSIGNMENT_OVERHEAD_SECONDS = 2e-4
TYPICAL_SWEEPS = 8  # of weight matching before it stops
TYPICAL_ITERATIONS = 200  # of Frank-Wolfe before it stops
NUM_PROBES = 100  # energies by which an annealer measures its temperatures
GRADIENT_STEP_SECONDS = 1e-3  # what a step of gradient descent takes beside its products
CONVOLUTION_SHARES = (0.1, 0.25)  # of a pass, in an energy of a shallow CNN of two layers, and of more
RENEWED_SECONDS = 7e-10  # per hidden unit and example above the layer that moved
SINKHORN_ROUNDS = 20  # normalizations of rows and columns in one soft permutation
EIGEN_FLOPS = 25  # per cubed size of a symmetric eigen-decomposition
TYPICAL_GROUPS = 10  # of a deep network
GRADIENT = 3  # passes that a gradient costs, the forward one included


def alignment_seconds(method: Method, cell: NetworkKind, num_networks: int, flops_per_second: float) -> float:
    """Modeled seconds of aligning one group of networks."""
    pairs = math.comb(num_networks, 2)
    if isinstance(method, SimulatedAnnealing):
        seconds = _annealing(method, cell, num_networks, flops_per_second)
        if not isinstance(method.start, str):
            seconds += alignment_seconds(method.start, cell, num_networks, flops_per_second)
    elif isinstance(method, NodeSort):
        seconds = num_networks * _seconds(method, cell, flops_per_second)
    else:
        seconds = pairs * _seconds(method, cell, flops_per_second)
    if isinstance(method, Budgeted) and method.max_seconds is not None:
        return min(seconds, method.max_seconds)
    return seconds


def cache_bytes(method: Method, cell: NetworkKind, num_networks: int) -> float:
    """Memory that a search would keep for one group of networks, if it had as much as it wants, in bytes.

    Pre-activations of the first layer of every member; of every merge of every chain its logits and, in
    deeper networks, every layer.
    """
    if not isinstance(method, SimulatedAnnealing | BruteForce) or not isinstance(cell.architecture, MLPSpec):
        return 0.0
    if isinstance(method, SimulatedAnnealing) and method.engine == "simanneal":
        return 0.0
    restarts = method.restarts if isinstance(method, SimulatedAnnealing) else 1
    merges = math.comb(num_networks, 2) if method.objective == "pairwise_barrier" else 1
    width, depth = cell.architecture.width, cell.architecture.depth
    layers = define(cell.data).num_classes + (depth * width if depth > 1 else 0)
    floats = num_networks * width + restarts * merges * layers
    return FLOAT_BYTES * float(_examples(method.num_examples, cell)) * floats


def _examples(num_examples: int | None, cell: NetworkKind) -> int:
    """Training examples that a search looks at."""
    num_train = define(cell.data).num_train
    return num_train if num_examples is None else min(num_examples, num_train)


def _work(cell: NetworkKind) -> Workload:
    return workload(cell.architecture, cell.data)


def _forward(cell: NetworkKind, examples: int, flops_per_second: float) -> float:
    """Of one pass of one network."""
    work = _work(cell)
    flops = 2 * work.all_products * examples / rate(work, flops_per_second)
    return flops + work.activations * examples * ACTIVATION_SECONDS


def _groups(cell: NetworkKind) -> tuple[int, float]:
    """Groups of units, and units of one in the mean."""
    if isinstance(cell.architecture, ModuleSpec):
        return TYPICAL_GROUPS, max(1.0, _work(cell).hidden_units / TYPICAL_GROUPS)
    sizes = hidden_units(cell.architecture)
    return len(sizes), sum(sizes) / len(sizes)


def _assignments(cell: NetworkKind) -> float:
    """Of one assignment in every group."""
    groups, units = _groups(cell)
    return groups * (ASSIGNMENT_OVERHEAD_SECONDS + ASSIGNMENT_SECONDS * units**3)


def _sweep(cell: NetworkKind, flops_per_second: float) -> float:
    """Of one sweep of weight matching over all groups; its products are in float64."""
    products = 4 * _work(cell).num_parameters * _groups(cell)[1] / (EFFICIENCY * flops_per_second / 2)
    return products + _assignments(cell)


@singledispatch
def _seconds(method: Method, cell: NetworkKind, flops_per_second: float) -> float:
    """Of one pair; identity, random permutations and the oracle cost next to nothing."""
    return 1e-4


@_seconds.register
def _(method: WeightMatching, cell: NetworkKind, flops_per_second: float) -> float:
    if _groups(cell)[0] == 1:
        return _sweep(cell, flops_per_second)  # one assignment is exact
    return method.restarts * min(TYPICAL_SWEEPS, method.max_sweeps) * _sweep(cell, flops_per_second)


@_seconds.register
def _(method: ActivationMatching, cell: NetworkKind, flops_per_second: float) -> float:
    examples = _examples(method.num_examples, cell)
    groups, units = _groups(cell)
    positions = max(1.0, _work(cell).activations / max(1, groups * units))
    moments = 2 * groups * units**2 * positions * examples / (EFFICIENCY * flops_per_second / 2)
    return 2 * _forward(cell, examples, flops_per_second) + moments + _assignments(cell)


@_seconds.register
def _(method: FunctionalDifference, cell: NetworkKind, flops_per_second: float) -> float:
    examples = _examples(method.num_examples, cell)
    seconds = 2 * _forward(cell, examples, flops_per_second) + _assignments(cell)
    definition = define(cell.data)
    if isinstance(cell.architecture, ModuleSpec):
        sizes = [(math.sqrt(_work(cell).num_parameters / TYPICAL_GROUPS), 1)] * TYPICAL_GROUPS
    else:
        shapes = layers(cell.architecture, definition)[:-1]
        sizes = [(float(shape.in_units * shape.kernel_area), shape.positions) for shape in shapes]
    flops = sum(4 * size**2 * examples * positions + EIGEN_FLOPS * size**3 for size, positions in sizes)
    return seconds + flops / (EFFICIENCY * flops_per_second / 2)


@_seconds.register
def _(method: StraightThrough, cell: NetworkKind, flops_per_second: float) -> float:
    batch = min(method.batch_size, _examples(method.num_examples, cell))
    step = GRADIENT * _forward(cell, batch, flops_per_second) + _sweep(cell, flops_per_second)
    return method.steps * (GRADIENT_STEP_SECONDS + step)


@_seconds.register
def _(method: Sinkhorn, cell: NetworkKind, flops_per_second: float) -> float:
    groups, units = _groups(cell)
    soft = 2 * 2 * _work(cell).num_parameters * units / (EFFICIENCY * flops_per_second)
    rounds = SINKHORN_ROUNDS * groups * (units**2 * 2e-9 + 2e-5)
    step = GRADIENT * (soft + rounds)
    if method.objective == "midpoint_loss":
        batch = min(method.batch_size, _examples(method.num_examples, cell))
        step += GRADIENT * _forward(cell, batch, flops_per_second)
    return method.steps * (GRADIENT_STEP_SECONDS + step) + _assignments(cell)


@_seconds.register
def _(method: NodeSort, cell: NetworkKind, flops_per_second: float) -> float:
    return 1e-3 + 1e-8 * _work(cell).num_parameters


@_seconds.register
def _(method: BruteForce, cell: NetworkKind, flops_per_second: float) -> float:
    digits = math.log10(method.max_permutations)
    if not isinstance(cell.architecture, ModuleSpec):
        digits = min(digits, log10_permutations(hidden_units(cell.architecture)))
    states = 10**digits if method.max_evaluations is None else min(10**digits, method.max_evaluations)
    return states * _energy(cell, _examples(method.num_examples, cell), flops_per_second)


@_seconds.register
def _(method: CycleConsistent, cell: NetworkKind, flops_per_second: float) -> float:
    iterations = min(TYPICAL_ITERATIONS, method.max_iterations)
    return method.restarts * iterations * _sweep(cell, flops_per_second)


@_seconds.register
def _(method: MergeMany, cell: NetworkKind, flops_per_second: float) -> float:
    sweeps = min(TYPICAL_SWEEPS, method.max_sweeps)
    return 2 * sweeps * TYPICAL_SWEEPS * _sweep(cell, flops_per_second)


def _annealing(
    method: SimulatedAnnealing, cell: NetworkKind, num_networks: int, flops_per_second: float
) -> float:
    """Of all chains of a group of networks."""
    examples = _examples(method.num_examples, cell)
    if method.engine == "simanneal":
        work = _work(cell)
        flops = 2 * work.products * examples / rate(work, flops_per_second)
        energy = ENERGY_OVERHEAD_SECONDS + flops + work.activations * examples * ACTIVATION_SECONDS
    else:
        energy = _energy(cell, examples, flops_per_second)
    if method.objective == "pairwise_barrier":
        energy *= num_networks - 1  # a move of one network changes its merges with all others
    steps = method.steps * method.restarts + NUM_PROBES
    if method.max_evaluations is not None:
        steps = min(steps, method.max_evaluations)
    begun = (num_networks + 1) * _forward(cell, examples, flops_per_second)
    return begun + energy * steps


def _energy(cell: NetworkKind, examples: int, flops_per_second: float) -> float:
    """Of one incremental energy; a whole pass where the architecture has no shorter way.

    The shares of shallow CNNs are those that docs/benchmarks.md measured at widths 8 and 32.
    """
    if isinstance(cell.architecture, ShallowCNNSpec):
        share = CONVOLUTION_SHARES[cell.architecture.depth > 2]
        return ENERGY_OVERHEAD_SECONDS + share * _forward(cell, examples, flops_per_second)
    if not isinstance(cell.architecture, MLPSpec):
        return ENERGY_OVERHEAD_SECONDS + _forward(cell, examples, flops_per_second)
    work = _work(cell)
    # the moved layer costs two rows; those above it are multiplied anew: half of them in the mean
    above = work.products * (cell.architecture.depth - 1) / (2 * cell.architecture.depth)
    products = 2 * above * examples / rate(work, flops_per_second)
    renewed = RENEWED_SECONDS * work.hidden_units * examples * (cell.architecture.depth > 1)
    return STATE_SECONDS + EXAMPLE_SECONDS * examples + products + renewed
