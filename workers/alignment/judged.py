"""The permutations that a search came by, judged: the best of them, and the trace."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import torch

from workers.alignment.batch import Finding, unmoved
from workers.alignment.budget import Budget
from workers.alignment.outcome import SearchTrace
from workers.permutation import permute
from workers.permutation.permute import PermutationStack
from workers.permutation.spec import PermutationSpec

Point = tuple[int, float, float, float]
"""Evaluations, seconds, objective, best."""


@dataclass
class Judged:
    """The record of one search of a pair; lives as long as the search.

    Attributes:
        judgment: Permutations, a stack of one, to the objective.
        spec: Where they act.
        budget: Of the search.
        sense: 1 if more is better, -1 if less is.
        num_evaluations: So far; whoever evaluates something else adds to it.
        best: The best permutation so far, and its objective; at first the identity.
    """

    judgment: Callable[[PermutationStack], float]
    spec: PermutationSpec
    budget: Budget
    sense: int
    best: tuple[PermutationStack, float]
    start: float
    last: PermutationStack
    num_evaluations: int = 1
    points: list[Point] = field(default_factory=list)

    @classmethod
    def at_identity(
        cls,
        judgment: Callable[[PermutationStack], float],
        spec: PermutationSpec,
        budget: Budget,
        sense: int = -1,
    ) -> Judged:
        """A record in which the identity has been judged."""
        identity = permute.identity(spec, 1)
        start = judgment(identity)
        points = [(1, budget.seconds, start, start)]
        return cls(judgment, spec, budget, sense, (identity, start), start, identity, points=points)

    def judge(self, permutation: PermutationStack) -> str | None:
        """Takes the objective of a permutation, unless it is that of the last time.

        Returns:
            ``max_evaluations`` where no more evaluations may be made, and it was not taken; else None.
        """
        if all(torch.equal(index, self.last[group]) for group, index in permutation.items()):
            objective = self.points[-1][2]
        elif self.budget.exceeded(self.num_evaluations) == "max_evaluations":
            return "max_evaluations"
        else:
            objective = self.judgment(permutation)
            self.num_evaluations += 1
        self.last = permutation
        if self.sense * objective > self.sense * self.best[1]:
            self.best = permutation, objective
        self.points.append((self.num_evaluations, self.budget.seconds, objective, self.best[1]))
        return None

    def finding(self, outcome: str, details: dict[str, Any]) -> Finding:
        """The best permutation, its objective taken anew."""
        permutation, _ = self.best
        objective = self.judgment(permutation) if math.isfinite(self.start) else math.nan
        evaluations, seconds, objectives, bests = zip(*self.points, strict=True)
        return Finding(
            permutations=(unmoved(self.spec), {group: index[0] for group, index in permutation.items()}),
            objective_start=self.start if math.isfinite(self.start) else math.nan,
            objective_end=objective,
            num_evaluations=self.num_evaluations,
            seconds=self.budget.seconds,
            outcome=outcome,
            details=details,
            traces=(SearchTrace(0, evaluations, seconds, objectives, bests),),
        )
