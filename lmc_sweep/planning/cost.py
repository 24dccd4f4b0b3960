"""The cost model: floating-point operations, overheads and bytes of an item.

Modeled seconds are for one worker with one thread on a machine of a given matrix-product rate. They
are meant to be right within a factor of two and are corrected by what the store has measured
(``lmc_sweep.planning.rates``).
"""

from __future__ import annotations

import math
from functools import singledispatch

from lmc_sweep.planning.items import AlignmentItem, BarrierItem, Item, NetworkItem
from lmc_sweep.planning.workload import Workload, workload
from workers.alignment.methods import Method, SimulatedAnnealing, WeightMatching
from workers.datasets.definitions import define
from workers.specs import STATISTICS_EXAMPLES, CheckpointSpec, NetworkKind, NetworkSpec

FLOAT_BYTES = 4
EFFICIENCY = 0.6  # of the matrix-product rate, in products of the sizes that occur
CONVOLUTION_EFFICIENCY = 0.25  # of the same rate, forward and backward of small convolutions
STEP_OVERHEAD_SECONDS = 3e-6  # per network and training step, in a stack
MODULE_OVERHEAD_SECONDS = 1e-3  # the same where every network takes its steps by itself
ENERGY_OVERHEAD_SECONDS = 1.2e-4  # per annealing step
ASSIGNMENT_SECONDS = 8e-11  # per cubed unit: n = 1024 takes 0.08 s
TYPICAL_SWEEPS = 8  # of weight matching before it stops
STACK_COPIES = 4  # weights, gradients, momenta, snapshots of stopped networks
ROWS_TOGETHER = 64  # examples of a convolutional network that are in memory at a time
TYPICAL_GROUPS = 10  # of a deep network


def _rate(work: Workload, flops_per_second: float) -> float:
    """Floating-point operations per second that a network's layers reach."""
    return (EFFICIENCY if work.is_dense else CONVOLUTION_EFFICIENCY) * flops_per_second


def _workload(kind: NetworkKind) -> Workload:
    return workload(kind.architecture, kind.data)


def steps_per_epoch(spec: NetworkSpec) -> int:
    """Minibatches of one epoch, the smaller last one included."""
    return math.ceil(define(spec.data).num_train / spec.training.batch_size)


def evaluation_seconds(kind: NetworkKind, flops_per_second: float) -> float:
    """Modeled seconds of one pass over all examples, both splits."""
    work, definition = _workload(kind), define(kind.data)
    examples = definition.num_train + definition.num_test
    return 2 * work.all_products * examples / _rate(work, flops_per_second)


def network_seconds(spec: NetworkSpec, epochs: float, flops_per_second: float) -> float:
    """Modeled seconds of training one network of a stack for a number of epochs."""
    work = _workload(spec)
    overhead = STEP_OVERHEAD_SECONDS if work.is_dense else MODULE_OVERHEAD_SECONDS
    flops = 6 * spec.training.batch_size * work.all_products
    step = overhead + flops / _rate(work, flops_per_second)
    return epochs * steps_per_epoch(spec) * step + evaluation_seconds(spec, flops_per_second)


def alignment_seconds(method: Method, cell: NetworkKind, flops_per_second: float) -> float:
    """Modeled seconds of aligning one group of networks."""
    return _search_seconds(method, cell, flops_per_second)


@singledispatch
def _search_seconds(method: Method, cell: NetworkKind, flops_per_second: float) -> float:
    """Identity and random permutations cost next to nothing."""
    return 1e-4


@_search_seconds.register
def _(method: WeightMatching, cell: NetworkKind, flops_per_second: float) -> float:
    work = _workload(cell)
    groups = getattr(cell.architecture, "depth", None) or TYPICAL_GROUPS
    units = max(1.0, work.hidden_units / groups)
    products = 4 * work.num_parameters * units / (EFFICIENCY * flops_per_second / 2)  # float64
    assignments = groups * (2e-4 + ASSIGNMENT_SECONDS * units**3)
    return method.restarts * TYPICAL_SWEEPS * (products + assignments)


@_search_seconds.register
def _(method: SimulatedAnnealing, cell: NetworkKind, flops_per_second: float) -> float:
    work = _workload(cell)
    examples = method.num_examples or define(cell.data).num_train
    flops = 2 * work.products * examples
    elements = work.activations * examples
    return method.steps * (ENERGY_OVERHEAD_SECONDS + flops / _rate(work, flops_per_second) + elements * 3e-10)


def barrier_seconds(item: BarrierItem, flops_per_second: float) -> float:
    """Modeled seconds of one curve; the first layer of an MLP is multiplied for the two endpoints alone."""
    cell = item.alignment.cell
    work = _workload(cell)
    first, upper = 2 * work.endpoint_products, len(item.alphas) * work.products
    elements = len(item.alphas) * work.activations
    examples = float(define(cell.data).num_examples(item.split))
    if item.correction != "none":
        examples += 1.5 * min(STATISTICS_EXAMPLES, define(cell.data).num_train)
    return examples * (2 * (first + upper) / _rate(work, flops_per_second) + elements * 5e-10)


def item_seconds(item: Item, epochs: float | None, flops_per_second: float) -> float:
    """Modeled seconds of an item; ``epochs`` is what a network is expected to train."""
    if isinstance(item, NetworkItem):
        if isinstance(item.spec, CheckpointSpec):
            return evaluation_seconds(item.spec, flops_per_second)
        expected = item.spec.training.num_epochs if epochs is None else epochs
        return network_seconds(item.spec, expected, flops_per_second)
    if isinstance(item, AlignmentItem):
        return alignment_seconds(item.method, item.cell, flops_per_second)
    return barrier_seconds(item, flops_per_second)


def stored_bytes(item: Item) -> int:
    """Bytes that an item adds to the store, records estimated from files that were written."""
    if isinstance(item, NetworkItem):
        return FLOAT_BYTES * _workload(item.spec).num_parameters + 300
    if isinstance(item, AlignmentItem):
        return 8 * _workload(item.cell).hidden_units * (len(item.networks) - 1) + 300
    return 16 * len(item.alphas) + 200


def working_bytes(item: Item) -> int:
    """Memory that an item takes while its batch runs, activations included, data sets left out."""
    copies = 4
    if isinstance(item, NetworkItem):
        kind: NetworkKind = item.spec
        examples = ROWS_TOGETHER
        if isinstance(item.spec, NetworkSpec):
            copies, examples = STACK_COPIES, item.spec.training.batch_size
    else:
        kind = item.cell if isinstance(item, AlignmentItem) else item.alignment.cell
        examples = 1000 if _workload(kind).is_dense else ROWS_TOGETHER
    work = _workload(kind)
    return FLOAT_BYTES * (copies * work.num_parameters + 3 * examples * work.activations)
