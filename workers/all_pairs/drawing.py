"""Which pairs of networks are looked at: all of them, or independent draws."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from workers.seeding import derive_seed

Pair = tuple[int, int]
"""Positions of two networks, the first before the second."""


def all_pairs(num_networks: int) -> list[Pair]:
    """Every pair once, in the order of ``itertools.combinations``."""
    return list(itertools.combinations(range(num_networks), 2))


def drawn_pairs(network_ids: Sequence[str], num_pairs: int, seed: int) -> list[Pair]:
    """Pairs drawn one by one, each of one network from either of two halves.

    The networks are divided at random into two sets, of each two that follow one another one in either;
    for every pair a network is drawn uniformly from each set, whatever was drawn before. So the pairs are
    independent and alike once the networks are given, and a pair may come twice.

    All follows from the seed and the networks' ids. A network that is added at the end takes its share of
    the draws, one of as many as its set then has, and leaves the others as they are.

    Args:
        network_ids: At least two, each once.
        num_pairs: How many are drawn.
        seed: Of the division and of the draws.

    Returns:
        Positions in ``network_ids``.

    Source:
        Entezari et al. 2021, appendix E.3.
    """
    sets = divided(network_ids, seed)
    assert all(sets)
    found = []
    for number in range(num_pairs):
        one, other = (_drawn(network_ids, of_set, (seed, number, side)) for side, of_set in enumerate(sets))
        found.append((min(one, other), max(one, other)))
    return found


def divided(network_ids: Sequence[str], seed: int) -> tuple[list[int], list[int]]:
    """Positions of the networks in two sets, whose sizes differ by one at most."""
    sets: tuple[list[int], list[int]] = ([], [])
    for first in range(0, len(network_ids), 2):
        side = derive_seed("all_pairs_division", seed, network_ids[first]) % 2
        sets[side].append(first)
        if first + 1 < len(network_ids):
            sets[1 - side].append(first + 1)
    return sets


def _drawn(network_ids: Sequence[str], of_set: Sequence[int], name: tuple[int, int, int]) -> int:
    """The member to which the stream gives the least number: each with the same chance."""
    return min(of_set, key=lambda position: derive_seed("all_pairs_draw", *name, network_ids[position]))
