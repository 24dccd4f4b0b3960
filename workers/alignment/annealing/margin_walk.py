"""A chain of MLPs with one hidden layer on a CPU, in float32: compiled, at four rows per proposal."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import numpy as np
import torch
from torch import Tensor

from workers.alignment.annealing.moves import Moves, Steps
from workers.alignment.annealing.problem import Problem, State
from workers.architectures.mlp import MLPProgram

REFRESH_AFTER = 2000
"""Accepted moves after which margins are computed anew."""

CHUNK = 8192
"""Examples of a product at a time."""


class MarginGround:
    """What the chains of one group of networks share: pre-activations and weights, by unit.

    Both are divided by the number of networks that a merge is the mean of, so that sums are means.
    Examples are sorted by label. Where the pre-activations of all units would take more than
    ``max_bytes``, the rows that a proposal needs are formed from the inputs when it is made.
    """

    def __init__(self, problem: Problem, max_bytes: float, longest_block: int = 512) -> None:
        self.problem = problem
        members, examples = problem.members, problem.examples
        self.merges = np.array(problem.merges)
        share = 1.0 / self.merges.shape[1]
        self.order = torch.argsort(examples.labels, stable=True)
        self.labels = examples.labels[self.order].numpy()
        self.block_starts, self.block_labels = _blocks(self.labels, longest_block)
        weights = [member["layers.0.weight"].contiguous() * share for member in members]
        biases = [member["layers.0.bias"] * share for member in members]
        self.first_layers = list(zip(weights, biases, strict=True))
        top = f"layers.{_depth(problem)}"
        self.above = np.stack([(member[f"{top}.weight"].mT * share).numpy() for member in members])
        self.biases = [
            sum(
                (members[k][f"{top}.bias"] * share for k in merge[1:]),
                members[merge[0]][f"{top}.bias"] * share,
            )
            for merge in problem.merges
        ]
        self.is_cached = ground_bytes(problem) <= max_bytes
        self.below = self._all_rows() if self.is_cached else None

    def _all_rows(self) -> Tensor:
        """Pre-activations (members, W, B) of all units."""
        num_units = len(self.first_layers[0][0])
        below = torch.empty(len(self.first_layers), num_units, len(self.labels))
        for start in range(0, len(self.labels), CHUNK):
            inputs = self.inputs(start)
            for rows, (weight, bias) in zip(below, self.first_layers, strict=True):
                rows[:, start : start + CHUNK] = torch.addmm(bias.unsqueeze(1), weight, inputs.mT)
        return below

    def inputs(self, start: int) -> Tensor:
        """Some of the inputs, sorted by label."""
        return self.problem.examples.inputs[self.order[start : start + CHUNK]]

    def rows_of(self, units: Sequence[Sequence[int]]) -> np.ndarray:
        """Pre-activations (members, rows, B) of some units of every member, from the inputs."""
        chosen = [
            (weight[list(rows)], bias[list(rows)].unsqueeze(1))
            for rows, (weight, bias) in zip(units, self.first_layers, strict=True)
        ]
        below = torch.empty(len(chosen), len(units[0]), len(self.labels))
        for start in range(0, len(self.labels), CHUNK):
            inputs = self.inputs(start)
            for out, (weight, bias) in zip(below, chosen, strict=True):
                out[:, start : start + CHUNK] = torch.addmm(bias, weight, inputs.mT)
        return below.numpy()

    def preactivation(self, permutations: np.ndarray, merge: tuple[int, ...], start: int) -> Tensor:
        """Pre-activations (W, chunk) of a merge, on some of the examples."""
        units = [torch.from_numpy(permutations[k]) for k in merge]
        if self.below is not None:
            chosen = self.below[..., start : start + CHUNK]
            rows = [chosen[k].index_select(0, index) for k, index in zip(merge, units, strict=True)]
        else:
            layers, inputs = [self.first_layers[k] for k in merge], self.inputs(start)
            rows = [
                torch.addmm(bias[index].unsqueeze(1), weight[index], inputs.mT)
                for index, (weight, bias) in zip(units, layers, strict=True)
            ]
        for other in rows[1:]:
            rows[0].add_(other)
        return rows[0]

    def walk(self, starts: Sequence[State]) -> MarginWalk:
        """A chain from the one state given."""
        (start,) = starts
        return MarginWalk(self, start)


class MarginWalk:
    """One chain: permutations, and the margins of every merge on every example."""

    def __init__(self, ground: MarginGround, start: State) -> None:
        from workers.alignment.annealing import kernels, margin_kernels

        self._ground, self._kernels = ground, margin_kernels
        problem = ground.problem
        num_members, num_classes = len(problem.members), ground.above.shape[2]
        self._permutations = np.stack([np.arange(len(start[0])), *start])
        self._margins = np.empty((len(problem.merges), num_classes, len(ground.labels)), np.float32)
        self._scores = np.zeros(len(problem.merges))
        self._num_accepted = 0
        self.drift = 0.0
        num_terms = max(kernels.TERMS, 4 * (num_members - 1))  # each moved member changes two places
        self._work = (
            np.zeros((num_terms, kernels.BLOCK), np.float32),
            np.zeros((num_classes, num_terms), np.float32),
            np.zeros((num_classes + 2, kernels.BLOCK), np.float32),
            np.zeros(num_terms, np.int64),
        )
        self._unmoved = np.zeros((num_members, 0), np.int64)
        self._nothing_below = np.zeros((num_members, 0, 0), np.float32)
        self._identity_rows = np.tile(np.arange(len(start[0])), (num_members, 1))
        self._refresh()

    def states(self) -> list[State]:
        """A copy of the permutations."""
        return [[index.copy() for index in self._permutations[1:]]]

    def energies(self) -> list[float]:
        """Of the one chain."""
        ground = self._ground
        return [
            float(self._scores.sum()) / (len(ground.labels) * len(ground.merges)) - ground.problem.endpoints
        ]

    def run(self, moves: Sequence[Moves]) -> list[Steps]:
        """Proposes the moves."""
        (own,) = moves
        steps = Steps(np.empty(len(own)), np.empty(len(own)), np.empty(len(own), np.bool_))
        done = 0
        while done < len(own):
            if self._num_accepted >= REFRESH_AFTER:
                self._refresh()
            stop = len(own) if self._ground.is_cached else done + 1
            done += self._advance(own.part(done, stop), steps, done)
        for energies in (steps.proposed, steps.present):
            energies -= self._ground.problem.endpoints
        return [steps]

    def _advance(self, moves: Moves, steps: Steps, done: int) -> int:
        """Proposes moves until margins must be refreshed; how many were proposed."""
        ground = self._ground
        below, rows = self._rows_for(moves)
        part = slice(done, done + len(moves))
        into = (steps.proposed[part], steps.present[part], steps.accepted[part])
        num_made: int = self._kernels.walk(
            (below, ground.above, rows, ground.block_starts, ground.block_labels),
            (self._permutations, self._margins, self._scores),
            ground.merges,
            (moves.slots + 1, moves.firsts, moves.seconds),
            moves.bounds,
            ground.problem.measures_loss,
            float(len(ground.labels) * len(ground.merges)),
            REFRESH_AFTER - self._num_accepted,
            into,
            self._work,
        )
        self._num_accepted += int(into[2][:num_made].sum())
        return num_made

    def _rows_for(self, moves: Moves) -> tuple[np.ndarray, np.ndarray]:
        """Pre-activations of units, and where each unit's row is among them."""
        ground = self._ground
        if ground.below is not None:
            return ground.below.numpy(), self._identity_rows
        places = sorted({*moves.firsts.ravel().tolist(), *moves.seconds.ravel().tolist()})
        units = self._permutations[:, places]
        rows = np.zeros_like(self._identity_rows)
        for of_member, chosen in zip(rows, units, strict=True):
            of_member[chosen] = np.arange(len(places))
        return ground.rows_of(units.tolist()), rows

    def _refresh(self) -> None:
        """Margins and scores from the permutations."""
        ground = self._ground
        before = self._scores.sum()
        labels = torch.from_numpy(ground.labels)
        for q, merge in enumerate(ground.problem.merges):
            above = sum(ground.above[k][self._permutations[k]] for k in merge)
            weight, margins = torch.from_numpy(above).mT, torch.from_numpy(self._margins[q])
            for start in range(0, len(labels), CHUNK):
                hidden = ground.preactivation(self._permutations, merge, start).relu_()
                logits = torch.addmm(ground.biases[q].unsqueeze(1), weight, hidden)
                own = logits.gather(0, labels[start : start + CHUNK].unsqueeze(0))
                torch.sub(logits, own, out=margins[:, start : start + CHUNK])
            self._scores[q] = self._kernels.score(
                self._nothing_below,
                ground.above,
                self._margins[q],
                ground.merges[q],
                self._unmoved,
                self._unmoved,
                self._identity_rows,
                0,
                ground.block_starts,
                ground.block_labels,
                ground.problem.measures_loss,
                False,
                self._work,
            )
        if self._num_accepted:
            self.drift = max(
                self.drift, abs(float(self._scores.sum() - before)) / (len(labels) * len(ground.merges))
            )
        self._num_accepted = 0


