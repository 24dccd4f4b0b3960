"""The cost model: floating-point operations, overheads and bytes of an item.

Modeled seconds are for one worker with one thread on a machine of a given matrix-product rate. They
are meant to be right within a factor of two and are corrected by what the store has measured
(``lmc_sweep.planning.rates``).
"""

from __future__ import annotations

import math
from functools import cache, singledispatch

from lmc_sweep.planning.items import AlignmentItem, BarrierItem, Item, NetworkItem
from workers.alignment.methods import Method, SimulatedAnnealing, WeightMatching
from workers.datasets.definitions import DATASETS
from workers.specs import ArchitectureSpec, NetworkSpec

FLOAT_BYTES = 4
EFFICIENCY = 0.6  # of the matrix-product rate, in products of the sizes that occur
STEP_OVERHEAD_SECONDS = 3e-6  # per network and training step, in a stack
ENERGY_OVERHEAD_SECONDS = 1.2e-4  # per annealing step
ASSIGNMENT_SECONDS = 8e-11  # per cubed unit: n = 1024 takes 0.08 s
TYPICAL_SWEEPS = 8  # of weight matching before it stops
STACK_COPIES = 4  # weights, gradients, momenta, snapshots of stopped networks


@cache
def num_weights(architecture: ArchitectureSpec, dataset: str) -> int:
    """Entries of all weight matrices and biases of one network."""
    return first_layer_weights(architecture, dataset) + upper_weights(architecture, dataset)


def first_layer_weights(architecture: ArchitectureSpec, dataset: str) -> int:
    """Entries of the first layer."""
    return (DATASETS[dataset].num_inputs + 1) * architecture.width


def upper_weights(architecture: ArchitectureSpec, dataset: str) -> int:
    """Entries of all layers but the first."""
    hidden = (architecture.depth - 1) * (architecture.width + 1) * architecture.width
    return hidden + (architecture.width + 1) * DATASETS[dataset].num_classes


def steps_per_epoch(spec: NetworkSpec) -> int:
    """Minibatches of one epoch, the smaller last one included."""
    return math.ceil(DATASETS[spec.dataset].num_train / spec.training.batch_size)


def network_seconds(spec: NetworkSpec, epochs: float, flops_per_second: float) -> float:
    """Modeled seconds of training one network of a stack for a number of epochs."""
    weights = num_weights(spec.architecture, spec.dataset)
    flops = 6 * spec.training.batch_size * weights
    step = STEP_OVERHEAD_SECONDS + flops / (EFFICIENCY * flops_per_second)
    evaluation = 2 * weights * sum(DATASETS[spec.dataset].num_examples(s) for s in ("train", "test"))
    return epochs * steps_per_epoch(spec) * step + evaluation / (EFFICIENCY * flops_per_second)


def alignment_seconds(method: Method, cell: NetworkSpec, flops_per_second: float) -> float:
    """Modeled seconds of aligning one group of networks."""
    return _search_seconds(method, cell, EFFICIENCY * flops_per_second)


@singledispatch
def _search_seconds(method: Method, cell: NetworkSpec, rate: float) -> float:
    """Identity and random permutations cost next to nothing."""
    return 1e-4


@_search_seconds.register
def _(method: WeightMatching, cell: NetworkSpec, rate: float) -> float:
    width, depth = cell.architecture.width, cell.architecture.depth
    products = 2 * 2 * num_weights(cell.architecture, cell.dataset) * width / (rate / 2)  # float64
    assignments = depth * (2e-4 + ASSIGNMENT_SECONDS * width**3)
    return method.restarts * TYPICAL_SWEEPS * (products + assignments)


@_search_seconds.register
def _(method: SimulatedAnnealing, cell: NetworkSpec, rate: float) -> float:
    examples = method.num_examples or DATASETS[cell.dataset].num_train
    flops = 2 * upper_weights(cell.architecture, cell.dataset) * examples
    elements = cell.architecture.width * cell.architecture.depth * examples
    return method.steps * (ENERGY_OVERHEAD_SECONDS + flops / rate + elements * 3e-10)


def barrier_seconds(item: BarrierItem, flops_per_second: float) -> float:
    """Modeled seconds of one curve; the first layer is multiplied for the two endpoints alone."""
    cell = item.alignment.cell
    first = 2 * first_layer_weights(cell.architecture, cell.dataset)
    upper = len(item.alphas) * upper_weights(cell.architecture, cell.dataset)
    units = len(item.alphas) * cell.architecture.width * cell.architecture.depth
    examples = DATASETS[cell.dataset].num_examples(item.split)
    return examples * (2 * (first + upper) / (EFFICIENCY * flops_per_second) + units * 5e-10)


def item_seconds(item: Item, epochs: float | None, flops_per_second: float) -> float:
    """Modeled seconds of an item; ``epochs`` is what a network is expected to train."""
    if isinstance(item, NetworkItem):
        expected = item.spec.training.max_epochs if epochs is None else epochs
        return network_seconds(item.spec, expected, flops_per_second)
    if isinstance(item, AlignmentItem):
        return alignment_seconds(item.method, item.cell, flops_per_second)
    return barrier_seconds(item, flops_per_second)


def stored_bytes(item: Item) -> int:
    """Bytes that an item adds to the store, records estimated from files that were written."""
    if isinstance(item, NetworkItem):
        return FLOAT_BYTES * num_weights(item.spec.architecture, item.spec.dataset) + 300
    if isinstance(item, AlignmentItem):
        units = item.cell.architecture.width * item.cell.architecture.depth
        return 8 * units * (len(item.networks) - 1) + 300
    return 16 * len(item.alphas) + 200


def working_bytes(item: Item) -> int:
    """Memory that an item takes while its batch runs, activations included, data sets left out."""
    if isinstance(item, NetworkItem):
        spec, examples, copies = item.spec, item.spec.training.batch_size, STACK_COPIES
    else:
        spec = item.cell if isinstance(item, AlignmentItem) else item.alignment.cell
        examples, copies = 1000, 4
    inputs = DATASETS[spec.dataset].num_inputs
    activations = 3 * examples * (inputs + spec.architecture.depth * spec.architecture.width)
    return FLOAT_BYTES * (copies * num_weights(spec.architecture, spec.dataset) + activations)
