"""Compiling before a search is timed."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from workers.alignment.annealing.ground import Ground, Plan
from workers.alignment.annealing.moves import Moves, movable
from workers.alignment.annealing.problem import Problem
from workers.device import map_on_threads

_compiled: set[str] = set()


def compile_for(plan: Plan, problem: Problem, max_bytes: float) -> None:
    """Compiles the loops that a plan runs, or loads them, once in a process.

    No search is charged with that: it takes a second, and ten or more where a machine has never done it. Two
    examples and two moves are put through, one of which is accepted.
    """
    can_move = movable(problem.slot_sizes)
    if plan.kind in _compiled or plan.kind in ("layers", "direct") or not can_move:
        return
    small = replace(problem, examples=problem.examples.subset(min(2, len(problem.examples.labels))))
    slots = np.full((2, 1), can_move[0])
    moves = Moves(slots, np.zeros_like(slots), np.ones_like(slots), np.array([-math.inf, math.inf]))
    map_on_threads(
        lambda one: Ground(plan, [one], max_bytes).walk([0], [one.identity()]).run([moves]), [small]
    )
    _compiled.add(plan.kind)
