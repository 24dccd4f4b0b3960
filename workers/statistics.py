"""The examples on which population statistics of batch norm are measured."""

from __future__ import annotations

import torch
from jaxtyping import Int64
from torch import Tensor

from workers.architectures.program import StackedProgram
from workers.datasets.inputs import Inputs
from workers.device import map_on_threads
from workers.params import ParamStack, concatenate, num_networks, rows
from workers.seeding import generator
from workers.specs import STATISTICS_EXAMPLES

STATISTICS_BATCH = 256
"""Examples of one batch; the statistics are the simple average over batches."""


def statistics_batches(inputs: Inputs, dataset: str) -> list[Tensor]:
    """The batches for ``StackedProgram.with_statistics``, the same for every network of a data set.

    STATISTICS_EXAMPLES training examples, or all, from the stream ("statistics", data set, number of
    training examples), in batches of STATISTICS_BATCH. A last batch of one example is left out: it
    has no variance.

    Args:
        inputs: All training examples.
        dataset: Name of the data set.
    """
    return [inputs[chosen] for chosen in statistics_examples(len(inputs), dataset)]


def with_population_statistics(
    program: StackedProgram, params: ParamStack, inputs: Inputs, dataset: str
) -> ParamStack:
    """The networks with batch-norm statistics of the population; as they are without batch norm.

    Each network is measured on one thread, so its bits depend neither on the others nor on how many
    threads there are.

    Args:
        program: The architecture.
        params: The stack.
        inputs: All training examples.
        dataset: Name of the data set.
    """
    if not program.statistics:
        return params
    batches = statistics_batches(inputs, dataset)

    def measure(network: int) -> ParamStack:
        return program.with_statistics(rows(params, [network]), batches)

    return concatenate(map_on_threads(measure, range(num_networks(params))))


def statistics_examples(num_train: int, dataset: str) -> list[Int64[Tensor, " B"]]:
    """The rows of the training set in each batch."""
    drawn = torch.randperm(num_train, generator=generator("statistics", dataset, num_train))
    return [
        chosen for chosen in torch.split(drawn[:STATISTICS_EXAMPLES], STATISTICS_BATCH) if len(chosen) > 1
    ]
