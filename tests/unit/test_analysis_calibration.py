"""How often the tests of the worlds err, over many tables of ten skewed barriers per world and cell."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import pytest

from lmc_sweep.analysis.distances import Distances, distances, world_distances
from lmc_sweep.analysis.mean_difference import MeanDifference, influences, mean_difference, resampled
from lmc_sweep.analysis.world_pairs import world_pairs
from tests.support.world_rows import ANNEALING, world_rows

NUM_TABLES = 400
NUM_CELLS = 4
TENTH = 0.4
"""The default margin: a tenth of the mean barrier before search."""
WIDE = 1.0
"""Of single cells: four standard errors of a difference of ten pairs per world."""

pytestmark = pytest.mark.slow

Tested = tuple[MeanDifference, Distances]


def outcomes(shift: float, margin: float, num_together: int, shared: float = 0.0) -> Iterator[Tested]:
    """Of every table, what so many cells at a time say; their mean barrier in world ``model`` is 1."""
    for table in range(NUM_TABLES):
        stream = np.random.default_rng([8, table])
        (cells,) = (
            measured.cells
            for measured in world_pairs(world_rows(stream, NUM_CELLS, 10, shift, shared)).measured
            if measured.method_json == ANNEALING
        )
        for first in range(0, NUM_CELLS, num_together):
            together = cells[first : first + num_together]
            pulls = [influences(cell) for cell in together]
            drawn = np.mean([resampled(of, stream) for of in pulls], axis=0)
            apart = np.mean([world_distances(cell, stream, 1000) for cell in together], axis=0)
            yield mean_difference(pulls, drawn, margin), distances(apart)


def equivalent(results: Iterator[Tested]) -> float:
    """The share that is declared equivalent at 5 %."""
    found = [difference.p_equivalence for difference, _ in results]
    return float(np.mean([p_value is not None and p_value <= 0.05 for p_value in found]))


@pytest.mark.parametrize("num_together", [1, NUM_CELLS], ids=["cell", "overall"])
@pytest.mark.parametrize("shared", [0.0, 0.5])
def test_equal_worlds_are_told_apart_about_one_time_in_twenty(shared: float, num_together: int) -> None:
    """Of the tests at 5 %, in cells and over cells, whether or not pairs of one network go together.

    The Kolmogorov-Smirnov statistic has few values, so that its test may reject less often.
    """
    results = list(outcomes(0.0, TENTH, num_together, shared))
    intervals = [difference.difference for difference, _ in results]
    shares = {
        "t": np.mean([difference.p_value <= 0.05 for difference, _ in results]),
        "interval": np.mean([not ends.low <= 0 <= ends.high for ends in intervals]),
        "wasserstein": np.mean([apart.p_wasserstein <= 0.05 for _, apart in results]),
    }

    assert {} == {name: share for name, share in shares.items() if not 0.02 <= share <= 0.08}
    assert np.mean([apart.p_kolmogorov_smirnov <= 0.05 for _, apart in results]) <= 0.08


def test_over_cells_worlds_are_called_equivalent_when_equal_and_not_twice_the_margin_apart() -> None:
    """In at least 80 % and at most 5 % of tables, at the default margin."""
    assert equivalent(outcomes(0.0, TENTH, NUM_CELLS)) >= 0.8
    assert equivalent(outcomes(2 * TENTH, TENTH, NUM_CELLS)) <= 0.05


def test_single_cells_are_called_equivalent_when_equal_and_not_twice_the_margin_apart() -> None:
    """At a margin of four standard errors of the difference of ten pairs per world."""
    assert equivalent(outcomes(0.0, WIDE, 1)) >= 0.8
    assert equivalent(outcomes(2 * WIDE, WIDE, 1)) <= 0.05


def test_a_difference_as_large_as_the_margin_is_called_equivalent_one_time_in_twenty() -> None:
    """The worst case of the two one-sided tests; skewed barriers make them err a little more."""
    assert 0.02 <= equivalent(outcomes(WIDE, WIDE, 1)) <= 0.08
