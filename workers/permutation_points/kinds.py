"""What the loss does on the way to a permutation point."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

PathKind = Literal["monotone", "intermediate_saddle", "minimum"]

_FLAT = 1e-9
"""Changes of the loss that count as none, as a share of the highest loss on the path: what minimization to a
finite gradient leaves."""


def path_kind(losses: Sequence[float]) -> PathKind:
    """Which of the three kinds a path is, by its losses from the minimum to the permutation point.

    ``monotone``: the loss never falls; the permutation point is the barrier. ``intermediate_saddle``: it has
    fallen on the way, and rises again to the permutation point. ``minimum``: it falls towards the permutation
    point, which is then a minimum along the path and its mirror image.

    Raises:
        ValueError: For fewer than two losses.

    Source:
        Brea et al. 2019, figure 5: A, B, C.
    """
    if len(losses) < 2:
        raise ValueError("a path has two points at least: the minimum, and the permutation point")
    flat = _FLAT * max(abs(loss) for loss in losses)
    changes = [after - before for before, after in pairwise(losses)]
    falls = [index for index, change in enumerate(changes) if change < -flat]
    if not falls:
        return "monotone"
    rises = [index for index, change in enumerate(changes) if change > flat]
    return "minimum" if not rises or falls[-1] > rises[-1] else "intermediate_saddle"
