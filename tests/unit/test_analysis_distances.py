"""Distances of distributions against SciPy, and what their p-values count."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from lmc_sweep.analysis.distances import distances, distances_between, relabeled, world_distances
from lmc_sweep.analysis.world_pairs import CellBarriers

SAMPLES = st.lists(st.sampled_from([0.0, 0.1, 0.25, 0.3, 0.7, 1.0, 2.5]), min_size=1, max_size=9)


def cell(real: list[float], model: list[float], clusters: list[int] | None = None) -> CellBarriers:
    """A cell; pair k of both worlds in cluster k, where none are given."""
    numbers = [*range(len(real)), *range(len(model))]
    return CellBarriers(
        cell_id="cell",
        subject=("digits", "mlp", 16, 1, 0.0),
        values=np.array([*real, *model]),
        is_real=np.arange(len(numbers)) < len(real),
        clusters=np.array(numbers if clusters is None else clusters),
        model_losses=np.asarray(model, dtype=np.float64),
        num_examples=1000,
    )


@given(SAMPLES, SAMPLES)
def test_distances_are_those_of_scipy(real: list[float], model: list[float]) -> None:
    """Samples of any sizes, with ties within and between them."""
    of = cell(real, model)
    found = distances_between(of.values, of.is_real[:, None], ~of.is_real[:, None])[0]

    assert stats.ks_2samp(real, model).statistic == pytest.approx(found[0])
    assert stats.wasserstein_distance(real, model) == pytest.approx(found[1])


def test_labels_are_exchanged_within_clusters_that_hold_both_worlds() -> None:
    """In every draw each such cluster has one real and one model pair, one way or the other."""
    drawn = relabeled(cell([1, 2, 3], [4, 5, 6]), np.random.default_rng(0), 200)

    assert (drawn[:3] != drawn[3:]).all()
    assert 8 == len({tuple(draw) for draw in drawn.T})


def test_labels_of_clusters_of_one_world_change_places_whole() -> None:
    """As many clusters are real as before, and pairs of one cluster go together."""
    of = cell([1, 1, 2], [4, 5, 6], [0, 0, 1, 2, 2, 3])
    drawn = relabeled(of, np.random.default_rng(0), 200)

    assert (drawn[0] == drawn[1]).all()
    assert (drawn[3] == drawn[4]).all()
    assert (drawn[[0, 2, 3, 5]].sum(0) == 2).all()


def test_the_first_draw_is_the_worlds_as_they_are() -> None:
    """The p-value counts it, and so is never 0."""
    of = cell([1, 2, 3], [4, 5, 6])

    assert of.is_real.tolist() == relabeled(of, np.random.default_rng(0), 5)[:, 0].tolist()


def test_worlds_far_apart_are_as_rare_as_labels_allow() -> None:
    """Of the 2^8 labelings of eight clusters, two are as extreme as two worlds that nowhere meet."""
    of = cell([10.0 + k for k in range(8)], [float(k) for k in range(8)])
    found = distances(world_distances(of, np.random.default_rng(0), 20_000))

    assert 1 == found.kolmogorov_smirnov
    assert 10 == pytest.approx(found.wasserstein)
    assert 2 / 2**8 == pytest.approx(found.p_wasserstein_plain, rel=0.3)
    assert found.p_wasserstein_plain == found.p_kolmogorov_smirnov_plain
    assert found.p_wasserstein_plain / 2 == found.p_wasserstein == found.p_kolmogorov_smirnov


def test_equal_worlds_are_no_surprise() -> None:
    """A distance of 0 is reached by every labeling; all of them tied, half of them count."""
    found = distances(world_distances(cell([1, 2, 3], [1, 2, 3]), np.random.default_rng(0)))

    assert (0, 0.5, 1) == (
        found.kolmogorov_smirnov,
        found.p_kolmogorov_smirnov,
        found.p_kolmogorov_smirnov_plain,
    )
    assert (0, 0.5, 1) == (found.wasserstein, found.p_wasserstein, found.p_wasserstein_plain)


def test_five_pairs_can_be_told_apart_by_the_mid_p_value_alone() -> None:
    """Two of 2^5 labelings are as extreme: 0.06 in full, 0.03 by half."""
    of = cell([2.0, 3.1, 4.3, 5.6, 7.0], [1.0, 2.3, 3.6, 4.7, 5.1])
    found = distances(world_distances(of, np.random.default_rng(0), 20_000))

    assert 2 / 2**5 == pytest.approx(found.p_kolmogorov_smirnov_plain, rel=0.1)
    assert 1 / 2**5 == pytest.approx(found.p_kolmogorov_smirnov, rel=0.1)


def test_ties_of_a_distance_are_broken_by_the_next() -> None:
    """Of draws with one Kolmogorov-Smirnov distance, those of a larger Wasserstein distance are rarer."""
    drawn = np.array([[0.4, 2.0, 1.0], [0.4, 3.0, 0.0], [0.4, 1.0, 5.0], [0.4, 2.0, 1.0], [0.2, 9.0, 9.0]])
    found = distances(drawn)

    assert (0.4, 0.6) == pytest.approx((found.p_kolmogorov_smirnov, found.p_kolmogorov_smirnov_plain))
    assert (0.6, 0.8) == pytest.approx((found.p_wasserstein, found.p_wasserstein_plain))


def test_the_unit_of_barriers_changes_no_p_value() -> None:
    """What is a tie is told from the size of the distances."""
    of = cell([1.0, 2.5, 0.7, 1.9], [0.8, 1.1, 0.6, 1.2])
    tiny = cell(*(list(1e-14 * world) for world in (of.real, of.model)))
    one, other = (distances(world_distances(each, np.random.default_rng(0))) for each in (of, tiny))

    assert one.p_wasserstein == other.p_wasserstein
    assert one.p_kolmogorov_smirnov == other.p_kolmogorov_smirnov
