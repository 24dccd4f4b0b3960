"""Differences of means against SciPy, where pairs are independent; and what clusters change."""

from __future__ import annotations

import numpy as np
import pytest
from numpy import ndarray
from scipy import stats

from lmc_sweep.analysis.mean_difference import MeanDifference, influences, mean_difference, resampled
from lmc_sweep.analysis.world_pairs import CellBarriers

REAL = np.array([0.9, 1.4, 0.3, 0.7, 2.6, 0.5, 1.1])
MODEL = np.array([0.8, 1.0, 0.6, 1.9, 1.2, 0.2, 0.4])


def cell(real: ndarray, model: ndarray, of_real: ndarray, of_model: ndarray) -> CellBarriers:
    """A cell whose pairs lie in the clusters given."""
    return CellBarriers(
        cell_id="cell",
        subject=("digits", "mlp", 16, 1, 0.0),
        values=np.concatenate([real, model]),
        is_real=np.arange(len(real) + len(model)) < len(real),
        clusters=np.concatenate([of_real, of_model]),
        model_losses=np.asarray(model, dtype=np.float64),
        num_examples=1000,
    )


def found(of: CellBarriers, margin: float | None = None) -> MeanDifference:
    """The difference of one cell."""
    pulls = influences(of)
    return mean_difference([pulls], resampled(pulls, np.random.default_rng(3)), margin)


def test_pairs_that_share_a_network_across_the_worlds_give_the_paired_t_test() -> None:
    """Clusters of one real and one model pair are differences, as in SciPy's test of related samples."""
    one = found(cell(REAL, MODEL, np.arange(7), np.arange(7)))

    expected = stats.ttest_rel(REAL, MODEL)
    assert (REAL - MODEL).mean() == pytest.approx(one.difference.value)
    assert expected.pvalue == pytest.approx(one.p_value)
    assert expected.df == one.degrees


def test_pairs_without_common_networks_give_the_test_of_welch() -> None:
    """Clusters of one world each are independent samples, as in SciPy."""
    one = found(cell(REAL, MODEL[:5], np.arange(7), np.arange(7, 12)))

    expected = stats.ttest_ind(REAL, MODEL[:5], equal_var=False)
    assert expected.pvalue == pytest.approx(one.p_value)
    assert expected.df == pytest.approx(one.degrees)


def test_worlds_that_share_some_networks_have_the_degrees_of_the_smaller() -> None:
    """Their means go together in part: fewer degrees of freedom are claimed than Welch's."""
    assert 4 == found(cell(REAL, MODEL[:5], np.arange(7), np.arange(4, 9))).degrees


def test_a_pair_told_ten_times_is_one_pair() -> None:
    """Pairs of one cluster add nothing to what the first of them told."""
    numbers = np.arange(7)
    once = found(cell(REAL, MODEL, numbers, numbers))
    tenfold = found(cell(REAL.repeat(10), MODEL.repeat(10), numbers.repeat(10), numbers.repeat(10)))

    assert once.p_value == pytest.approx(tenfold.p_value)
    assert once.difference.low == pytest.approx(tenfold.difference.low)


def test_equivalence_is_two_one_sided_tests() -> None:
    """The p-value is the larger of the two one-sided ones, by SciPy's test at either end of the margin."""
    one = found(cell(REAL, MODEL, np.arange(7), np.arange(7)), margin=0.8)

    lower = stats.ttest_1samp(REAL - MODEL, -0.8, alternative="greater").pvalue
    upper = stats.ttest_1samp(REAL - MODEL, 0.8, alternative="less").pvalue
    assert max(lower, upper) == pytest.approx(one.p_equivalence)


def test_worlds_that_never_differ_are_equal_beyond_doubt() -> None:
    """Without spread there is no t: the difference itself decides."""
    same = found(cell(REAL, REAL, np.arange(7), np.arange(7)), margin=0.1)
    apart = found(cell(REAL + 1, REAL, np.arange(7), np.arange(7)), margin=0.1)

    assert (1.0, 0.0) == (same.p_value, same.p_equivalence)
    assert apart.p_value < 1e-6
    assert apart.p_equivalence > 1 - 1e-6


def test_the_outer_interval_holds_the_inner_one_and_the_difference() -> None:
    """95 % reach further than 90 %."""
    one = found(cell(REAL, MODEL, np.arange(7), np.arange(7)))

    assert one.difference.low < one.inner[0] < one.difference.value < one.inner[1] < one.difference.high


def test_cells_of_equal_weight_average_their_differences_and_add_their_variances() -> None:
    """A cell with many pairs counts no more than one with few."""
    numbers = np.arange(7)
    first = influences(cell(REAL, MODEL, numbers, numbers))
    second = influences(cell(REAL[:3] + 5, MODEL[:3], numbers[:3], numbers[:3]))
    streams = [np.random.default_rng(seed) for seed in (1, 2)]
    drawn = [resampled(of, stream) for of, stream in zip((first, second), streams, strict=True)]
    both = mean_difference([first, second], (drawn[0] + drawn[1]) / 2, None)

    errors = [found(cell(REAL, MODEL, numbers, numbers)).standard_error]
    errors.append(found(cell(REAL[:3] + 5, MODEL[:3], numbers[:3], numbers[:3])).standard_error)
    differences = (REAL - MODEL).mean(), (REAL[:3] + 5 - MODEL[:3]).mean()
    assert np.mean(differences) == pytest.approx(both.difference.value)
    assert np.hypot(*errors) / 2 == pytest.approx(both.standard_error)
