"""Which examples population statistics are measured on."""

from __future__ import annotations

import pytest
import torch

from workers.seeding import generator
from workers.statistics import STATISTICS_BATCH, STATISTICS_EXAMPLES, statistics_batches, statistics_examples


@pytest.mark.parametrize(
    ("num_train", "sizes"),
    [
        (1, []),
        (2, [2]),
        (STATISTICS_BATCH + 1, [STATISTICS_BATCH]),
        (STATISTICS_BATCH + 2, [STATISTICS_BATCH, 2]),
        (60_000, [STATISTICS_BATCH] * (STATISTICS_EXAMPLES // STATISTICS_BATCH)),
    ],
)
def test_the_batches_cover_the_stated_number_of_examples(num_train: int, sizes: list[int]) -> None:
    """Batches of 256 of at most 2,048 examples, none of a single example."""
    assert sizes == [len(chosen) for chosen in statistics_examples(num_train, "toy")]


def test_the_examples_come_from_a_stream_of_the_data_set() -> None:
    """The rows are the head of the permutation that the stream of name and size draws; no row comes twice."""
    drawn = torch.randperm(5000, generator=generator("statistics", "toy", 5000))
    found = torch.cat(statistics_examples(5000, "toy"))
    assert torch.equal(drawn[:STATISTICS_EXAMPLES], found)
    assert len(found) == len(found.unique())
    assert not torch.equal(found, torch.cat(statistics_examples(5000, "other")))


def test_the_batches_hold_those_examples() -> None:
    """Row by row, a batch holds the inputs of its examples."""
    inputs = torch.arange(600.0).unsqueeze(1)
    for chosen, batch in zip(statistics_examples(600, "toy"), statistics_batches(inputs, "toy"), strict=True):
        assert torch.equal(chosen.double(), batch[:, 0].double())
