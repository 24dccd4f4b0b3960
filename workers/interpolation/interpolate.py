"""Loss and error along the straight line between two networks, for all pairs of a stack at once."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from workers.architectures.program import StackedProgram
from workers.datasets.inputs import Inputs
from workers.device import map_on_threads
from workers.evaluation import Chunk, chunks_of, tally
from workers.interpolation.barriers import check_alphas
from workers.interpolation.corrections import check_correction, corrected_blocks
from workers.interpolation.curves import Curves, measured
from workers.interpolation.layers import moved
from workers.params import ParamStack, num_networks
from workers.specs import Correction

__all__ = ["Curves", "interpolate"]


def interpolate(
    program: StackedProgram,
    params_a: ParamStack,
    params_b: ParamStack,
    alphas: Sequence[float],
    inputs: Inputs,
    labels: Int64[Tensor, " B"] | Int64[Tensor, "P B"],
    *,
    correction: Correction = "none",
    statistics: Sequence[Tensor] | None = None,
    moving: frozenset[str] | None = None,
) -> Curves:
    """Loss and error of theta(alpha) = (1 - alpha) * theta_a + alpha * theta_b for every pair and alpha.

    Pair p joins row p of the two stacks. Without correction the figures at alpha 0 and 1 are those that
    ``evaluate`` gives for the endpoints, bit for bit. The figures of a pair depend neither on which
    others are measured with it nor on the number of threads, bit for bit on CPU. Logits are of the
    weights' type (float32 in sweeps), sums over examples float64.

    What ``correction`` does to a network before it is measured, at the endpoints too:

    - ``none``: nothing. Batch-norm statistics are interpolated as parameters are; counters stay a's.
    - ``reset_bn``: its batch-norm statistics are measured anew.
    - ``repair``: every unit's pre-activation gets the alpha-mixture of the endpoints' means and standard
      deviations (``workers.interpolation.repair``), and batch-norm statistics are measured anew.

    Args:
        program: The architecture.
        params_a: The networks at alpha 0; unchanged.
        params_b: The networks at alpha 1; unchanged.
        alphas: Strictly increasing, first 0.0 and last 1.0 exactly.
        inputs: Examples as ``program.prepare`` makes them, of the weights' type and on their device.
        labels: Of the examples, the same for all pairs or one row for each.
        correction: See above.
        statistics: Prepared batches on which a correction measures
            (``workers.statistics.statistics_batches``); not read without correction.
        moving: Names of the tensors that go from a's to b's, those of some layers
            (``workers.interpolation.layers``): all others stay a's, at alpha 1 too. None: all tensors.

    Raises:
        ValueError: If ``alphas`` is not strictly increasing from 0 to 1, if the correction has no
            examples to measure on, or nothing in this architecture to correct, or if the networks lack a
            tensor that shall move.
    """
    if moving is not None:
        params_b = moved(params_a, params_b, moving)
    check_alphas(torch.tensor(alphas, dtype=torch.float64))
    batches = check_correction(program, correction, statistics)
    if correction == "none":
        return _uncorrected(program, params_a, params_b, tuple(alphas), inputs, labels)
    blocks = corrected_blocks(program, params_a, params_b, tuple(alphas), correction, batches)
    return measured(blocks, num_networks(params_a), tuple(alphas), inputs, labels)


def _uncorrected(
    program: StackedProgram,
    params_a: ParamStack,
    params_b: ParamStack,
    alphas: tuple[float, ...],
    inputs: Inputs,
    labels: Tensor,
) -> Curves:
    """Curves of the networks as they are.

    Pairs and examples are taken in chunks whose activations stay in the cache, alphas innermost, so
    that what is common to all alphas is computed once per chunk.
    """
    num_pairs = num_networks(params_a)
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
    losses, errors = (sums / len(inputs)).unbind(-1)
    return Curves(
        alphas=alphas,
        losses=losses,
        errors=errors,
        endpoint_disagreement=num_differing.to(torch.float64) / len(inputs),
        num_examples=len(inputs),
    )
