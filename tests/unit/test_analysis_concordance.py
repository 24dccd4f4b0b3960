"""Correlations over cells against SciPy and by hand; corrections for many tests."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lmc_sweep.analysis.concordance import coefficients, concordance
from lmc_sweep.analysis.corrected import benjamini_hochberg, holm

REAL = np.array([0.1, 0.3, 0.3, 0.8, 1.0, 1.4])
MODEL = np.array([0.2, 0.1, 0.6, 0.5, 1.3, 1.1])


def test_correlations_are_those_of_scipy() -> None:
    """Pearson's, and Spearman's with ties."""
    found = concordance(np.stack([REAL, MODEL], axis=1), np.random.default_rng(0))

    assert stats.pearsonr(REAL, MODEL)[0] == pytest.approx(found.pearson.value)
    assert stats.spearmanr(REAL, MODEL)[0] == pytest.approx(found.spearman.value)


def test_concordance_falls_short_of_pearson_by_scale_and_level() -> None:
    """At correlation 1 it is 2 s t / (s^2 + t^2 + d^2), with spreads s and t, and levels d apart."""
    scaled = coefficients(np.stack([REAL, 2 * REAL], axis=1)[None])[0]
    shifted = coefficients(np.stack([REAL, REAL + 0.5], axis=1)[None])[0]
    same = coefficients(np.stack([REAL, REAL], axis=1)[None])[0]

    assert [1, 1, 4 * REAL.var() / (5 * REAL.var() + REAL.mean() ** 2)] == pytest.approx(scaled)
    assert [1, 1, 2 * REAL.var() / (2 * REAL.var() + 0.25)] == pytest.approx(shifted)
    assert [1, 1, 1] == pytest.approx(same)


def test_without_spread_all_coefficients_are_undefined() -> None:
    """A world that is the same in every cell goes together with nothing."""
    assert np.isnan(coefficients(np.stack([REAL, np.full(6, 0.5)], axis=1)[None])).all()


def test_more_cells_narrow_the_interval() -> None:
    """Cells are what is drawn."""
    few = concordance(np.stack([REAL, MODEL], axis=1), np.random.default_rng(0)).concordance
    means = np.tile(np.stack([REAL, MODEL], axis=1), (10, 1))
    many = concordance(means, np.random.default_rng(0)).concordance

    assert few.low < many.low < many.value < many.high < few.high


def test_holm_by_hand() -> None:
    """Times 4, 3, 2, 1 in order of size, never falling: the third is lifted to the second."""
    assert [0.03, 0.06, 0.06, 0.02] == pytest.approx(holm([0.01, 0.04, 0.03, 0.005]))


def test_benjamini_hochberg_by_hand() -> None:
    """Times 4/1, 4/2, 4/3, 4/4 in order of size, never above what follows."""
    assert [0.02, 0.04, 0.04, 0.02] == pytest.approx(benjamini_hochberg([0.01, 0.04, 0.03, 0.005]))


@given(st.lists(st.floats(0, 1), max_size=12))
def test_corrections_only_raise_p_values_and_holm_raises_more(p_values: list[float]) -> None:
    """Bounding every false rejection asks for more than bounding their share."""
    raised, most = benjamini_hochberg(p_values), holm(p_values)

    assert len(p_values) == len(raised) == len(most)
    for plain, middle, high in zip(p_values, raised, most, strict=True):
        assert plain <= middle + 1e-12 <= high + 2e-12
        assert high <= 1
