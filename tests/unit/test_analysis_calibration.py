"""How often the tests of the worlds err, over many tables of ten skewed barriers per world and cell."""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator

import numpy as np
import pytest

from lmc_sweep.analysis.comparison import Comparison
from lmc_sweep.analysis.margins import DEFAULT_MARGIN
from lmc_sweep.analysis.mean_difference import MeanDifference, influences, mean_difference, resampled
from lmc_sweep.analysis.similarity import similarity
from lmc_sweep.analysis.world_pairs import world_pairs
from tests.support.world_rows import ANNEALING, world_rows

NUM_TABLES = 200
NUM_CELLS = 4
WIDE = 1.0

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


@functools.cache
def after_search(shift: float, shared: float = 0.0) -> tuple[list[Comparison], list[Comparison]]:
    """Of every table, the comparison over its cells at the default margin, and those of the cells."""
    overall, cells = [], []
    for table in range(NUM_TABLES):
        rows = world_rows(np.random.default_rng([7, table]), NUM_CELLS, 10, shift, shared)
        found = similarity(rows, DEFAULT_MARGIN, seed=table)
        overall += [one for one in found.overall if one.method_json == ANNEALING]
        cells += [one for one in found.cells if one.method_json == ANNEALING]
    return overall, cells


def rejected(comparisons: list[Comparison]) -> dict[str, float]:
    """The share of each test's rejections at 5 %, without correction for their number."""
    found: dict[str, list[bool]] = {"t": [], "interval": [], "wasserstein": [], "kolmogorov_smirnov": []}
    for one in comparisons:
        assert one.difference is not None
        assert one.distances is not None
        found["t"].append(one.difference.p_value <= 0.05)
        ends = one.difference.difference
        found["interval"].append(not ends.low <= 0 <= ends.high)
        found["wasserstein"].append(one.distances.p_wasserstein <= 0.05)
        found["kolmogorov_smirnov"].append(one.distances.p_kolmogorov_smirnov <= 0.05)
    return {name: float(np.mean(values)) for name, values in found.items()}


def equivalent(differences: Iterable[MeanDifference | None]) -> float:
    """The share that is declared equivalent without correction for their number."""
    found = [one.p_equivalence for one in differences if one is not None]
    return float(np.mean([p_value is not None and p_value <= 0.05 for p_value in found]))


def of_single_cells(shift: float, margin: float) -> Iterator[MeanDifference]:
    """Of every table, the cells' differences at a margin in units of the barrier."""
    for table in range(NUM_TABLES):
        stream = np.random.default_rng([8, table])
        for measured in world_pairs(world_rows(stream, NUM_CELLS, 10, shift)).measured:
            if measured.method_json == ANNEALING:
                for pulls in map(influences, measured.cells):
                    yield mean_difference([pulls], resampled(pulls, stream, 100), margin)


@pytest.mark.parametrize("shared", [0.0, 0.5])
def test_equal_worlds_are_told_apart_about_one_time_in_twenty(shared: float) -> None:
    """Of the tests at 5 %, in cells and over cells, whether or not pairs of one network go together.

    The Kolmogorov-Smirnov statistic has few values, so that its test may reject less often.
    """
    for comparisons in after_search(0.0, shared):
        for name, share in rejected(comparisons).items():
            least = 0.0 if name == "kolmogorov_smirnov" else 0.02
            assert least <= share <= 0.08, (name, share)


def test_over_cells_worlds_are_called_equivalent_when_equal_and_not_twice_the_margin_apart() -> None:
    """In at least 80 % and at most 5 % of tables; the margin is a tenth of the barrier before search, 4."""
    assert equivalent(one.difference for one in after_search(0.0)[0]) >= 0.8
    assert equivalent(one.difference for one in after_search(2 * 0.4)[0]) <= 0.05


def test_single_cells_are_called_equivalent_when_equal_and_not_twice_the_margin_apart() -> None:
    """At a margin of four standard errors of the difference of ten pairs per world."""
    assert equivalent(of_single_cells(0.0, WIDE)) >= 0.8
    assert equivalent(of_single_cells(2 * WIDE, WIDE)) <= 0.05


def test_a_difference_as_large_as_the_margin_is_called_equivalent_one_time_in_twenty() -> None:
    """The worst case of the two one-sided tests; skewed barriers make them err a little more."""
    assert 0.02 <= equivalent(of_single_cells(WIDE, WIDE)) <= 0.08
