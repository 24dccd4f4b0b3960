"""Loss and error along the straight line between two networks, for all pairs of a stack at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from workers.architectures.program import StackedProgram
from workers.device import threads
from workers.evaluation import example_chunks, network_chunks, tally, usable_threads
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
    for the endpoints, bit for bit; those of a pair do not depend on which others are measured with it,
    bit for bit on CPU. Logits are of the weights' type (float32 in sweeps), sums over examples float64.

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
    losses = torch.empty((num_pairs, len(alphas)), dtype=torch.float64)
    errors = torch.empty_like(losses)
    disagreement = torch.empty(num_pairs, dtype=torch.float64)
    for start, stop in network_chunks(program, num_pairs, inputs):
        chunk_a = {name: tensor[start:stop] for name, tensor in params_a.items()}
        chunk_b = {name: tensor[start:stop] for name, tensor in params_b.items()}
        own = labels if labels.ndim == 1 else labels[start:stop]
        with torch.no_grad(), threads(usable_threads(stop - start)):
            loss_sums, mistakes, differing = _sums(program, chunk_a, chunk_b, list(alphas), inputs, own)
        losses[start:stop] = loss_sums / num_examples
        errors[start:stop] = mistakes / num_examples
        disagreement[start:stop] = differing / num_examples
    return Curves(
        alphas=tuple(alphas),
        losses=losses,
        errors=errors,
        endpoint_disagreement=disagreement,
        num_examples=num_examples,
    )


def _sums(
    program: StackedProgram,
    params_a: ParamStack,
    params_b: ParamStack,
    alphas: list[float],
    inputs: Tensor,
    labels: Tensor,
) -> tuple[Float64[Tensor, "P A"], Float64[Tensor, "P A"], Float64[Tensor, " P"]]:
    """Sums over the examples: losses, mistakes, and examples on which the endpoints differ."""
    num_pairs = num_networks(params_a)
    losses = torch.zeros((num_pairs, len(alphas)), dtype=torch.float64, device=inputs.device)
    mistakes = torch.zeros_like(losses)
    differing = torch.zeros(num_pairs, dtype=torch.float64, device=inputs.device)
    for start, stop, chosen in example_chunks(inputs):
        predictions = []
        for k, logits in enumerate(program.logits_on_segment(params_a, params_b, alphas, chosen)):
            part = tally(logits[..., : stop - start], labels[..., start:stop])
            losses[:, k] += part.loss_sums
            mistakes[:, k] += part.num_mistakes
            predictions.append(part.predictions)
        differing += (predictions[0] != predictions[-1]).sum(1)
    return losses, mistakes, differing
