"""Correlations within cells: what joins the pairs, what is taken away, and what is left."""

from __future__ import annotations

import numpy as np
import pytest

from lmc_sweep.analysis.agreement import SOLVED
from lmc_sweep.analysis.pairing import paired
from lmc_sweep.analysis.within_cells import (
    Within,
    joined_by_network,
    joined_by_rank,
    least_level,
    moments,
    pooled,
    within,
)
from lmc_sweep.analysis.world_pairs import CellBarriers
from tests.support.world_rows import skewed

NUM_CELLS, NUM_PAIRS = 60, 6
IS_REAL = np.repeat([True, False], NUM_PAIRS)
WORLDS = (IS_REAL[:, None], ~IS_REAL[:, None])


def cell(real: np.ndarray, model: np.ndarray) -> CellBarriers:
    """A cell whose real pair k and model pair k share a network."""
    return CellBarriers(
        cell_id="c",
        subject=("digits", "mlp", 16, 1, 0.0),
        values=np.concatenate([real, model]),
        is_real=IS_REAL,
        clusters=np.tile(np.arange(NUM_PAIRS), 2),
        model_losses=np.asarray(model, dtype=np.float64),
        num_examples=1000,
    )


def cells(shared: float = 0.0, seed: int = 0) -> list[CellBarriers]:
    """Cells whose pairs of one number go together in the two worlds, with correlation ``shared``."""
    drawn = skewed(np.random.default_rng(seed), (NUM_CELLS, NUM_PAIRS), shared)
    return [cell(of[:, 0], of[:, 1]) for of in drawn]


def by_rank(found: list[CellBarriers]) -> Within:
    """The coefficients by rank, which must be there."""
    made = within([moments(joined_by_rank(of.values, *WORLDS)) for of in found], np.random.default_rng(1))
    assert made is not None
    return made


def by_network(found: list[CellBarriers]) -> Within:
    """The coefficients by network, which must be there."""
    made = within([moments(joined_by_network(of)) for of in found], np.random.default_rng(1))
    assert made is not None
    return made


def test_ranks_are_joined_as_in_the_density_plot() -> None:
    """Equal and unequal numbers of pairs give the points that the figure draws."""
    values = np.random.default_rng(0).random(11)
    for size in (5, 6, 8):
        first = np.arange(11) < size
        found = joined_by_rank(values, first[:, None], ~first[:, None])
        np.testing.assert_allclose(paired(values[first], values[~first], "rank"), found[0])


def test_equal_worlds_agree_wholly() -> None:
    """Where both worlds hold the same barriers, everything is 1, with nothing to doubt."""
    found = by_rank([cell(of.real, of.real) for of in cells()])
    assert (1.0, 1.0, 1.0) == pytest.approx((found.pearson.value, found.pearson.low, found.concordance.low))


def test_levels_and_units_of_cells_change_nothing() -> None:
    """Cells a thousand times as high as others weigh as much as they did."""
    plain = cells()
    scaled = [cell(of.real * 1000.0 ** (k % 3), of.model * 1000.0 ** (k % 3)) for k, of in enumerate(plain)]
    assert by_rank(plain).pearson.value == pytest.approx(by_rank(scaled).pearson.value)
    assert by_network(plain).concordance.value == pytest.approx(by_network(scaled).concordance.value)


def test_a_shift_between_the_worlds_lowers_the_concordance_alone() -> None:
    """A world that lies higher in every cell is as correlated, and agrees less."""
    plain, shifted = cells(), [cell(of.real, 1.0 + of.model) for of in cells()]
    assert by_rank(shifted).pearson.value == pytest.approx(by_rank(plain).pearson.value, abs=0.02)
    assert by_rank(shifted).concordance.value < by_rank(plain).concordance.value - 0.3


def test_by_network_shows_what_pairs_share_and_by_rank_does_not() -> None:
    """Independent pairs: 0 lies in the interval by network, whereas ranks rise together all the same."""
    apart, together = by_network(cells()), by_network(cells(shared=0.6))
    assert apart.pearson.low < 0 < apart.pearson.high
    assert together.pearson.low < 0.6 < together.pearson.high
    assert by_rank(cells()).pearson.value > 0.6


def test_halves_of_one_distribution_reach_what_two_worlds_of_it_do() -> None:
    """By rank, two alike worlds at half the size are as alike as halves of the real world, to 0.06."""
    of_worlds, of_ceiling = np.zeros(4), np.zeros(4)
    for drawn in (one for seed in range(20) for one in cells(seed=seed)):
        real, model = drawn.real, drawn.model
        halves = np.concatenate([real[:3], real[3:]]), np.concatenate([real[:3], model[3:]])
        first = (np.arange(6) < 3)[:, None]
        of_ceiling += moments(joined_by_rank(halves[0], first, ~first))[0]
        of_worlds += moments(joined_by_rank(halves[1], first, ~first))[0]
    assert pooled(of_ceiling[None])[0] == pytest.approx(pooled(of_worlds[None])[0], abs=0.06)


def test_cells_without_a_barrier_say_nothing() -> None:
    """Cells at 0 are left out, and too few others give no coefficient at all."""
    empty = [cell(np.zeros(NUM_PAIRS), np.zeros(NUM_PAIRS)) for _ in range(5)]
    assert by_rank(cells()).pearson.value == pytest.approx(by_rank([*cells(), *empty]).pearson.value)
    few = [moments(joined_by_rank(of.values, *WORLDS)) for of in [*empty, *cells()[:2]]]
    assert within(few, np.random.default_rng(0)) is None


def test_errors_are_measured_in_one_example_at_least() -> None:
    """Of 1,000 examples, a cell whose mean is a tenth of one weighs as if it were one whole example."""
    points = np.array([[[0.0, 0.0], [0.0, 0.0002], [0.0001, 0.0003]]])

    assert 1 / 1000 == least_level(1000, "error")
    assert SOLVED == least_level(1000, "loss")
    of_level, of_example = moments(points), moments(points, least_level(1000, "error"))
    assert of_example == pytest.approx(of_level * (points.mean() / 0.001) ** 2)


def test_cells_above_one_example_are_as_they_were() -> None:
    """The least level changes nothing where the mean lies above it."""
    points = np.array([[[0.1, 0.2], [0.3, 0.2], [0.2, 0.5]]])

    assert (moments(points) == moments(points, least_level(1000, "error"))).all()
