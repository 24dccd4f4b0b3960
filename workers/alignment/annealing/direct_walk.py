"""Chains of networks of any kind: every proposal is permuted, averaged and evaluated in full."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from workers.alignment.annealing.moves import Moves, Steps
from workers.alignment.annealing.problem import Problem, State, scores
from workers.params import concatenate


class DirectWalk:
    """Chains that stand side by side in one stack of merged networks."""

    drift = 0.0

    def __init__(self, problems: Sequence[Problem], starts: Sequence[State]) -> None:
        """One chain per state; ``problems`` has the problem of each."""
        self._problems, self._states = problems, [[index.copy() for index in start] for start in starts]
        self._present = self._energies(self._states)

    def states(self) -> list[State]:
        """Copies of the present states."""
        return [[index.copy() for index in state] for state in self._states]

    def energies(self) -> list[float]:
        """Of the present states."""
        return [float(energy) for energy in self._present]

    def run(self, moves: Sequence[Moves]) -> list[Steps]:
        """Proposes the moves, one after another to all chains at once."""
        num_chains, num_steps = len(moves), len(moves[0])
        proposed, present = np.empty((2, num_chains, num_steps))
        accepted = np.empty((num_chains, num_steps), np.bool_)
        for step in range(num_steps):
            for state, own in zip(self._states, moves, strict=True):
                _exchange(state, own, step)
            proposed[:, step] = self._energies(self._states)
            bounds = np.array([own.bounds[step] for own in moves])
            with np.errstate(invalid="ignore"):
                rises = proposed[:, step] - self._present
            accepted[:, step] = (rises <= bounds) | (bounds == np.inf)
            for state, own, stays in zip(self._states, moves, accepted[:, step], strict=True):
                if not stays:
                    _exchange(state, own, step)
            self._present = np.where(accepted[:, step], proposed[:, step], self._present)
            present[:, step] = self._present
        return [Steps(proposed[r], present[r], accepted[r]) for r in range(num_chains)]

    def _energies(self, states: Sequence[State]) -> np.ndarray:
        """The energy of every chain's state."""
        merged = concatenate(
            [problem.merged(state) for problem, state in zip(self._problems, states, strict=True)]
        )
        some = self._problems[0]
        with torch.no_grad():
            found = scores(some.examples, merged, some.measures_loss).reshape(len(states), -1)
        totals = found.sum(dim=1).cpu().numpy() / (found.shape[1] * len(some.examples.labels))
        return np.array(
            [total - problem.endpoints for total, problem in zip(totals, self._problems, strict=True)]
        )


def _exchange(state: State, moves: Moves, step: int) -> None:
    """Carries out one move in place. Doing so again undoes it: no two of its exchanges share a slot."""
    for slot, a, b in zip(moves.slots[step], moves.firsts[step], moves.seconds[step], strict=True):
        index = state[slot]
        index[a], index[b] = index[b], index[a]


def chain_bytes(problem: Problem) -> float:
    """Memory of the merged weights of one chain, and of the members while they are permuted."""
    weights = sum(tensor.numel() * tensor.element_size() for tensor in problem.members[0].values())
    return float(weights * (len(problem.merges) + 2 * len(problem.members)))
