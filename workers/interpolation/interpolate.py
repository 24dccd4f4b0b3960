"""Loss and error along the straight line between two networks, for all pairs of a stack at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from workers.architectures.program import StackedProgram
from workers.device import map_on_threads
from workers.evaluation import Chunk, chunks_of, tally
from workers.interpolation.barriers import check_alphas
from workers.params import ParamStack, num_networks


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


def interpolate(
    program: StackedProgram,
    params_a: ParamStack,
    params_b: ParamStack,
    alphas: Sequence[float],
    inputs: Tensor,
    labels: Int64[Tensor, " B"] | Int64[Tensor, "P B"],
) -> Curves:
    """Loss and error of theta(alpha) = (1 - alpha) * theta_a + alpha * theta_b for every pair and alpha.

    Pair p joins row p of the two stacks. At alpha 0 and 1 the figures are those that ``evaluate`` gives
    for the endpoints, bit for bit; those of a pair depend neither on which others are measured with it
    nor on the number of threads, bit for bit on CPU. Logits are of the weights' type (float32 in sweeps),
    sums over examples float64.

    Pairs and examples are taken in chunks whose activations stay in the cache, alphas innermost, so
    that what is common to all alphas is computed once per chunk.

    Args:
        program: The architecture.
        params_a: The networks at alpha 0; unchanged.
        params_b: The networks at alpha 1; unchanged.
        alphas: Strictly increasing, first 0.0 and last 1.0 exactly.
        inputs: Examples as ``program.prepare`` makes them, of the weights' type and on their device.
        labels: Of the examples, the same for all pairs or one row for each.

    Raises:
        ValueError: If ``alphas`` is not strictly increasing from 0 to 1.
    """
    check_alphas(torch.tensor(alphas, dtype=torch.float64))
    num_pairs, num_examples = num_networks(params_a), inputs.shape[0]
    sums = torch.zeros((num_pairs, len(alphas), 2), dtype=torch.float64)
    num_differing = torch.zeros(num_pairs, dtype=torch.int64)

    def tally_chunk(chunk: Chunk) -> tuple[Float64[Tensor, "P A 2"], Int64[Tensor, " P"]]:
        a, b = (
            {name: tensor[chunk.networks] for name, tensor in params.items()}
            for params in (params_a, params_b)
        )
        segment = program.logits_on_segment(a, b, list(alphas), chunk.inputs_of(inputs))
        tallies = [tally(*chunk.scored(logits, labels)) for logits in segment]
        figures = [torch.stack([found.loss_sums, found.num_mistakes.double()], -1) for found in tallies]
        differing = tallies[0].predictions != tallies[-1].predictions
        return torch.stack(figures, 1).cpu(), differing.sum(1).cpu()

    chunks = chunks_of(program, num_pairs, inputs)
    for chunk, (chunk_sums, chunk_differing) in zip(chunks, map_on_threads(tally_chunk, chunks), strict=True):
        sums[chunk.networks] += chunk_sums
        num_differing[chunk.networks] += chunk_differing
    losses, errors = (sums / num_examples).unbind(-1)
    return Curves(
        alphas=tuple(alphas),
        losses=losses,
        errors=errors,
        endpoint_disagreement=num_differing.to(torch.float64) / num_examples,
        num_examples=num_examples,
    )
