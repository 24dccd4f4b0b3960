"""Tables that compare methods of search, from small tables of known barriers."""

from __future__ import annotations

import json

import numpy as np
import pytest

from lmc_sweep.analysis.intervals import mean_with_interval
from lmc_sweep.analysis.method_labels import method_labels
from lmc_sweep.analysis.search_rows import Place, finest, same_pairs
from lmc_sweep.analysis.searches import gap_table, method_table, recovery_table
from lmc_sweep.analysis.traces import Trace, mean_best
from tests.support.search_rows import BRUTE, IDENTITY, MATCHING, ORACLE, annealing, row


def test_methods_are_compared_on_the_pairs_that_all_of_them_measured() -> None:
    """Annealing lacks pair 2 and matching diverged on pair 1: pair 0 alone is left, two were dropped."""
    rows = [row(IDENTITY, pair, 0.4) for pair in range(3)]
    rows += [row(MATCHING, 0, 0.2), row(MATCHING, 1, None), row(MATCHING, 2, 0.0)]
    rows += [row(annealing(100), 0, 0.1), row(annealing(100), 1, 0.1)]

    kept, num_dropped = same_pairs(rows)

    assert 2 == num_dropped
    assert {rows[0].pair} == {one.pair for one in kept}
    assert 3 == len(kept)


def test_a_method_of_one_width_takes_no_pairs_from_another() -> None:
    """Brute force at width 4 alone does not empty the comparison at width 64."""
    rows = [row(IDENTITY, 0, 0.4, width=width) for width in (4, 64)] + [row(BRUTE, 0, 0.1, width=4)]

    assert (rows, 0) == same_pairs(rows)


def test_of_a_pair_measured_twice_the_finer_grid_counts() -> None:
    """Two sweeps with different grids make one row, whatever their order."""
    coarse = row(IDENTITY, 0, 0.4)
    fine = row(IDENTITY, 0, 0.5, alphas=[0.0, 0.25, 0.5, 0.75, 1.0])

    assert [fine] == finest([coarse, fine]) == finest([fine, coarse])


def test_the_table_tells_barriers_before_and_after_time_and_ends() -> None:
    """Means over the two pairs; the barrier before is that of the same pairs."""
    rows = [row(IDENTITY, 0, 0.4), row(IDENTITY, 1, 0.6), row(IDENTITY, 2, 9.0)]
    rows += [row(MATCHING, 0, 0.1, align_seconds=1.0, num_evaluations=10, outcome="converged")]
    rows += [row(MATCHING, 1, 0.3, align_seconds=3.0, num_evaluations=30, outcome="max_seconds")]

    table, num_dropped = method_table(rows)
    matching = next(found for found in table if found.label == "weight matching")

    assert 1 == num_dropped
    assert matching.before is not None
    assert pytest.approx(0.5) == matching.before.value
    assert pytest.approx(0.2) == matching.after.value
    assert (2.0, 20.0) == (matching.seconds, matching.num_evaluations)
    assert {"converged": 1, "max_seconds": 1} == matching.outcomes


def test_pairs_of_five_networks_are_one_search() -> None:
    """Ten barriers of one alignment count its time once; with one group there is no interval."""
    members = [(a, b) for a in range(5) for b in range(a + 1, 5)]
    rows = [row(IDENTITY, 0, 0.1 * a, num_networks=5, member_a=a, member_b=b) for a, b in members]

    ((found,), _) = method_table(rows)

    assert {"steps_done": 1} == found.outcomes
    assert (10, None, None) == (found.after.num_values, found.after.low, found.after.high)


def test_an_interval_draws_whole_clusters() -> None:
    """Two clusters of equal values: each draw is one of three means, and the interval reaches both ends."""
    mean = mean_with_interval([0.0] * 5 + [1.0] * 5, clusters=["a"] * 5 + ["b"] * 5)

    assert (0.5, 0.0, 1.0) == (mean.value, mean.low, mean.high)


def test_an_interval_holds_the_mean_and_repeats() -> None:
    """The same values give the same interval, wider where they vary more."""
    values = np.random.default_rng(0).normal(size=20)
    narrow, wide = mean_with_interval(values), mean_with_interval(3 * values)

    assert narrow == mean_with_interval(values)
    assert narrow.low is not None
    assert narrow.high is not None
    assert narrow.low < narrow.value < narrow.high
    assert pytest.approx(3 * sum(narrow.reach)) == sum(wide.reach)


