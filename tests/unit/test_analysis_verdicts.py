"""Verdicts: a statistic with its interval against a claim's bounds."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

from lmc_sweep.analysis.claims import Accept, Claim, Printed
from lmc_sweep.analysis.verdicts import judged, overall


def rows(means: dict[float, float], part: str = "mnist", spread: float = 0.01, **other: Any) -> list[Any]:
    """Five pairs at every place, their values spread evenly about the mean."""
    return [
        {"part": part, "x": x, "pair": f"{part} {x} {k}", "value": mean + spread * (k - 2), **other}
        for x, mean in means.items()
        for k in range(5)
    ]


def claim(statistic: str, low: float | None = None, high: float | None = None, **other: Any) -> Claim:
    """A claim with bounds."""
    accept = None if low is None and high is None else Accept(low, high)
    return Claim("c", "figure", "claim", statistic=statistic, query="SELECT", accept=accept, **other)


def verdict(told: Claim, given: Sequence[Any]) -> str:
    """Of the only part."""
    (part,) = judged(told, given)
    return part.verdict


def test_inside_holds_and_outside_fails() -> None:
    """A mean of 0.2 with a narrow interval is at most 0.3, and not at most 0.1."""
    assert "holds" == verdict(claim("mean", high=0.3), rows({1: 0.2}))
    assert "fails" == verdict(claim("mean", high=0.1), rows({1: 0.2}))


def test_a_bound_in_the_interval_leaves_it_open() -> None:
    """A mean of 0.2 with pairs from 0 to 0.4 tells nothing of at most 0.21, and is shown."""
    (part,) = judged(claim("mean", high=0.21), rows({1: 0.2}, spread=0.1))
    assert "not measured" == part.verdict
    assert "a bound lies in the interval: more pairs would tell" == part.why
    assert part.interval is not None
    assert part.interval[0] < 0.2 < 0.21 < part.interval[1]


def test_one_pair_has_no_interval() -> None:
    """A single pair gives a value, and no verdict."""
    (part,) = judged(claim("mean", high=0.3), rows({1: 0.2})[:1])
    assert part.measured is not None
    assert ("not measured", None) == (part.verdict, part.interval)
    assert "one pair" in part.why


def test_pairs_that_share_networks_give_no_interval() -> None:
    """Five pairs of which each shares a network with the next are one draw; apart they give a verdict."""
    apart = [{**row, "networks": (f"{2 * k}", f"{2 * k + 1}")} for k, row in enumerate(rows({1: 0.2}))]
    chained = [{**row, "networks": (f"{k}", f"{k + 1}")} for k, row in enumerate(rows({1: 0.2}))]
    assert judged(claim("mean", high=0.3), rows({1: 0.2})) == judged(claim("mean", high=0.3), apart)
    (part,) = judged(claim("mean", high=0.3), chained)
    assert ("not measured", None, 5) == (part.verdict, part.interval, part.num_pairs)
    assert "share networks" in part.why


def test_the_papers_parts_that_are_absent_are_told() -> None:
    """Parts come in the paper's order, further ones after them, those without barriers last."""
    told = claim("mean", high=0.3, parts=("svhn", "mnist", "cifar10"))
    parts = judged(told, [*rows({1: 0.2}, "digits"), *rows({1: 0.2}), *rows({1: 0.5}, "svhn")])
    assert ["svhn", "mnist", "digits", "cifar10"] == [part.part for part in parts]
    assert ["fails", "holds", "holds", "not measured"] == [part.verdict for part in parts]
    assert ("fails", "holds", "not measured") == (overall(parts), overall(parts[1:]), overall(parts[3:]))


def test_printed_values_are_held_point_by_point() -> None:
    """With statistic each, every place is a part with the value printed for it."""
    printed = (Printed(0.4, "mnist", 10.0), Printed(0.2, "mnist", 100.0), Printed(0.1, "mnist", 1000.0))
    told = claim("each", tolerance=0.25, printed=printed)
    parts = judged(told, rows({10: 0.42, 100: 0.05}))
    assert [0.4, 0.2, 0.1] == [part.printed for part in parts]
    assert ["holds", "fails", "not measured"] == [part.verdict for part in parts]


FALL = {4: 0.1, 8: 0.4, 16: 0.6, 32: 0.3, 64: 0.06}


def fitted(least: float) -> list[Any]:
    """A barrier that rises and falls, and networks that fit from a width on."""
    return [{**row, "fits": row["x"] >= least} for row in rows(FALL)]


@pytest.mark.parametrize(
    ("least", "expected"), [(16, "holds"), (32, "holds"), (8, "holds"), (4, "fails"), (64, "fails")]
)
def test_the_peak_is_held_against_the_threshold(least: float, expected: str) -> None:
    """A peak at the width that first fits, or a step beside it, holds; two steps away, it fails."""
    assert expected == verdict(claim("peak_from_fit", -1, 1), fitted(least))


