"""Random networks at the theorem's distribution, and the inputs at which they are compared."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from math import sqrt

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from workers.seeding import generator


@dataclass(frozen=True)
class Pairs:
    """N pairs of networks with one hidden layer: the first one's weights, and the second one's.

    Each network has one matrix of input weights, and output weights that were drawn K times.
    """

    first_inputs: Float64[Tensor, "N h d"]
    second_inputs: Float64[Tensor, "N h d"]
    first_outputs: Float64[Tensor, "N K h"]
    second_outputs: Float64[Tensor, "N K h"]

    def matched(self, units: Int64[Tensor, "N h"]) -> Pairs:
        """The same pairs, unit ``units[n, i]`` of every second network standing at place i."""
        _, num_draws, _ = self.second_outputs.shape
        _, _, dim = self.second_inputs.shape
        return Pairs(
            self.first_inputs,
            self.second_inputs.gather(1, units[:, :, None].expand(-1, -1, dim)),
            self.first_outputs,
            self.second_outputs.gather(2, units[:, None, :].expand(-1, num_draws, -1)),
        )


def drawn_pairs(input_dim: int, width: int, seeds: Sequence[int], num_draws: int) -> Pairs:
    """A pair for every seed; a pair depends on its own seed, the input dimension and the width alone.

    Input weights are uniform in [-1/sqrt(d), 1/sqrt(d)], output weights in [-1/sqrt(h), 1/sqrt(h)].

    Source:
        Entezari et al. 2021, theorem 3.1.
    """

    def weights(part: str, member: int, rows: int, columns: int, reach: float) -> Tensor:
        found = [
            torch.rand(
                rows,
                columns,
                generator=generator("theorem_weights", input_dim, width, seed, part, member),
                dtype=torch.float64,
            )
            for seed in seeds
        ]
        return torch.stack(found).mul_(2).sub_(1).mul_(reach)

    inputs = [weights("inputs", member, width, input_dim, 1 / sqrt(input_dim)) for member in (0, 1)]
    outputs = [weights("outputs", member, num_draws, width, 1 / sqrt(width)) for member in (0, 1)]
    return Pairs(*inputs, *outputs)


def drawn_inputs(input_dim: int, num_inputs: int) -> Float64[Tensor, "B d"]:
    """Inputs uniform on the sphere of radius sqrt(d), the same for all networks; for d = 1, -1 and 1."""
    stream = generator("theorem_inputs", input_dim, num_inputs)
    directions = torch.randn(num_inputs, input_dim, generator=stream, dtype=torch.float64)
    return directions / directions.norm(dim=1, keepdim=True) * sqrt(input_dim)
