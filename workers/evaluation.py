"""Loss and error of a stack of networks over all examples given."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from workers.architectures.program import StackedProgram
from workers.device import threads
from workers.params import ParamStack, num_networks

CHUNK_EXAMPLES = 512
"""Examples that are evaluated together; a multiple of 16, so that all products start aligned alike."""

CHUNK_FLOATS = 1 << 19
"""Floats of activations that are evaluated together: 2 MiB in float32, twice a core's share of the cache.

Measured on 64 networks of width 4 to 256: a quarter and four times of it are both slower or equal.
"""


@dataclass(frozen=True)
class Evaluation:
    """Mean cross-entropy in nats and error in [0, 1] per network, and if asked for, the class predicted."""

    losses: Float64[Tensor, " N"]
    errors: Float64[Tensor, " N"]
    predictions: Int64[Tensor, "N B"] | None


@dataclass(frozen=True)
class Tally:
    """Of some examples, per network: summed loss in nats, number of mistakes, predicted classes."""

    loss_sums: Float64[Tensor, " N"]
    num_mistakes: Int64[Tensor, " N"]
    predictions: Int64[Tensor, "N B"]


def evaluate(
    program: StackedProgram,
    params: ParamStack,
    inputs: Tensor,
    labels: Int64[Tensor, " B"] | Int64[Tensor, "N B"],
    *,
    with_predictions: bool = False,
) -> Evaluation:
    """Mean loss and error of every network over all examples, each in the arithmetic of the weights.

    Logits and log-probabilities are of the weights' type (float32 in sweeps), sums over examples are
    float64. The predicted class is the first of those with the largest logit; a network whose logits
    are not numbers predicts C, which is no class, so its error is 1.

    The figures of a network do not depend on which others are evaluated with it, bit for bit on CPU:
    see ``usable_threads``.

    Args:
        program: The architecture.
        params: The stack.
        inputs: Examples as ``program.prepare`` makes them, of the weights' type.
        labels: Of the examples, the same for all networks or one row for each.
        with_predictions: Whether to return the predicted classes.
    """
    num, num_examples = num_networks(params), inputs.shape[0]
    losses = torch.empty(num, dtype=torch.float64, device=inputs.device)
    errors = torch.empty_like(losses)
    predictions = torch.empty((num, num_examples), dtype=torch.int64) if with_predictions else None
    for start, stop in network_chunks(program, num, inputs):
        part = {name: tensor[start:stop] for name, tensor in params.items()}
        own = labels if labels.ndim == 1 else labels[start:stop]
        with threads(usable_threads(stop - start)):
            into = predictions[start:stop] if predictions is not None else None
            losses[start:stop], errors[start:stop] = _evaluate_chunk(program, part, inputs, own, into)
    return Evaluation(losses=losses.cpu(), errors=errors.cpu(), predictions=predictions)


def usable_threads(num_together: int) -> int:
    """Threads for a product of so many networks: never more than one for each network.

    With more threads than matrices, the library splits a single matrix product, and its rounding
    changes with the split. One thread per network at most keeps a network's figures the same bits
    alone and in company, on one thread and on many (measured; tests hold it).
    """
    return min(num_together, torch.get_num_threads())


def network_chunks(program: StackedProgram, num: int, inputs: Tensor) -> list[tuple[int, int]]:
    """Ranges of networks, of nearly equal length, whose activations stay within CHUNK_FLOATS.

    The inputs are shared by all networks and do not count. A chunk has at least as many networks as there
    are threads, where there are so many: see ``usable_threads``.
    """
    own_floats = max(1, program.floats_per_example() - inputs[0].numel())
    most = max(torch.get_num_threads(), CHUNK_FLOATS // (own_floats * CHUNK_EXAMPLES))
    count = -(-num // most)
    bounds = [num * index // count for index in range(count + 1)]
    return list(pairwise(bounds))


def example_chunks(inputs: Tensor) -> Iterator[tuple[int, int, Tensor]]:
    """Ranges of examples and the examples themselves, which are more than the range where padded."""
    for start in range(0, inputs.shape[0], CHUNK_EXAMPLES):
        stop = min(start + CHUNK_EXAMPLES, inputs.shape[0])
        yield start, stop, _padded(inputs[start:stop])


def tally(logits: Float[Tensor, "N C B"], labels: Int64[Tensor, " B"] | Int64[Tensor, "N B"]) -> Tally:
    """Sums over the examples of cross-entropy and of mistakes, per network.

    Log-probabilities are of the logits' type, their sum is float64. The predicted class is the first
    of those with the largest logit.
    """
    truth = labels.expand(logits.shape[0], logits.shape[2])
    log_probabilities = torch.log_softmax(logits, 1)
    of_truth = log_probabilities.gather(1, truth.unsqueeze(1)).squeeze(1)
    predictions = _first_largest(logits)
    return Tally(
        loss_sums=of_truth.sum(1, dtype=torch.float64).neg_(),
        num_mistakes=(predictions != truth).sum(1),
        predictions=predictions,
    )


def _first_largest(logits: Float[Tensor, "N C B"]) -> Int64[Tensor, "N B"]:
    """The first class with the largest logit; C where logits are NaN.

    ``argmax`` over an axis that is not the last was measured at fifty times the cost of this.
    """
    num_classes = logits.shape[1]
    kind = torch.int8 if num_classes < 128 else torch.int16
    is_largest = logits == logits.amax(1, keepdim=True)
    from_last = torch.arange(num_classes, 0, -1, dtype=kind, device=logits.device).unsqueeze(-1)
    return num_classes - (is_largest * from_last).amax(1).to(torch.int64)


def _evaluate_chunk(
    program: StackedProgram, params: ParamStack, inputs: Tensor, labels: Tensor, predictions: Tensor | None
) -> tuple[Float64[Tensor, " N"], Float64[Tensor, " N"]]:
    """Loss and error of a few networks, over chunks of examples; predictions go to the tensor given."""
    num, num_examples = num_networks(params), inputs.shape[0]
    loss_sums = torch.zeros(num, dtype=torch.float64, device=inputs.device)
    num_mistakes = torch.zeros(num, dtype=torch.int64, device=inputs.device)
    for start, stop, chosen in example_chunks(inputs):
        part = tally(program.logits(params, chosen)[..., : stop - start], labels[..., start:stop])
        loss_sums.add_(part.loss_sums)
        num_mistakes.add_(part.num_mistakes)
        if predictions is not None:
            predictions[:, start:stop] = part.predictions
    return loss_sums / num_examples, num_mistakes.to(torch.float64) / num_examples


def _padded(inputs: Tensor) -> Tensor:
    """The examples, the last one repeated up to a multiple of 16: all products then start aligned alike."""
    missing = -inputs.shape[0] % 16
    return torch.cat([inputs, inputs[-1:].expand(missing, *inputs.shape[1:])]) if missing else inputs
