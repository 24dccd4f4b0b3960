"""Loss and error of a stack of networks over all examples given."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from workers.architectures.program import StackedProgram
from workers.datasets.inputs import Inputs
from workers.device import map_on_threads
from workers.params import ParamStack, num_networks

CHUNK_EXAMPLES = 512
"""Examples evaluated together at most; a multiple of 16, so that all products start aligned alike."""

MIN_CHUNK_EXAMPLES = 16

EXAMPLE_FLOATS = 1 << 26
"""Activations of all layers of one network on the examples of a chunk, in floats; few are alive at once.

Measured on shallow CNNs, VGG-11 and ResNet-20, digits to CIFAR-10: from 128 to 512 examples small networks
differ by a fifth at most and lose twofold at 32; ResNet-20 at width 16 is fastest at 32 to 128, and gets
128.
"""

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
    inputs: Inputs,
    labels: Int64[Tensor, " B"] | Int64[Tensor, "N B"],
    *,
    with_predictions: bool = False,
) -> Evaluation:
    """Mean loss and error of every network over all examples, each in the arithmetic of the weights.

    Logits and log-probabilities are of the weights' type (float32 in sweeps), sums over examples are
    float64. The predicted class is the first of those with the largest logit; a network whose logits
    are not numbers predicts C, which is no class, so its error is 1.

    The figures of a network depend neither on which others are evaluated with it nor on the number of
    threads, bit for bit on CPU: chunks of networks and examples are taken side by side, each on one
    thread, where the rounding of a product was measured not to depend on its neighbors.

    Args:
        program: The architecture.
        params: The stack.
        inputs: Examples as ``program.prepare`` makes them, of the weights' type and on their device.
        labels: Of the examples, the same for all networks or one row for each.
        with_predictions: Whether to return the predicted classes.
    """
    num, num_examples = num_networks(params), len(inputs)
    loss_sums = torch.zeros(num, dtype=torch.float64)
    num_mistakes = torch.zeros(num, dtype=torch.int64)
    predictions = torch.empty((num, num_examples), dtype=torch.int64) if with_predictions else None

    def tally_chunk(chunk: Chunk) -> Tally:
        part = {name: tensor[chunk.networks] for name, tensor in params.items()}
        return tally(*chunk.scored(program.logits(part, chunk.inputs_of(inputs)), labels))

    chunks = chunks_of(program, num, inputs)
    for chunk, found in zip(chunks, map_on_threads(tally_chunk, chunks), strict=True):
        loss_sums[chunk.networks] += found.loss_sums.cpu()
        num_mistakes[chunk.networks] += found.num_mistakes.cpu()
        if predictions is not None:
            predictions[chunk.networks, chunk.examples] = found.predictions.cpu()
    return Evaluation(loss_sums / num_examples, num_mistakes.to(torch.float64) / num_examples, predictions)


@dataclass(frozen=True)
class Chunk:
    """Some networks and some examples."""

    networks: slice
    examples: slice

    def inputs_of(self, inputs: Inputs) -> Tensor:
        """The examples, padded: the last one is repeated up to a multiple of 16.

        The products of all networks of a stack then start aligned alike.
        """
        chosen = inputs[self.examples]
        missing = -chosen.shape[0] % 16
        return torch.cat([chosen, chosen[-1:].expand(missing, *chosen.shape[1:])]) if missing else chosen

    def scored(self, logits: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        """Logits and labels of the examples, without the padding."""
        own = labels if labels.ndim == 1 else labels[self.networks]
        return logits[..., : self.examples.stop - self.examples.start], own[..., self.examples]


def chunks_of(program: StackedProgram, num: int, inputs: Inputs) -> list[Chunk]:
    """All networks and examples in chunks of nearly equal numbers of networks; those of a network in order.

    The activations of a chunk stay within CHUNK_FLOATS, of one network at least; the inputs are shared by
    all networks and do not count. How many examples are taken depends on the program alone.
    """
    num_examples = len(inputs)
    own_floats = max(1, program.floats_per_example() - inputs[:1].numel())
    together = min(CHUNK_EXAMPLES, EXAMPLE_FLOATS // own_floats)
    together = max(MIN_CHUNK_EXAMPLES, together // MIN_CHUNK_EXAMPLES * MIN_CHUNK_EXAMPLES)
    most = max(1, CHUNK_FLOATS // (own_floats * together))
    count = -(-num // most)
    bounds = [num * index // count for index in range(count + 1)]
    return [
        Chunk(slice(first, last), slice(start, min(start + together, num_examples)))
        for first, last in pairwise(bounds)
        for start in range(0, num_examples, together)
    ]


def usable_threads(num_together: int) -> int:
    """Threads for a product of so many networks: never more than one for each network.

    With more threads than matrices, the library splits a single matrix product, and its rounding
    changes with the split. One thread per network at most keeps a network's figures the same bits
    alone and in company, on one thread and on many (measured; tests hold it).
    """
    return min(num_together, torch.get_num_threads())


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
