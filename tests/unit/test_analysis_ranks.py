"""Ranks and corrected p-values are those of scipy, whose package is too slow to import for them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from lmc_sweep.analysis.corrected import benjamini_hochberg
from lmc_sweep.analysis.ranks import ranks


@pytest.mark.parametrize(("shape", "axis"), [((7,), 0), ((50, 9), 1), ((40, 13, 2), 1), ((3, 0), 1)])
@pytest.mark.parametrize("has_nan", [False, True])
def test_ranks_are_those_of_scipy(shape: tuple[int, ...], axis: int, has_nan: bool) -> None:
    """Along any axis, of ties the mean, and a sample with NaN has no ranks."""
    values = np.random.default_rng(0).integers(6, size=shape).astype(np.float64)
    if has_nan and values.size:
        values.flat[3] = np.nan
    expected = stats.rankdata(values, axis=axis)
    np.testing.assert_array_equal(ranks(values, axis=axis), expected)


@pytest.mark.parametrize("number", [1, 5, 400])
def test_false_discoveries_are_bounded_as_by_scipy(number: int) -> None:
    """Bit for bit, with ties."""
    values = np.random.default_rng(number).random(number) ** 3
    values[-1] = values[0]
    assert stats.false_discovery_control(values).tolist() == benjamini_hochberg(values)