def _blocks(labels: np.ndarray, longest: int) -> tuple[np.ndarray, np.ndarray]:
    """Where blocks of one label begin, with the end of the last, and their labels."""
    changes = np.flatnonzero(np.diff(labels)) + 1
    runs = [0, *changes.tolist(), len(labels)]
    starts = [at for a, b in pairwise(runs) for at in range(a, b, longest)]
    return np.array([*starts, len(labels)], np.uint64), labels[starts]


def _depth(problem: Problem) -> int:
    """Hidden layers."""
    assert isinstance(problem.examples.program, MLPProgram)
    return problem.examples.program.depth


def serves(problem: Problem) -> bool:
    """Whether networks and examples are of the kind that is compiled."""
    program, labels = problem.examples.program, problem.examples.labels
    tensors = [*problem.members[0].values()]
    return (
        isinstance(program, MLPProgram)
        and program.depth == 1
        and labels.device.type == "cpu"
        and all(tensor.dtype == torch.float32 for tensor in tensors)
    )


def ground_bytes(problem: Problem) -> float:
    """Memory of the pre-activations of all units."""
    num_units = problem.slot_sizes[0]
    return 4.0 * len(problem.members) * num_units * len(problem.examples.labels)


def chain_bytes(problem: Problem) -> float:
    """Memory of the margins of one chain, and of what refreshing them takes."""
    num_classes = problem.examples.program.num_classes
    margins = 4.0 * len(problem.merges) * num_classes * len(problem.examples.labels)
    return margins + 8.0 * CHUNK * (problem.slot_sizes[0] + num_classes)
