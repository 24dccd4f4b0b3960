"""Counts of permutation points, against enumeration and against what the paper prints."""

from __future__ import annotations

from collections.abc import Callable
from fractions import Fraction
from itertools import product
from math import factorial

import pytest

from workers.permutation_points import counts

ALL = [(order, width) for width in range(2, 8) for order in range(1, width)]


@pytest.mark.parametrize(("order", "width"), ALL)
def test_counts_are_those_of_listing_every_assignment(order: int, width: int) -> None:
    """T(K, n) n! is the number of ways to give n neurons exactly n - K vectors, listed one by one."""
    distinct = width - order
    listed = sum(len(set(given)) == distinct for given in product(range(distinct), repeat=width))
    assert Fraction(listed, factorial(width)) == counts.points_per_minimum(order, width)


@pytest.mark.parametrize(("order", "width"), [*ALL, (3, 40), (7, 30), (12, 24), (20, 21)])
def test_closed_form_equals_sum_over_partitions(order: int, width: int) -> None:
    """The closed form and the paper's argument by partitions give the same fraction."""
    assert counts.points_by_enumeration(order, width) == counts.points_per_minimum(order, width)


@pytest.mark.parametrize("order", [1, 2, 3])
@pytest.mark.parametrize("width", [4, 5, 6, 7, 31, 512])
def test_printed_forms_hold(order: int, width: int) -> None:
    """Proposition 3 (i) is exact, at width 512 as well."""
    assert counts.printed_points(order, width) == counts.points_per_minimum(order, width)


def test_small_cases_are_as_the_paper_draws_them() -> None:
    """T(1, 3) = 1 as in figure 6, and T(1, 4) = 3/2 is no whole number."""
    assert Fraction(1) == counts.points_per_minimum(1, 3)
    assert Fraction(3, 2) == counts.points_per_minimum(1, 4)


@pytest.mark.parametrize(("order", "width"), [*ALL, (5, 512), (100, 512)])
def test_lower_bound_is_below(order: int, width: int) -> None:
    """Proposition 3 (ii), with equality at order 1 alone."""
    bound, exact = counts.fewest_points(order, width), counts.points_per_minimum(order, width)
    assert (bound == exact) == (order == 1)
    assert bound <= exact


@pytest.mark.parametrize("order", [1, 2, 3, 5])
def test_ratio_tends_to_its_limit(order: int) -> None:
    """T(K, n) / n^K comes within 2 K^2 / n of 1 / (2^K K!), not of the constant that lemma 2 prints."""
    for width in (100, 1000):
        reached = counts.points_per_minimum(order, width) / width**order
        assert abs(reached / counts.limit_of_points(order) - 1) < Fraction(2 * order**2, width)


def test_totals_are_integers_over_layers() -> None:
    """Lemma 3 for layers of 3 and 4: (1 + 3/2) 3! 4! = 360; a layer of one neuron adds none."""
    assert 360 == counts.num_points(1, [3, 4])
    assert counts.num_points(1, [3, 4]) == counts.num_points(1, [3, 1, 4])
    assert 144 == counts.num_minima([3, 4])


@pytest.mark.parametrize(
    "count", [counts.points_per_minimum, counts.points_by_enumeration, counts.fewest_points]
)
@pytest.mark.parametrize(("order", "width"), [(0, 4), (4, 4), (9, 4)])
def test_impossible_orders_are_refused(count: Callable[[int, int], Fraction], order: int, width: int) -> None:
    """An order below one, and one that leaves no vector, are refused with the rule."""
    with pytest.raises(ValueError, match="order"):
        count(order, width)


def test_forms_beyond_those_printed_are_refused() -> None:
    """The paper prints no form for order 4."""
    with pytest.raises(ValueError, match="printed"):
        counts.printed_points(4, 9)
