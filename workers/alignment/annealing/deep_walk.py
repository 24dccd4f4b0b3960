"""A chain of MLPs of two or more hidden layers on a CPU, in float32: compiled, block by block."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch

from workers.alignment.annealing.margin_walk import MarginGround
from workers.alignment.annealing.moves import Moves, Steps
from workers.alignment.annealing.problem import Problem, State
from workers.architectures.mlp import MLPProgram

REFRESH_AFTER = 1000
"""Accepted moves after which everything that is kept is computed anew."""

BLOCK_FLOATS = 65_536
"""Activations of one layer of a block: 256 kB, of which a core's cache holds a few."""

LARGEST_WIDTH = 512
"""Beyond, a library's products are faster than ours."""


class DeepGround:
    """What the chains of one group of networks share."""

    def __init__(self, problem: Problem, max_bytes: float) -> None:
        self.problem, program = problem, problem.examples.program
        assert isinstance(program, MLPProgram)
        self.depth, self.width = program.depth, program.width
        self.padded_width = padded(program.width)
        self.block = max(32, min(512, BLOCK_FLOATS // self.padded_width))
        self.shared = MarginGround(problem, max_bytes, self.block)
        assert self.shared.below is not None
        self.merges = self.shared.merges
        share = 1.0 / self.merges.shape[1]
        kinds = [
            np.stack(
                [
                    np.stack([(m[f"layers.{k}.{kind}"] * share).numpy() for k in range(1, self.depth)])
                    for m in problem.members
                ]
            )
            for kind in ("weight", "bias")
        ]
        self.numbers = (
            self.shared.below.numpy(),
            self.shared.above,
            (kinds[0], kinds[1]),
            self.shared.block_starts,
            self.shared.block_labels,
        )

    def walk(self, starts: Sequence[State]) -> DeepWalk:
        """A chain from the one state given."""
        (start,) = starts
        return DeepWalk(self, start)


class DeepWalk:
    """One chain: permutations, and what every layer of every merge is on every example."""

    def __init__(self, ground: DeepGround, start: State) -> None:
        from workers.alignment.annealing import deep_kernels, weight_kernels

        self._ground, self._kernels, self._average = ground, deep_kernels, weight_kernels.average
        depth, width, rows = ground.depth, ground.width, ground.padded_width
        num_members, num_classes = len(ground.problem.members), ground.shared.above.shape[2]
        num_merges, num_examples, logits = len(ground.merges), len(ground.shared.labels), padded(num_classes)
        stay = np.tile(np.arange(width), (1, depth, 1))
        moving = np.stack(start).reshape(num_members - 1, depth, width)
        self._permutations = np.concatenate([stay, moving])

        def zeros(*shape: int) -> np.ndarray:
            return np.zeros(shape, np.float32)

        self._first = zeros(num_merges, rows, num_examples)
        self._layers = zeros(num_merges, depth - 1, rows, num_examples)
        self._margins = zeros(num_merges, num_classes, num_examples)
        self._scores = np.zeros(num_merges)
        self._between = zeros(num_merges, depth - 1, rows, rows)
        self._tops, self._biases = zeros(num_merges, logits, rows), zeros(num_merges, depth - 1, rows)
        self._top_bias = zeros(num_merges, logits)
        for q, bias in enumerate(ground.shared.biases):
            self._top_bias[q, :num_classes] = bias.numpy()
        block = ground.block
        self._work = (
            zeros(logits, block),
            zeros(4, block),
            zeros(num_classes, 4),
            zeros(num_classes + 2, block),
        )
        self._moved = (zeros(2, rows), zeros(2), zeros(2, max(rows, logits)), zeros(2, block))
        self._buffers = (
            zeros(2, rows, block), zeros(depth - 1, rows, rows), zeros(logits, rows), zeros(depth - 1, rows),
        )  # fmt: skip
        self._num_accepted = 0
        self.drift = 0.0
        self._refresh()

    def states(self) -> list[State]:
        """A copy of the permutations."""
        return [[index.copy() for member in self._permutations[1:] for index in member]]

    def energies(self) -> list[float]:
        """Of the one chain."""
        problem = self._ground.problem
        return [float(self._scores.sum()) / problem.denominator - problem.endpoints]

    def run(self, moves: Sequence[Moves]) -> list[Steps]:
        """Proposes the moves."""
        (own,) = moves
        steps = Steps(np.empty(len(own)), np.empty(len(own)), np.empty(len(own), np.bool_))
        done = 0
        while done < len(own):
            if self._num_accepted >= REFRESH_AFTER:
                self._refresh()
            part = own.part(done, len(own))
            into = (steps.proposed[done:], steps.present[done:], steps.accepted[done:])
            made: int = self._kernels.walk(
                self._ground.numbers,
                (
                    self._permutations, self._first, self._layers, self._margins, self._scores,
                    self._between, self._tops, self._biases,
                ),
                self._top_bias,
                self._ground.merges,
                (part.slots, part.firsts, part.seconds),
                part.bounds,
                self._ground.problem.measures_loss,
                float(self._ground.problem.denominator),
                REFRESH_AFTER - self._num_accepted,
                into,
                self._work,
                self._moved,
                self._buffers,
            )  # fmt: skip
            self._num_accepted += int(into[2][:made].sum())
            done += made
        for energies in (steps.proposed, steps.present):
            energies -= self._ground.problem.endpoints
        return [steps]

    def _refresh(self) -> None:
        """Everything that is kept, from the permutations."""
        ground, before = self._ground, self._scores.sum()
        _, above, middle, _, _ = ground.numbers
        for q, merge in enumerate(ground.merges):
            weights = (self._between[q], self._tops[q])
            self._average(weights, self._biases[q], self._permutations, middle, above, merge)
            self._scores[q] = self._kernels.full_score(
                ground.numbers,
                self._permutations,
                (self._first[q], self._layers[q], self._margins[q]),
                weights,
                self._biases[q],
                self._top_bias[q],
                merge,
                ground.problem.measures_loss,
                True,
                self._work,
                self._buffers[0],
            )
        if self._num_accepted:
            moved = abs(float(self._scores.sum() - before)) / ground.problem.denominator
            self.drift = max(self.drift, moved)
        self._num_accepted = 0


def padded(num_units: int) -> int:
    """The next multiple of four."""
    return -(-num_units // 4) * 4


def serves(problem: Problem) -> bool:
    """Whether networks and examples are of the kind that is compiled."""
    program, labels = problem.examples.program, problem.examples.labels
    return (
        isinstance(program, MLPProgram)
        and program.depth > 1
        and program.width <= LARGEST_WIDTH
        and labels.device.type == "cpu"
        and all(tensor.dtype == torch.float32 for tensor in problem.members[0].values())
    )


def chain_bytes(problem: Problem) -> float:
    """Memory of what one chain keeps of every layer, and of its weights."""
    program = problem.examples.program
    assert isinstance(program, MLPProgram)
    rows = padded(program.width)
    layers = (program.depth * rows + program.num_classes) * len(problem.examples.labels)
    return 4.0 * (len(problem.merges) * (layers + program.depth * rows**2) + program.depth * rows**2)
