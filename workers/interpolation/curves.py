"""What was measured along a segment, and its measurement where the networks lie before us."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from workers.datasets.inputs import Inputs
from workers.evaluation import evaluate
from workers.interpolation.corrections import Block


@dataclass(frozen=True)
class Curves:
    """What ``interpolate`` measured, on the CPU.

    Attributes:
        alphas: Positions on the segment.
        losses: Mean cross-entropy of each pair at each alpha, in nats.
        errors: Fraction of examples predicted wrongly, in [0, 1]; 1 where the logits are not numbers.
        endpoint_disagreement: Fraction of examples that the two endpoints predict differently.
        num_examples: Examples that every figure is the mean over.
    """

    alphas: tuple[float, ...]
    losses: Float64[Tensor, "P A"]
    errors: Float64[Tensor, "P A"]
    endpoint_disagreement: Float64[Tensor, " P"]
    num_examples: int


def measured(
    blocks: Iterable[Block],
    num_pairs: int,
    alphas: tuple[float, ...],
    inputs: Inputs,
    labels: Int64[Tensor, " B"] | Int64[Tensor, "P B"],
) -> Curves:
    """The curves of networks that come in blocks, which together hold every pair at every alpha."""
    losses, errors = torch.empty((2, num_pairs, len(alphas)), dtype=torch.float64)
    # whole numbers of 16 bits, as there may be many pairs and examples
    predictions = torch.empty((2, num_pairs, len(inputs)), dtype=torch.int16)
    for block in blocks:
        grid = range(len(alphas))[block.alphas]
        own = labels if labels.ndim == 1 else labels[block.pairs].repeat(len(grid), 1)
        ends = [(end, grid.index(place)) for end, place in ((0, 0), (1, len(alphas) - 1)) if place in grid]
        found = evaluate(block.program, block.states, inputs, own, with_predictions=bool(ends))
        losses[block.pairs, block.alphas] = found.losses.view(len(grid), -1).mT
        errors[block.pairs, block.alphas] = found.errors.view(len(grid), -1).mT
        if found.predictions is not None:
            by_alpha = found.predictions.view(len(grid), -1, len(inputs))
            for end, place in ends:
                predictions[end, block.pairs] = by_alpha[place].to(torch.int16)
    return Curves(
        alphas=alphas,
        losses=losses,
        errors=errors,
        endpoint_disagreement=(predictions[0] != predictions[1]).double().mean(1),
        num_examples=len(inputs),
    )
