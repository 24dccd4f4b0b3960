"""The lowest ways between networks, against every way tried."""

from __future__ import annotations

import time
from itertools import pairwise, permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.all_pairs.bottleneck import bottlenecks
from workers.all_pairs.indirect import NO_NETWORK, indirect

MOST_NETWORKS = 6

values = st.one_of(
    st.just(np.nan),
    st.integers(-2, 3).map(lambda value: value / 4),  # ties, zeros, negative midpoint barriers
    st.floats(-1, 1, allow_subnormal=False),
)


@st.composite
def matrices(draw: st.DrawFn) -> np.ndarray:
    """Symmetric, with gaps, equal and negative barriers; whatever on the diagonal."""
    num = draw(st.integers(0, MOST_NETWORKS))
    matrix = np.full((num, num), draw(st.sampled_from([0.0, np.nan, -7.0])))
    for a in range(num):
        for b in range(a):
            matrix[a, b] = matrix[b, a] = draw(values)
    return matrix


def chains(num: int, first: int, last: int) -> list[tuple[int, ...]]:
    """Every chain without repetition from one network to another."""
    others = [network for network in range(num) if network not in (first, last)]
    return [
        (first, *between, last)
        for length in range(len(others) + 1)
        for between in permutations(others, length)
    ]


def height(matrix: np.ndarray, chain: tuple[int, ...]) -> float:
    """The largest barrier on a chain; NaN where one is not known."""
    return float(np.max([matrix[a, b] for a, b in pairwise(chain)]))


@given(matrices())
def test_indirect_barriers_are_the_least_of_every_third_network_tried(matrix: np.ndarray) -> None:
    """With the first of the third networks that reach it, also where barriers are not known or negative."""
    found = indirect(matrix)
    num = len(matrix)
    for a in range(num):
        for c in range(num):
            ways = {b: height(matrix, (a, b, c)) for b in range(num) if a != c and b not in (a, c)}
            known = {b: value for b, value in ways.items() if not np.isnan(value)}
            best = min(known, key=lambda b: known[b]) if known else NO_NETWORK
            assert best == found.intermediates[a, c]
            np.testing.assert_equal(found.heights[a, c], known.get(best, np.nan))


@given(matrices())
def test_bottlenecks_are_the_least_of_every_chain_tried(matrix: np.ndarray) -> None:
    """With the fewest legs of the chains that are as low."""
    found = bottlenecks(matrix)
    num = len(matrix)
    for a in range(num):
        for c in range(num):
            ways = [(height(matrix, chain), len(chain) - 1) for chain in chains(num, a, c)] if a != c else []
            best, legs = min([way for way in ways if not np.isnan(way[0])], default=(np.nan, 0))
            np.testing.assert_equal(found.heights[a, c], best)
            assert legs == found.num_legs[a, c]


@given(matrices())
def test_no_bottleneck_is_above_a_direct_or_an_indirect_barrier(matrix: np.ndarray) -> None:
    """Chains of one leg and of two are among those it is the least of; inputs are unchanged."""
    before = matrix.copy()
    lowest, third = bottlenecks(matrix).heights, indirect(matrix).heights
    pairs = ~np.eye(len(matrix), dtype=bool)

    assert not (lowest > third).any()
    assert not (lowest > matrix)[pairs].any()
    np.testing.assert_array_equal(np.isnan(lowest) & pairs, np.isnan(lowest) & np.isnan(third) & pairs)
    np.testing.assert_array_equal(before, matrix)


def test_a_chain_of_many_legs_is_found() -> None:
    """Of fifty networks in a row of low barriers, all others high, the ends are 49 legs apart."""
    matrix = np.full((50, 50), 1.0)
    for network in range(49):
        matrix[network, network + 1] = matrix[network + 1, network] = 0.01 * network
    found = bottlenecks(matrix)

    assert 49 == found.num_legs[0, 49]
    assert 0.48 == pytest.approx(found.heights[0, 49])


def test_a_hundred_networks_take_milliseconds() -> None:
    """Far less than measuring one of their barriers, however they are drawn."""
    noise = np.random.default_rng(0).random((100, 100))
    matrix = noise + noise.T
    start = time.process_time()
    for _ in range(10):
        indirect(matrix)
        bottlenecks(matrix)

    assert time.process_time() - start < 10 * 0.1


@pytest.mark.parametrize(
    ("matrix", "told"),
    [
        (np.array([[0.0, 1.0], [2.0, 0.0]]), "not symmetric"),
        (np.array([[0.0, np.nan], [2.0, 0.0]]), "not symmetric"),
        (np.array([[0.0, np.inf], [np.inf, 0.0]]), "infinity"),
    ],
)
def test_what_is_no_matrix_of_barriers_is_refused(matrix: np.ndarray, told: str) -> None:
    """By its asymmetry, or an infinite barrier."""
    for search in (indirect, bottlenecks):
        with pytest.raises(ValueError, match=told):
            search(matrix)
