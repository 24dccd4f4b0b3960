"""Chains of shallow convolutional networks: incremental energies by tensors, one chain after another."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from workers.alignment.annealing.convolved_ground import ConvolvedGround
from workers.alignment.annealing.convolved_merge import ConvolvedMerge
from workers.alignment.annealing.moves import Moves, Steps
from workers.alignment.annealing.problem import State

REFRESH_AFTER = 1000
"""Accepted moves after which everything that is kept is computed anew."""


class ConvolvedWalk:
    """Chains that share nothing but their grounds; each makes all of its moves before the next one does.

    On a CPU there is one, on a thread of its own. On a CUDA device a proposal is read back before the
    next, and chains do not wait for each other's.
    """

    def __init__(self, grounds: Sequence[ConvolvedGround], starts: Sequence[State]) -> None:
        """One chain per state; ``grounds`` has the ground of each."""
        self._chains = [_Chain(ground, start) for ground, start in zip(grounds, starts, strict=True)]

    @property
    def drift(self) -> float:
        """The largest of the chains'."""
        return max(chain.drift for chain in self._chains)

    def states(self) -> list[State]:
        """Copies of the permutations."""
        return [
            [index.copy() for member in chain.permutations[1:] for index in member] for chain in self._chains
        ]

    def energies(self) -> list[float]:
        """Of the present states."""
        return [chain.energy(chain.scores) for chain in self._chains]

    def run(self, moves: Sequence[Moves]) -> list[Steps]:
        """Proposes the moves."""
        with torch.no_grad():
            return [chain.run(own) for chain, own in zip(self._chains, moves, strict=True)]


class _Chain:
    """One chain: permutations (n, L, W), and its merges with their scores."""

    def __init__(self, ground: ConvolvedGround, start: State) -> None:
        self._ground, self._problem = ground, ground.problem
        num_members = len(self._problem.members)
        stay = np.tile(np.arange(ground.width), (1, ground.depth, 1))
        moving = np.stack(start).reshape(num_members - 1, ground.depth, ground.width)
        self.permutations = np.concatenate([stay, moving])
        self._merges = [ConvolvedMerge(ground, merge) for merge in self._problem.merges]
        self._num_accepted = 0
        self.drift = 0.0
        with torch.no_grad():
            self.scores = self._full_scores(keeps=True)

    def energy(self, scores: np.ndarray) -> float:
        """Of some scores of all merges."""
        return float(scores.sum()) / self._problem.denominator - self._problem.endpoints

    def run(self, moves: Moves) -> Steps:
        """Proposes the moves, one after another."""
        steps = Steps(np.empty(len(moves)), np.empty(len(moves)), np.empty(len(moves), np.bool_))
        present = self.energy(self.scores)
        for step in range(len(moves)):
            before = self.permutations
            after = self._moved(moves, step)
            is_single = moves.slots.shape[1] == 1
            if is_single:
                member, group = divmod(int(moves.slots[step, 0]), self._ground.depth)
                member, places = member + 1, [int(moves.firsts[step, 0]), int(moves.seconds[step, 0])]
                touched = [q for q, merge in enumerate(self._merges) if member in merge.members]
                scores = self.scores.copy()
                for q in touched:
                    scores[q] = self._merges[q].transposed(before, after, member, group, places)
            else:
                scores = np.array([merge.evaluate(after, keeps=False) for merge in self._merges])
            energy = self.energy(scores)
            bound = float(moves.bounds[step])
            is_accepted = bound == np.inf or energy - present <= bound  # never where it is NaN
            if is_accepted:
                self.permutations, self.scores, present = after, scores, energy
                self._num_accepted += 1
                if is_single:
                    for q in touched:
                        self._merges[q].accept(group, places)
                else:
                    self._full_scores(keeps=True)
            steps.proposed[step], steps.present[step], steps.accepted[step] = energy, present, is_accepted
            if self._num_accepted >= REFRESH_AFTER:
                present = self._refresh()
        return steps

    def _moved(self, moves: Moves, step: int) -> np.ndarray:
        """The permutations after one move."""
        after = self.permutations.copy()
        for slot, a, b in zip(moves.slots[step], moves.firsts[step], moves.seconds[step], strict=True):
            index = after[1 + slot // self._ground.depth, slot % self._ground.depth]
            index[a], index[b] = index[b], index[a]
        return after

    def _full_scores(self, keeps: bool) -> np.ndarray:
        """Scores of the present permutations, in full."""
        return np.array([merge.evaluate(self.permutations, keeps) for merge in self._merges])

    def _refresh(self) -> float:
        """Computes everything anew; the energy."""
        before = self.energy(self.scores)
        self.scores = self._full_scores(keeps=True)
        self._num_accepted = 0
        self.drift = max(self.drift, abs(self.energy(self.scores) - before))
        return self.energy(self.scores)
