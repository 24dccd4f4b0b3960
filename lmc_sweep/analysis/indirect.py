"""Barriers between two networks by way of a third."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping

Ends = tuple[str, str]
"""The two networks of a pair, in any order."""


def indirect_barriers(direct: Mapping[Ends, float]) -> dict[Ends, float]:
    """For each pair A, C, the least over B of the larger of the barriers of A, B and of B, C.

    B ranges over the networks other than A and C whose barriers with both are known; a pair without
    any is left out. A pair of a network with itself has no indirect barrier.

    Source:
        Entezari et al. 2021, appendix on the distribution of barriers (figure 18).
    """
    legs: dict[str, dict[str, float]] = defaultdict(dict)
    for (first, second), height in direct.items():
        if first != second:
            legs[first][second] = legs[second][first] = height
    found = {}
    for first, second in direct:
        from_first, from_second = legs.get(first, {}), legs.get(second, {})
        between = (from_first.keys() & from_second.keys()) - {first, second}
        if between and first != second:
            found[first, second] = min(max(from_first[third], from_second[third]) for third in between)
    return found
