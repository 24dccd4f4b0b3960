"""What chains of a tensor program share: the members' weights and first pre-activations, and their means.

Shape legend as in ``layered_walk``. In all functions ``of`` (R,) says which group of networks each chain
belongs to, ``permutations`` (R, n, groups, W) are the members', ``places`` (R, places) are in one group.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from workers.alignment.annealing.problem import Problem
from workers.architectures.mlp import MLPProgram

CHUNK = {"cpu": 2048}
"""Examples at a time, so that what lies between two products stays in the cache; elsewhere all at once."""


class LayeredGround:
    """What chains share: the members' weights, and pre-activations of the first layer by unit.

    Both are divided by the number of networks that a merge is the mean of, so that sums are means.
    """

    def __init__(self, problems: Sequence[Problem]) -> None:
        self.problems = problems
        some = problems[0]
        assert isinstance(some.examples.program, MLPProgram)
        self.depth, self.num_members = some.examples.program.depth, len(some.members)
        self.device = some.examples.labels.device
        self.merges = torch.tensor(some.merges, device=self.device)
        share = 1.0 / self.merges.shape[1]
        self.weights: list[Tensor] = []
        self.biases: list[Tensor] = []
        for layer in range(self.depth + 1):
            for out, kind in ((self.weights, "weight"), (self.biases, "bias")):
                out.append(
                    torch.stack(
                        [
                            torch.stack([m[f"layers.{layer}.{kind}"] * share for m in p.members])
                            for p in problems
                        ]
                    )
                )
        inputs, labels = some.examples.inputs, some.examples.labels
        self.chunk = min(len(labels), CHUNK.get(self.device.type, len(labels)))
        weight, bias = self.weights[0].flatten(0, 1), self.biases[0].flatten(0, 1)
        below = weight.new_empty(*weight.shape[:2], len(labels))
        for chosen in self.chunks():
            for k in range(len(weight)):
                below[k, :, chosen] = torch.addmm(bias[k].unsqueeze(1), weight[k], inputs[chosen].mT)
        self.below = below.view(len(problems), self.num_members, *below.shape[1:])

    def chunks(self, longest: int | None = None) -> list[slice]:
        """The examples, a chunk at a time."""
        total = len(self.problems[0].examples.labels)
        size = self.chunk if longest is None else min(self.chunk, longest)
        return [slice(start, min(start + size, total)) for start in range(0, total, size)]

    def first_rows(self, of: Tensor, permutations: Tensor, places: Tensor, chosen: slice) -> Tensor:
        """Pre-activations (R, Q, places, chunk) of the first layer at some places."""
        members = torch.arange(self.num_members, device=self.device)
        units = permutations[:, :, 0].gather(2, places.unsqueeze(1).expand(-1, self.num_members, -1))
        rows = self.below[..., chosen][of[:, None, None], members[:, None], units]
        return rows[:, self.merges].sum(dim=2)

    def averages(self, of: Tensor, permutations: Tensor) -> tuple[list[Tensor], list[Tensor]]:
        """The merges' weights and biases of all layers above the first."""
        layers = range(1, self.depth + 1)
        return (
            [self.average(of, permutations, layer) for layer in layers],
            [self.average_bias(of, permutations, layer) for layer in layers],
        )

    def average(self, of: Tensor, permutations: Tensor, layer: int) -> Tensor:
        """The merges' weights (R, Q, out, in) of one layer above the first."""
        own = self.weights[layer][of]  # (R, n, out, in)
        if layer < self.depth:
            rows = permutations[:, :, layer].unsqueeze(-1).expand(-1, -1, -1, own.shape[-1])
            own = own.gather(2, rows)
        columns = permutations[:, :, layer - 1].unsqueeze(2).expand(-1, -1, own.shape[2], -1)
        return own.gather(3, columns)[:, self.merges].sum(dim=2)

    def average_bias(self, of: Tensor, permutations: Tensor, layer: int) -> Tensor:
        """The merges' biases (R, Q, out) of one layer."""
        own = self.biases[layer][of]
        if layer < self.depth:
            own = own.gather(2, permutations[:, :, layer])
        return own[:, self.merges].sum(dim=2)

    def units_at(self, permutations: Tensor, group: int, places: Tensor) -> Tensor:
        """Which units (R, n, places) stand at some places."""
        return permutations[:, :, group].gather(2, places.unsqueeze(1).expand(-1, permutations.shape[1], -1))

    def rows(self, of: Tensor, permutations: Tensor, group: int, places: Tensor) -> Tensor:
        """The merges' incoming weights (R, Q, places, in) of the units at some places."""
        units = self.units_at(permutations, group, places)
        members = torch.arange(self.num_members, device=self.device)
        own = self.weights[group][of[:, None, None], members[:, None], units]
        below = permutations[:, :, group - 1].unsqueeze(2).expand(-1, -1, own.shape[2], -1)
        return own.gather(3, below)[:, self.merges].sum(dim=2)

    def unit_biases(self, of: Tensor, permutations: Tensor, group: int, places: Tensor) -> Tensor:
        """The merges' biases (R, Q, places) of the units at some places."""
        units = self.units_at(permutations, group, places)
        return self.biases[group][of].gather(2, units)[:, self.merges].sum(dim=2)

    def columns(self, of: Tensor, permutations: Tensor, group: int, places: Tensor) -> Tensor:
        """The merges' outgoing weights (R, Q, out, places) of the units at some places."""
        layer, units = group + 1, self.units_at(permutations, group, places)
        members = torch.arange(self.num_members, device=self.device)
        own = self.weights[layer].mT[of[:, None, None], members[:, None], units]
        if layer < self.depth:
            above = permutations[:, :, layer].unsqueeze(2).expand(-1, -1, own.shape[2], -1)
            own = own.gather(3, above)
        return own[:, self.merges].sum(dim=2).mT


def ground_bytes(problem: Problem) -> float:
    """Memory of what the chains of one group of networks share."""
    member = problem.members[0]
    itemsize = next(iter(member.values())).element_size()
    weights = sum(tensor.numel() for tensor in member.values())
    rows = problem.slot_sizes[0] * len(problem.examples.labels)
    return float(itemsize * len(problem.members) * (weights + rows))
