"""Independent draws of pairs, and the ways between the networks of listed pairs."""

from __future__ import annotations

from collections import Counter

import numpy as np

from workers.all_pairs.drawing import all_pairs, divided, drawn_pairs
from workers.all_pairs.ways import ways

NAMES = [f"network{k}" for k in range(20)]


def test_a_draw_joins_the_two_halves() -> None:
    """Every pair has a network of either set, the first listed one first."""
    one, other = divided(NAMES, seed=0)
    for a, b in drawn_pairs(NAMES, 200, seed=0):
        assert a < b
        assert {a, b} & set(one)
        assert {a, b} & set(other)

    assert 10 == len(one) == len(other)
    assert set(range(20)) == {*one, *other}


def test_all_members_of_a_set_are_drawn_as_often() -> None:
    """Of 4,000 draws from sets of ten each is drawn 400 times, within five standard deviations."""
    counts = Counter(position for pair in drawn_pairs(NAMES, 4000, seed=3) for position in pair)

    assert 20 == len(counts)
    assert all(abs(count - 400) < 5 * (4000 * 0.1 * 0.9) ** 0.5 for count in counts.values())


def test_draws_do_not_depend_on_one_another() -> None:
    """More pairs leave those before as they are; another seed draws others."""
    assert drawn_pairs(NAMES, 50, seed=0) == drawn_pairs(NAMES, 90, seed=0)[:50]
    assert drawn_pairs(NAMES, 50, seed=0) != drawn_pairs(NAMES, 50, seed=1)


def test_networks_that_are_added_take_their_share_of_the_draws_alone() -> None:
    """With two more of twenty, a draw changes only where a new one comes in: one end of eleven, about."""
    before = drawn_pairs(NAMES, 2000, seed=0)
    after = drawn_pairs([*NAMES, "more", "yet more"], 2000, seed=0)
    changed = [pair for old, pair in zip(before, after, strict=True) if old != pair]

    assert all(pair[1] >= 20 for pair in changed)
    assert 0.13 < len(changed) / 2000 < 0.22  # 1 - (10 / 11) ** 2 is 0.174


def test_of_all_pairs_each_comes_once() -> None:
    """In the order of combinations."""
    assert [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)] == all_pairs(4)


def test_ways_of_listed_pairs_pass_over_known_barriers_alone() -> None:
    """a-b 0.1, b-c 0.2, a-c 0.5, c-d unknown: a-c is 0.2 by b, in two legs; nothing leads to d."""
    found = ways(4, [(0, 1), (1, 2), (0, 2), (2, 3)], [0.1, 0.2, 0.5, None])

    np.testing.assert_array_equal(found.indirect, [0.5, 0.5, 0.2, np.nan])
    np.testing.assert_array_equal(found.intermediates, [2, 0, 1, -1])
    np.testing.assert_array_equal(found.bottlenecks, [0.1, 0.2, 0.2, np.nan])
    np.testing.assert_array_equal(found.num_legs, [1, 1, 2, 0])


def test_pairs_between_two_halves_have_no_third_network() -> None:
    """A third network would have to be of both halves; chains of three legs there are."""
    pairs = drawn_pairs(NAMES, 60, seed=0)
    found = ways(20, pairs, [0.5 + 0.01 * (a + b) for a, b in pairs])

    assert np.isnan(found.indirect).all()
    assert {1, 3} <= set(found.num_legs.tolist())
    assert not (found.num_legs % 2 == 0).any()
