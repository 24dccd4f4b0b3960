"""What the loss does on the way to a permutation point."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

PathKind = Literal["monotone", "intermediate_saddle", "minimum"]

FLAT = 0.01
"""Rises and falls of the loss that count as none, as a share of the highest loss on the path.

Minimization that ends early goes on at the next distance: where the distance does not matter any more, losses
fell by some tenths of a percent in all on paths of networks trained on MNIST.
"""


def path_kind(losses: Sequence[float]) -> PathKind:
    """Which of the three kinds a path is, by its losses from the minimum to the permutation point.

    ``monotone``: the loss never falls; the permutation point is the barrier. ``intermediate_saddle``: it has
    fallen on the way, and rises again to the permutation point. ``minimum``: it falls towards the permutation
    point, which is then a minimum along the path and its mirror image. Rises and falls count from one turn to
    the next, however many points they take.

    Raises:
        ValueError: For fewer than two losses.

    Source:
        Brea et al. 2019, figure 5: A, B, C.
    """
    if len(losses) < 2:
        raise ValueError("a path has two points at least: the minimum, and the permutation point")
    flat = FLAT * max(abs(loss) for loss in losses)
    turn, is_rising, has_fallen = losses[0], True, False  # turn: the extreme of the present rise or fall
    for loss in losses[1:]:
        if (loss > turn) == is_rising:
            turn = loss
        elif abs(loss - turn) > flat:
            turn, is_rising = loss, not is_rising
            has_fallen = has_fallen or not is_rising
    if not has_fallen:
        return "monotone"
    return "intermediate_saddle" if is_rising else "minimum"
