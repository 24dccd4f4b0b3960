"""Where searches start: nothing moved, random permutations, or what another method found."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from workers.alignment.algorithms import algorithm_of
from workers.alignment.annealing.problem import Problem, State
from workers.alignment.batch import Batch
from workers.alignment.methods import Budgeted, SimulatedAnnealing
from workers.alignment.star import align_to_first
from workers.permutation import permute


@dataclass(frozen=True)
class Start:
    """Where the chains of one group of networks start.

    Attributes:
        states: One state for all chains, or one each.
        seconds: What it took to find them.
        details: What the method that found them tells; None where there was none.
    """

    states: list[State]
    seconds: float = 0.0
    details: dict[str, Any] | None = None

    def state(self, chain: int) -> State:
        """Where one chain starts."""
        return self.states[min(chain, len(self.states) - 1)]


def starts_of(method: SimulatedAnnealing, batch: Batch, problems: Sequence[Problem]) -> list[Start]:
    """One start per group of networks; ``max_seconds`` bounds the method that finds it too."""
    if method.start == "identity":
        return [Start([problem.identity()]) for problem in problems]
    if method.start == "random":
        return [
            Start([_random(problem, number) for number in range(method.restarts)]) for problem in problems
        ]
    start = method.start
    search = algorithm_of(start)
    if len(batch.members) > 2 and not start.joins_all:
        search = align_to_first(search)
    if method.max_seconds is not None and isinstance(start, Budgeted):
        start = replace(start, max_seconds=min(method.max_seconds, start.max_seconds or method.max_seconds))
    found = search(start, batch)
    starts = []
    for index, problem in enumerate(problems):
        one = found.finding(index)
        details = {
            "method": start.method,
            "objective": found.objective,
            "objective_end": one.objective_end,
            "num_evaluations": one.num_evaluations,
            "outcome": one.outcome,
        }
        starts.append(Start([problem.state_of(list(one.permutations))], one.seconds, details))
    return starts


def _random(problem: Problem, number: int) -> State:
    """Independent uniform permutations for one chain, a stream for each."""
    found: list[np.ndarray] = []
    for member in range(1, len(problem.members)):
        one = permute.random(
            problem.spec, "alignment", problem.name, "simulated_annealing", "start", number, member
        )
        found += [one[group].numpy() for group in problem.spec.groups]
    return found
