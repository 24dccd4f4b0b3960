"""Barriers between two networks by way of a third."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from workers.all_pairs.indirect import indirect

Ends = tuple[str, str]
"""The two networks of a pair, in any order."""


def indirect_barriers(direct: Mapping[Ends, float]) -> dict[Ends, float]:
    """For each pair A, C, the least over B of the larger of the barriers of A, B and of B, C.

    B ranges over the networks other than A and C whose barriers with both are known; a pair without
    any is left out. A pair of a network with itself has no indirect barrier.

    Source:
        Entezari et al. 2021, appendix on the distribution of barriers (figure 18).
    """
    position = {name: k for k, name in enumerate(dict.fromkeys(name for pair in direct for name in pair))}
    legs = np.full((len(position), len(position)), np.nan)
    for (first, second), height in direct.items():
        legs[position[first], position[second]] = legs[position[second], position[first]] = height
    heights = indirect(legs).heights
    found = {(first, second): float(heights[position[first], position[second]]) for first, second in direct}
    return {pair: height for pair, height in found.items() if not np.isnan(height)}
