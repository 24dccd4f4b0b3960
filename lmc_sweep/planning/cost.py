"""The cost model: floating-point operations, overheads and bytes of an item.

Modeled seconds are for one worker with one thread on a machine of a given matrix-product rate. They
are meant to be right within a factor of two and are corrected by what the store has measured
(``lmc_sweep.planning.rates``).
"""

from __future__ import annotations

import math

from lmc_sweep.planning.item_classes import AlignmentItem, BarrierItem, Item, NetworkItem, StudyItem
from lmc_sweep.planning.search_cost import alignment_seconds, cache_bytes
from lmc_sweep.planning.workload import FLOAT_BYTES, Workload, rate, workload
from workers.datasets.definitions import define
from workers.specs import STATISTICS_EXAMPLES, CheckpointSpec, NetworkKind, NetworkSpec

STEP_OVERHEAD_SECONDS = 3e-6  # per network and training step, in a stack
MODULE_OVERHEAD_SECONDS = 1e-3  # the same where every network takes its steps by itself
STACK_COPIES = 4  # weights, gradients, momenta, snapshots of stopped networks
ROWS_TOGETHER = 64  # examples of a convolutional network that are in memory at a time


def _workload(kind: NetworkKind) -> Workload:
    return workload(kind.architecture, kind.data)


def steps_per_epoch(spec: NetworkSpec) -> int:
    """Minibatches of one epoch, the smaller last one included."""
    return math.ceil(define(spec.data).num_train / spec.training.batch_size)


def evaluation_seconds(kind: NetworkKind, flops_per_second: float) -> float:
    """Modeled seconds of one pass over all examples, both splits."""
    work, definition = _workload(kind), define(kind.data)
    examples = definition.num_train + definition.num_test
    return 2 * work.all_products * examples / rate(work, flops_per_second)


def network_seconds(spec: NetworkSpec, epochs: float, flops_per_second: float) -> float:
    """Modeled seconds of training one network of a stack for a number of epochs."""
    work = _workload(spec)
    overhead = STEP_OVERHEAD_SECONDS if work.is_dense else MODULE_OVERHEAD_SECONDS
    flops = 6 * spec.training.batch_size * work.all_products
    step = overhead + flops / rate(work, flops_per_second)
    return epochs * steps_per_epoch(spec) * step + evaluation_seconds(spec, flops_per_second)


def barrier_seconds(item: BarrierItem, flops_per_second: float) -> float:
    """Modeled seconds of one curve; the first layer of an MLP is multiplied for the two endpoints alone."""
    cell = item.alignment.cell
    work = _workload(cell)
    first, upper = 2 * work.endpoint_products, len(item.alphas) * work.products
    elements = len(item.alphas) * work.activations
    examples = float(define(cell.data).num_examples(item.split))
    if item.correction != "none":
        examples += 1.5 * min(STATISTICS_EXAMPLES, define(cell.data).num_train)
    return examples * (2 * (first + upper) / rate(work, flops_per_second) + elements * 5e-10)


def item_seconds(item: Item, epochs: float | None, flops_per_second: float) -> float:
    """Modeled seconds of an item; ``epochs`` is what a network is expected to train."""
    if isinstance(item, NetworkItem):
        if isinstance(item.spec, CheckpointSpec):
            return evaluation_seconds(item.spec, flops_per_second)
        expected = item.spec.training.num_epochs if epochs is None else epochs
        return network_seconds(item.spec, expected, flops_per_second)
    if isinstance(item, AlignmentItem):
        return alignment_seconds(item.method, item.cell, len(item.networks), flops_per_second)
    if isinstance(item, StudyItem):
        return item.seconds(flops_per_second)
    return barrier_seconds(item, flops_per_second)


def stored_bytes(item: Item) -> int:
    """Bytes that an item adds to the store, records estimated from files that were written."""
    if isinstance(item, NetworkItem):
        return FLOAT_BYTES * _workload(item.spec).num_parameters + 300
    if isinstance(item, AlignmentItem):
        return 8 * _workload(item.cell).hidden_units * (len(item.networks) - 1) + 300
    if isinstance(item, StudyItem):
        return item.stored_bytes()
    return 16 * len(item.alphas) + 200


def working_bytes(item: Item, max_stack_bytes: float = math.inf) -> int:
    """Memory that an item takes while its batch runs, activations included, data sets left out.

    What searches keep to be fast is bounded by ``max_stack_bytes``, which they are told.
    """
    if isinstance(item, StudyItem):
        return item.working_bytes()
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
    taken = FLOAT_BYTES * (copies * work.num_parameters + 3 * examples * work.activations)
    if isinstance(item, AlignmentItem):
        taken += int(min(cache_bytes(item.method, item.cell, len(item.networks)), max_stack_bytes))
    return taken
