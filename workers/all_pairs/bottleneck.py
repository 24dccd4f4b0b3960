"""The lowest chains of any length between two networks."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Float64, Int64

from workers.all_pairs.indirect import known_legs


@dataclass(frozen=True)
class Bottlenecks:
    """For every pair of N networks, the lowest chain of networks that joins them."""

    heights: Float64[np.ndarray, "N N"]
    """The largest barrier on the way; NaN where no chain of known barriers joins the pair."""
    num_legs: Int64[np.ndarray, "N N"]
    """Legs of the shortest chain that is as low; 1: the direct way. 0 where there is none."""


def bottlenecks(direct: Float64[np.ndarray, "N N"]) -> Bottlenecks:
    """For every pair, the least over all chains that join it of the largest barrier on the chain.

        H[A, C] = min over chains A = B_0, B_1, ..., B_m = C, m >= 1, of max_i D[B_i, B_i+1]

    The direct way counts as a chain of one leg, so no bottleneck is above a direct or an indirect barrier.
    The bottlenecks of all pairs are those of a minimum spanning tree (of a forest, where barriers are not
    known): its edges from the lowest to the highest join two groups of networks each, and the edge is the
    bottleneck of every pair between the two.

    Args:
        direct: Symmetric; NaN where a barrier is not known. The diagonal is not read.

    Raises:
        ValueError: If it is not symmetric, or holds an infinite barrier.
    """
    legs = known_legs(direct)
    heights = np.full(legs.shape, np.nan)
    num_legs = np.zeros(legs.shape, dtype=np.int64)
    group = {network: np.array([network]) for network in range(len(legs))}
    for height, first, second in _tree(legs):
        small, large = sorted((group[first], group[second]), key=len)
        fewest = _fewest_legs(legs <= height, small)[:, large]
        for ends, counts in ((np.ix_(small, large), fewest), (np.ix_(large, small), fewest.T)):
            heights[ends], num_legs[ends] = height, counts
        joined = np.concatenate((small, large))
        group.update(dict.fromkeys(joined.tolist(), joined))
    return Bottlenecks(heights, num_legs)


def _tree(legs: Float64[np.ndarray, "N N"]) -> Iterator[tuple[float, int, int]]:
    """The edges of a minimum spanning forest from the lowest up: height and the two networks (Prim)."""
    found: list[tuple[float, int, int]] = []
    left = np.ones(len(legs), dtype=np.bool_)
    lowest, parent = np.full(len(legs), np.inf), np.zeros(len(legs), dtype=np.int64)
    for _ in range(len(legs)):
        network = int(np.where(left, lowest, np.inf).argmin())
        if not left[network] or np.isinf(lowest[network]):
            network = int(left.argmax())  # nothing joins what is left: another tree begins
        else:
            found.append((float(lowest[network]), int(parent[network]), network))
        left[network] = False
        nearer = legs[network] < lowest
        lowest[nearer], parent[nearer] = legs[network][nearer], network
    return iter(sorted(found))


def _fewest_legs(
    joined: Bool[np.ndarray, "N N"], starts: Int64[np.ndarray, " S"]
) -> Int64[np.ndarray, "S N"]:
    """Legs from each start to every network over edges of a graph; 0 to itself and where none leads."""
    edges = joined.astype(np.float32)  # counts of ways are small whole numbers
    num_legs = np.zeros((len(starts), len(edges)), dtype=np.int64)
    seen = np.zeros(num_legs.shape, dtype=np.bool_)
    seen[np.arange(len(starts)), starts] = True
    edge_of_search, count = seen, 0
    while edge_of_search.any():
        count += 1
        edge_of_search = (edge_of_search.astype(np.float32) @ edges > 0) & ~seen
        num_legs[edge_of_search] = count
        seen = seen | edge_of_search
    return num_legs
