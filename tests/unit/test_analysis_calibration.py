"""How often the tests of the worlds err, over many tables of ten skewed barriers per world and cell."""

from __future__ import annotations

import numpy as np
import pytest

from lmc_sweep.analysis.comparison import Comparison
from lmc_sweep.analysis.margins import DEFAULT_MARGIN, Margin
from lmc_sweep.analysis.similarity import similarity
from tests.support.world_rows import ANNEALING, world_rows

NUM_TABLES = 200
NUM_CELLS = 4
WIDE = Margin(1.0, False)
"""Of single cells: four standard errors of a difference of ten pairs per world."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(600)]


def after_search(
    margin: Margin, shift: float, shared: float = 0.0
) -> tuple[list[Comparison], list[Comparison]]:
    """Of every table, the comparison over its cells, and those of the cells."""
    overall, cells = [], []
    for table in range(NUM_TABLES):
        stream = np.random.default_rng([7, table])
        found = similarity(world_rows(stream, NUM_CELLS, 10, shift, shared), margin, seed=table)
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


def equivalent(comparisons: list[Comparison]) -> float:
    """The share that is declared equivalent without correction for their number."""
    found = [one.difference.p_equivalence for one in comparisons if one.difference is not None]
    return float(np.mean([p_value is not None and p_value <= 0.05 for p_value in found]))


@pytest.mark.parametrize("shared", [0.0, 0.5])
def test_equal_worlds_are_told_apart_about_one_time_in_twenty(shared: float) -> None:
    """Of the tests at 5 %, in cells and over cells, whether or not pairs of one network go together.

    The Kolmogorov-Smirnov statistic has few values, so that its test may reject less often.
    """
    for comparisons in after_search(DEFAULT_MARGIN, 0.0, shared):
        for name, share in rejected(comparisons).items():
            least = 0.0 if name == "kolmogorov_smirnov" else 0.02
            assert least <= share <= 0.08, (name, share)


@pytest.mark.parametrize("margin", [DEFAULT_MARGIN, WIDE], ids=["overall", "cell"])
def test_equal_worlds_are_called_equivalent_and_those_twice_the_margin_apart_are_not(margin: Margin) -> None:
    """In at least 80 % and at most 5 %: over cells at the default margin, in single cells at a wide one."""
    which = 0 if margin is DEFAULT_MARGIN else 1
    size = 0.4 if margin is DEFAULT_MARGIN else margin.value  # before search the mean barrier is 4

    assert equivalent(after_search(margin, 0.0)[which]) >= 0.8
    assert equivalent(after_search(margin, 2 * size)[which]) <= 0.05