def test_recovery_is_told_by_noise_with_the_height_above_the_oracle() -> None:
    """Half of the units back without noise on two pairs, one complete; 0.2 above the oracle at noise 1."""
    rows = [row(ORACLE, pair, 0.1, planted_noise=1.0, recovered=1.0) for pair in (0, 1)]
    rows += [row(MATCHING, pair, 0.3, planted_noise=1.0, recovered=share) for pair, share in ((0, 0), (1, 1))]
    rows += [row(IDENTITY, 0, 0.3)]

    table, num_dropped = recovery_table(rows)
    matching = next(found for found in table if found.label == "weight matching")

    assert 0 == num_dropped
    assert 2 == len(table)
    assert (1.0, 0.5, 1, 2) == (
        matching.noise,
        matching.recovered.value,
        matching.num_complete,
        matching.num_searches,
    )
    assert matching.above_oracle is not None
    assert pytest.approx(0.2) == matching.above_oracle.value


def test_gaps_are_to_the_brute_force_that_looked_at_everything() -> None:
    """Matching is 0.1 above the optimum on one pair, at it on the other; other brute forces do not count."""
    rows = [row(BRUTE, pair, 0.2, outcome="exact") for pair in (0, 1)]
    rows += [row(MATCHING, 0, 0.2), row(MATCHING, 1, 0.3)]
    rows += [row({**BRUTE, "num_examples": 100}, pair, 0.0, outcome="exact") for pair in (0, 1)]
    rows += [row(BRUTE, 0, 0.2, width=8, outcome="max_seconds"), row(MATCHING, 0, 0.3, width=8)]

    table, _ = gap_table(rows, "midpoint_error")
    matching = next(found for found in table if found.label == "weight matching")

    assert pytest.approx(0.05) == matching.gap.value
    assert (1, 2) == (matching.num_optimal, matching.num_pairs)
    assert {16} == {found.place.width for found in table}
    assert ([], 0) == gap_table(rows, "midpoint_loss")


def test_methods_are_named_by_what_differs() -> None:
    """Steps where only they differ, the start where a result is refined, nothing where one is alone."""
    refined = annealing(100, start={"method": "weight_matching", "restarts": 5})
    specs = [IDENTITY, annealing(100), annealing(50_000), refined, {**annealing(10), "start": "random"}]

    labels = method_labels(map(json.dumps, specs))

    assert [
        "before alignment",
        "annealing (100 steps)",
        "annealing (50,000 steps)",
        "annealing from weight matching",
        "annealing from random",
    ] == [labels[json.dumps(spec)] for spec in specs]


def test_bounds_are_named_where_there_are_some() -> None:
    """The search without a bound or on all examples is not called after what it lacks."""
    specs = [annealing(10, max_seconds=bound, num_examples=num) for bound, num in ((None, None), (2.0, 5000))]

    labels = method_labels(map(json.dumps, specs))

    assert ["annealing (all examples)", "annealing (at most 2 s, 5,000 examples)"] == list(labels.values())


def test_two_starts_by_one_method_are_told_apart() -> None:
    """The options of the refined method, where they differ."""
    specs = [annealing(100, start={"method": "weight_matching", "restarts": n}) for n in (1, 5)]

    labels = method_labels(map(json.dumps, specs))

    assert [f"annealing from weight matching (its restarts {n})" for n in (1, 5)] == list(labels.values())


def test_what_a_start_does_not_bound_is_not_named() -> None:
    """The one of two starts that has no bound is called by its name alone."""
    specs = [
        annealing(100, start={"method": "weight_matching", "max_sweeps": bound, "restarts": 1})
        for bound in (None, 20)
    ]

    labels = method_labels(map(json.dumps, specs))

    name = "annealing from weight matching"
    assert [name, f"{name} (its max sweeps 20)"] == list(labels.values())


def trace(evaluations: list[float], best: list[float]) -> Trace:
    """A chain with these points."""
    points = np.array(evaluations, dtype=float)
    values = np.array(best, dtype=float)
    place = Place("mnist", "mlp", 16, 1, 2)
    method = json.dumps(annealing(10))
    return Trace("a", place, "midpoint_error", method, 0, points, points, values, values)


def test_the_mean_best_keeps_what_a_chain_has_found() -> None:
    """Between points the earlier best counts, after its end a chain's last; never what comes later."""
    grid, best = mean_best([trace([1, 10, 100], [4, 2, 1]), trace([1, 10], [4, 2])], "evaluations")

    assert (1.0, 100.0) == (pytest.approx(grid[0]), pytest.approx(grid[-1]))
    assert {4.0} == set(best[grid < 9.99])
    assert {2.0} == set(best[(grid > 10.01) & (grid < 99.9)])
    assert pytest.approx(1.5) == best[-1]
    assert (np.diff(best) <= 0).all()


def test_traces_without_points_have_no_mean() -> None:
    """A search that ended before its first step draws nothing."""
    grid, best = mean_best([trace([], []), trace([0], [1])], "seconds")

    assert (0, 0) == (len(grid), len(best))
