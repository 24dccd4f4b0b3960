"""What comparisons of the worlds say of tables whose truth is known."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lmc_sweep.analysis.comparison import Comparison, Similarity
from lmc_sweep.analysis.margins import DEFAULT_MARGIN, Margin, margin_from
from lmc_sweep.analysis.similarity import similarity
from lmc_sweep.analysis.similarity_table import similarity_rows
from lmc_sweep.analysis.world_pairs import COLUMNS
from lmc_sweep.errors import SweepError
from tests.support.world_rows import ANNEALING, IDENTITY, world_row, world_rows

CELL, WORLD, METHOD = (COLUMNS.index(name) for name in ("cell_id", "world", "method_json"))


def rows_of(num_cells: int = 6, **other: Any) -> list[tuple[Any, ...]]:
    """Cells of six pairs per world."""
    return world_rows(np.random.default_rng(4), num_cells, 6, **other)


def after_search(found: Similarity) -> Comparison:
    """The overall comparison after annealing."""
    (one,) = (one for one in found.overall if one.method_json == ANNEALING)
    return one


def exact(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The row with the barrier that a method leaves that finds the answer in world ``model``."""
    return row if row[WORLD] == "real" or row[METHOD] == IDENTITY else (*row[:-2], 0.0, 0.0)


def test_the_order_of_rows_changes_nothing() -> None:
    """Draws are named by cells, and pairs are sorted."""
    rows = rows_of()
    found = similarity_rows(similarity(rows, DEFAULT_MARGIN).cells)

    assert found == similarity_rows(similarity(rows[::-1], DEFAULT_MARGIN).cells)


def test_another_seed_draws_other_intervals_about_the_same_difference() -> None:
    """The seed is of the draws alone."""
    first, again, other = (after_search(similarity(rows_of(), DEFAULT_MARGIN, seed)) for seed in (0, 0, 1))
    assert first.difference is not None
    assert again.difference is not None
    assert other.difference is not None

    assert first.difference == again.difference
    assert first.difference.difference.value == other.difference.difference.value
    assert first.difference.difference.low != other.difference.difference.low
    assert first.difference.p_value == other.difference.p_value


def test_exchanged_worlds_turn_the_difference_and_leave_distances() -> None:
    """Nothing but the sign knows which world is which."""
    rows = rows_of(shift=0.3)
    turned = [(*row[:WORLD], "model" if row[WORLD] == "real" else "real", *row[WORLD + 1 :]) for row in rows]
    one, other = (after_search(similarity(of, DEFAULT_MARGIN)) for of in (rows, turned))
    assert one.difference is not None
    assert other.difference is not None
    assert one.distances is not None
    assert other.distances is not None

    assert one.difference.difference.value == pytest.approx(-other.difference.difference.value)
    assert one.difference.p_value == pytest.approx(other.difference.p_value)
    assert one.distances.kolmogorov_smirnov == pytest.approx(other.distances.kolmogorov_smirnov)
    assert one.distances.wasserstein == pytest.approx(other.distances.wasserstein)


def test_a_method_that_solves_our_model_is_not_compared() -> None:
    """Its recovery rate and what it leaves in the real world are told instead."""
    rows = [exact(row) for row in rows_of()]
    one = after_search(similarity(rows, DEFAULT_MARGIN))
    left = [row[-1] for row in rows if row[WORLD] == "real" and row[METHOD] == ANNEALING]

    assert (1.0, 6, 0, "solved") == (one.recovery_rate, one.num_solved_cells, one.num_cells, one.verdict)
    assert (None, None, None) == (one.difference, one.distances, one.over_cells)
    assert np.mean(left) == pytest.approx(one.residual)
    assert one.undefined_because is not None
    assert "solved exactly" in one.undefined_because


def test_cells_that_are_solved_are_left_out_of_the_comparison_and_counted() -> None:
    """Half the cells solved: half the pairs recovered, and the other half compared."""
    rows = [exact(row) if row[CELL] < "cell003" else row for row in rows_of()]
    one = after_search(similarity(rows, DEFAULT_MARGIN))
    compared = [row for row in rows if row[METHOD] == ANNEALING and row[CELL] >= "cell003"]
    means = [np.mean([row[-1] for row in compared if row[WORLD] == world]) for world in ("real", "model")]

    assert (0.5, 3, 3) == (one.recovery_rate, one.num_solved_cells, one.num_cells)
    assert (18, 18) == (one.num_real_pairs, one.num_model_pairs)
    assert means == pytest.approx([one.real_mean, one.model_mean])


def test_a_relative_margin_is_a_share_of_the_barrier_before_search() -> None:
    """The mean over worlds and cells of the barriers of identity."""
    rows = rows_of()
    before = np.mean([row[-1] for row in rows if row[METHOD] == IDENTITY])
    one = after_search(similarity(rows, Margin(0.2, True)))
    absolute = after_search(similarity(rows, Margin(0.2, False)))
    assert one.difference is not None
    assert absolute.difference is not None

    assert 0.2 * before == pytest.approx(one.difference.margin)
    assert 0.2 == pytest.approx(absolute.difference.margin)


def test_without_a_barrier_before_search_there_is_no_relative_margin() -> None:
    """Nor a verdict of equivalence; the remedy is told."""
    rows = [row for row in rows_of() if row[METHOD] != IDENTITY]
    found = similarity(rows, DEFAULT_MARGIN)
    one = after_search(found)
    assert one.difference is not None

    assert (None, None) == (one.difference.margin, one.difference.p_equivalence)
    assert any("--margin 0.01" in line for line in found.missing)


