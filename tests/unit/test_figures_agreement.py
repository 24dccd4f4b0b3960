"""Correlation of the worlds, its interval, and when there is none."""

from __future__ import annotations

import numpy as np
import pytest
from numpy import ndarray

from lmc_sweep.analysis.agreement import agreement
from lmc_sweep.analysis.pairing import paired


def cells(real: list[float], model: list[float]) -> list[tuple[ndarray, ndarray]]:
    """Cells of three pairs, whose means are the numbers given."""
    around = np.array([0.9, 1.0, 1.1])
    return [(around * a, around * b) for a, b in zip(real, model, strict=True)]


def test_proportional_worlds_correlate_fully() -> None:
    """The interval ends at 1 as well, since every choice of cells lies on the same line."""
    found = agreement(cells([0.1, 0.5, 1.0, 1.4], [0.05, 0.25, 0.5, 0.7]))

    assert 1.0 == pytest.approx(found.correlation)
    assert (1.0, 1.0) == pytest.approx((found.low, found.high))


def test_the_interval_holds_the_correlation_and_narrows_with_the_number_of_cells() -> None:
    """The interval is of cells: more of the same kind make it narrower."""
    real = np.array([0.1, 0.3, 0.5, 0.8, 1.0, 1.4])
    model = np.array([0.2, 0.1, 0.6, 0.5, 1.3, 1.1])
    few = agreement(cells(list(real), list(model)))
    many = agreement(cells(list(real) * 10, list(model) * 10))

    assert few.low is not None
    assert few.high is not None
    assert many.low is not None
    assert many.high is not None
    assert few.low < many.low < many.correlation < many.high < few.high
    assert np.corrcoef(real, model)[0, 1] == pytest.approx(few.correlation)


@pytest.mark.parametrize(
    ("real", "model", "reason"),
    [
        ([], [], "no cell has barriers in both worlds"),
        ([0.1, 0.2], [0.1, 0.3], "fewer than 3 cells"),
        ([0.1, 0.2, 0.3], [0.0, 0.0, 0.0], "no spread in our model, which it solves exactly"),
        ([0.1, 0.2, 0.3], [0.0, -0.01, 0.0], "no spread in our model, which it solves exactly"),
        ([0.1, 0.2, 0.3], [0.5, 0.5, 0.5], "no spread in our model"),
        ([0.5, 0.5, 0.5], [0.1, 0.2, 0.3], "no spread in the real world"),
    ],
)
def test_where_there_is_no_correlation_the_reason_is_given(
    real: list[float], model: list[float], reason: str
) -> None:
    """A number would be an accident of rounding, or of two points."""
    found = agreement(cells(real, model))

    assert (None, None, None, reason) == (
        found.correlation,
        found.low,
        found.high,
        found.undefined_because,
    )


def test_worlds_of_unequal_numbers_meet_at_equal_quantiles() -> None:
    """Two real pairs against four model pairs: the quantiles at 1/4 and 3/4 of the four lie between pairs."""
    points = paired(np.array([2.0, 1.0]), np.array([4.0, 1.0, 3.0, 2.0]), "rank")

    assert [[1.0, 1.5], [2.0, 3.5]] == points.tolist()


@pytest.mark.parametrize("by", ["rank", "cell"])
def test_a_cell_without_one_of_the_worlds_has_no_point(by: str) -> None:
    """There is nothing to compare with."""
    assert (0, 2) == paired(np.array([1.0]), np.empty(0), by).shape  # type: ignore[arg-type]


def test_means_are_those_of_the_cells_that_are_compared() -> None:
    """The cell that is solved in our model counts in neither mean; where all are, every cell does."""
    found = agreement(cells([0.9, 0.2, 0.3, 0.4], [0.0, 0.2, 0.3, 0.7]))
    solved = agreement(cells([0.2, 0.4], [0.0, 0.0]))

    assert (1, pytest.approx(0.3), pytest.approx(0.4)) == (
        found.num_solved_cells,
        found.real_mean,
        found.model_mean,
    )
    assert (2, pytest.approx(0.3), 0.0) == (solved.num_solved_cells, solved.real_mean, solved.model_mean)