@pytest.mark.parametrize(("first", "expected"), [(4, "not measured"), (8, "not measured"), (16, "fails")])
def test_a_barrier_that_only_falls_shows_no_peak(first: float, expected: str) -> None:
    """Highest at the end of the grid, where networks begin to fit: no peak was seen; elsewhere it fails."""
    falling = [{**row, "fits": row["x"] >= first} for row in rows({4: 0.6, 8: 0.4, 16: 0.3, 32: 0.1})]
    assert expected == verdict(claim("peak_from_fit", -1, 1), falling)


def test_a_correlation_of_few_points_is_uncertain() -> None:
    """However sure the means, a correlation of five scattered points tells little: its points are drawn."""
    scattered = rows({1: 0.2, 2: 0.5, 3: 0.1, 4: 0.4, 5: 0.3})
    assert "not measured" == verdict(claim("correlation", 0.5), scattered)


def test_without_a_width_that_fits_there_is_no_threshold() -> None:
    """Where no networks fit their training examples, the peak is not measured."""
    (part,) = judged(claim("peak_from_fit", -1, 1), fitted(1000))
    assert ("not measured", "no point fits its training examples") == (part.verdict, part.why)


@pytest.mark.parametrize(
    ("statistic", "expected"),
    [
        ("mean", 0.292),
        ("smallest", 0.06),
        ("largest", 0.6),
        ("last_to_first", 0.6),
        ("last_minus_first", -0.04),
        ("last_to_peak", 0.1),
        ("rank_correlation", -0.3),
        ("correlation", float(np.corrcoef(list(FALL), list(FALL.values()))[0, 1])),
        ("tenfold", (0.1 / 0.06) ** (1 / np.log10(16))),
    ],
)
def test_statistics_of_a_line(statistic: str, expected: float) -> None:
    """Each statistic of a line that rises to 0.6 and falls to 0.06 is what its definition says."""
    (part,) = judged(claim(statistic, low=-10), rows(FALL, spread=0.0))
    assert expected == pytest.approx(part.measured)


def powers(*exponents: float) -> list[Any]:
    """One pair for each exponent, its values at three places that power of x."""
    return [
        {"part": "d = 2", "x": x, "pair": pair, "value": 0.1 * x**exponent}
        for pair, exponent in enumerate(exponents)
        for x in (32, 128, 512)
    ]


def test_an_exponent_needs_pairs_that_agree() -> None:
    """Two pairs that both fall, one twice as fast, decide nothing; five that fall about alike do."""
    falls = claim("exponent", high=0.0)
    (part,) = judged(falls, powers(-0.1, -0.2))
    assert ("not measured", 2) == (part.verdict, part.num_pairs)
    assert -0.15 == pytest.approx(part.measured)
    assert part.interval is not None
    assert part.interval[0] < 0 < part.interval[1]
    assert "holds" == verdict(falls, powers(-0.2, -0.25, -0.3, -0.22, -0.28))
    assert "fails" == verdict(falls, powers(0.2, 0.25, 0.3, 0.22, 0.28))
    (part,) = judged(falls, powers(-0.2))
    assert ("not measured", None) == (part.verdict, part.interval)
    assert "one pair" in part.why


def test_sides_are_compared_where_both_are() -> None:
    """The ratio of 0.3 to 0.2 is 1.5, whatever stands at a place that only one side has."""
    first, second = rows({1: 0.3, 2: 9.0}, side="first"), rows({1: 0.2}, side="second")
    (part,) = judged(claim("side_ratio", high=2), [*first, *second])
    assert 1.5 == pytest.approx(part.measured)
    (part,) = judged(claim("side_ratio", high=2), first)
    assert "no place has barriers on both sides" == part.why


def test_the_same_pairs_on_both_sides_are_drawn_together() -> None:
    """Where a method halves every pair's barrier, the ratio has no width, however the pairs differ."""
    before = rows({1: 0.3}, spread=0.1, side="second")
    after = [{**row, "value": row["value"] / 2, "side": "first"} for row in before]
    (part,) = judged(claim("side_ratio", high=0.8), [*before, *after])
    assert part.interval == pytest.approx((0.5, 0.5))


def test_nothing_to_divide_by_is_undefined() -> None:
    """Barriers of 0 on both sides have no ratio, and are not said to be alike."""
    zero = [*rows({1: 0.0}, spread=0, side="first"), *rows({1: 0.0}, spread=0, side="second")]
    (part,) = judged(claim("side_ratio", 0.8, 1.25), zero)
    assert "not measured" == part.verdict
    assert part.why.startswith("undefined")


def test_null_values_are_left_out() -> None:
    """The barrier of a pair that diverged counts for nothing."""
    (part,) = judged(claim("mean", high=0.3), [*rows({1: 0.2}), {**rows({1: 0.2})[0], "value": None}])
    assert 5 == part.num_pairs


def test_a_part_tells_how_it_was_measured() -> None:
    """The different notes of its rows, each once; without such a column, nothing."""
    noted = [*rows({1: 0.2}, note="after 10 steps"), *rows({2: 0.2}, note="after 20 steps")]

    assert ["after 10 steps; after 20 steps"] == [part.note for part in judged(claim("mean", high=1), noted)]
    assert [""] == [part.note for part in judged(claim("mean", high=1), rows({1: 0.2}))]