def test_a_shift_within_the_margin_is_equivalent_and_one_beyond_is_different() -> None:
    """A difference that is sure and small is no difference that matters."""
    small = after_search(similarity(rows_of(12, shift=0.1, shared=0.99), Margin(0.5, False)))
    large = after_search(similarity(rows_of(12, shift=1.5, shared=0.99), Margin(0.5, False)))
    assert small.adjusted is not None

    assert ("equivalent", "different") == (small.verdict, large.verdict)
    assert small.adjusted.p_value < 0.05


def test_halves_of_alike_worlds_differ_as_the_worlds_do_and_less_than_shifted_ones() -> None:
    """The ceiling is what likeness looks like at that size."""
    alike = after_search(similarity(rows_of(24), DEFAULT_MARGIN))
    apart = after_search(similarity(rows_of(24, shift=1.0), DEFAULT_MARGIN))
    assert alike.ceiling is not None
    assert alike.at_half is not None
    assert apart.ceiling is not None
    assert apart.at_half is not None

    assert alike.ceiling.kolmogorov_smirnov == pytest.approx(alike.at_half.kolmogorov_smirnov, abs=0.05)
    assert apart.at_half.kolmogorov_smirnov > apart.ceiling.kolmogorov_smirnov + 0.2
    assert apart.at_half.difference == pytest.approx(1.0, abs=0.2)


def test_of_one_pair_the_finest_grid_counts() -> None:
    """A barrier on few alphas is a lower bound of that on many."""
    rows = rows_of()
    coarse = [(*row[:-3], [0.0, 1.0], 0.5, 0.5) for row in rows]

    alone, beside = (similarity(of, DEFAULT_MARGIN).cells for of in (rows, [*coarse, *rows]))
    assert similarity_rows(alone) == similarity_rows(beside)


def test_pairs_that_share_networks_are_one_cluster() -> None:
    """All pairs of five networks that were aligned together are one cluster, and two groups are two."""
    members = [(a, b) for a in range(5) for b in range(a + 1, 5)]
    rows = [
        world_row(
            "cell",
            world,
            group,
            ANNEALING,
            1.0 + 0.1 * a + 0.2 * b + group,
            network_a=f"{group}-{a if world == 'real' else 0}",
            network_b=f"{group}-{b if world == 'real' else 0}",
            member_a=a,
            member_b=b,
        )
        for world in ("real", "model")
        for group in range(2)
        for a, b in members
    ]
    one = after_search(similarity(rows, Margin(0.1, False)))

    assert (20, 20, 2) == (one.num_real_pairs, one.num_model_pairs, one.num_clusters)


def test_a_missing_world_is_told() -> None:
    """With the words of a sweep file that asks for it."""
    found = similarity([row for row in rows_of() if row[WORLD] == "real"], DEFAULT_MARGIN)

    assert (
        "no barriers of world model: a sweep file asks for both by worlds: [real, model]",
    ) == found.missing
    assert 0 == after_search(found).num_cells


def test_networks_that_diverged_are_left_out_and_counted() -> None:
    """Their barriers are null."""
    rows = rows_of()
    rows[-1] = (*rows[-1][:-2], None, None)
    found = similarity(rows, DEFAULT_MARGIN)

    assert "1 barrier left out because a network diverged" in found.missing
    assert 35 == after_search(found).num_model_pairs


def test_nothing_is_nothing() -> None:
    """A store without barriers has no comparisons, and no error."""
    assert Similarity((), (), ()) == similarity([], DEFAULT_MARGIN)


@pytest.mark.parametrize(("text", "margin"), [("10%", DEFAULT_MARGIN), ("0.02", Margin(0.02, False))])
def test_margins_are_read_as_written(text: str, margin: Margin) -> None:
    """A share of the barrier before search, or units of the barrier."""
    found = margin_from(text)

    assert margin.is_relative is found.is_relative
    assert margin.value == pytest.approx(found.value)


@pytest.mark.parametrize("text", ["", "0", "-1%", "nan", "inf", "much"])
def test_impossible_margins_are_refused(text: str) -> None:
    """With what would be possible."""
    with pytest.raises(SweepError, match=r"--margin .*above 0"):
        margin_from(text)


def test_errors_and_losses_are_scaled_each_in_their_way() -> None:
    """Cells far below one example hardly count among errors, and as much as any other among losses."""
    rows = [row if row[CELL] > "cell002" else (*row[:-2], row[-2], 1e-5 * row[-1]) for row in rows_of()]

    of_loss, of_error = (
        after_search(similarity(rows, DEFAULT_MARGIN, quantity=quantity)) for quantity in ("loss", "error")
    )
    others = after_search(similarity([row for row in rows if row[CELL] > "cell002"], DEFAULT_MARGIN))

    assert of_loss.by_rank is not None
    assert of_error.by_rank is not None
    assert others.by_rank is not None
    assert of_error.by_rank.pearson.value == pytest.approx(others.by_rank.pearson.value, abs=1e-3)
    assert of_loss.by_rank.pearson.value != pytest.approx(others.by_rank.pearson.value, abs=1e-3)


def test_a_search_that_leaves_losses_but_no_errors_is_not_called_exact() -> None:
    """Where all errors of our model are 0 and losses are not, it has no spread, and is not solved."""
    rows = [
        row if row[WORLD] == "real" or row[METHOD] == IDENTITY else (*row[:-2], 0.3, 0.0) for row in rows_of()
    ]

    one = after_search(similarity(rows, DEFAULT_MARGIN, quantity="error"))

    assert one.undefined_because == "no spread in our model"
