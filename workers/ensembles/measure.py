"""What an ensemble of two networks does: each alone, averaged in weight space, averaged in predictions."""

from __future__ import annotations

import math
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from workers.architectures.program import StackedProgram
from workers.datasets.inputs import Inputs
from workers.device import map_on_threads
from workers.evaluation import Chunk, chunks_of, tally
from workers.params import ParamStack, num_networks

PREDICTORS = ("first", "second", "weight_average", "prediction_average")
"""What is measured of every pair, in the order of the rows of its figures."""

ALPHAS = [0.0, 0.5, 1.0]


@dataclass(frozen=True)
class EnsembleFigures:
    """Figures of P pairs on some examples, one row for each of ``PREDICTORS``.

    Attributes:
        losses: Mean cross-entropy in nats.
        errors: Fraction of examples predicted wrongly; 1 where the predictions are not numbers.
        disagreement: Fraction of examples that the two networks predict differently.
        num_examples: That the figures are means over.
    """

    losses: Float64[Tensor, "4 P"]
    errors: Float64[Tensor, "4 P"]
    disagreement: Float64[Tensor, " P"]
    num_examples: int


def measure_ensembles(
    program: StackedProgram,
    first: ParamStack,
    second: ParamStack,
    inputs: Inputs,
    labels: Int64[Tensor, " B"],
) -> EnsembleFigures:
    """Loss and error of two networks, of the mean of their weights, and of the mean of their predictions.

    The weight average is the network at the middle of the line between the two. The prediction average
    predicts p = (softmax(z_a) + softmax(z_b)) / 2; its loss is the mean of -log p at the true class, its
    prediction the class with the largest p. The figures of a pair depend neither on which others are measured
    with it nor on the number of threads, bit for bit on CPU.

    Args:
        program: The architecture.
        first: P networks.
        second: P networks; pair p joins row p of both.
        inputs: Examples as ``program.prepare`` makes them, of the weights' type and on their device.
        labels: Of the examples.
    """
    num = num_networks(first)
    sums = torch.zeros((len(PREDICTORS), num, 2), dtype=torch.float64)
    num_differing = torch.zeros(num, dtype=torch.int64)

    def look(chunk: Chunk) -> tuple[Float64[Tensor, "4 P 2"], Int64[Tensor, " P"]]:
        a, b = ({name: tensor[chunk.networks] for name, tensor in end.items()} for end in (first, second))
        of_a, middle, of_b = (
            chunk.scored(logits, labels)
            for logits in program.logits_on_segment(a, b, ALPHAS, chunk.inputs_of(inputs))
        )
        truth = of_a[1]
        averaged = averaged_predictions(of_a[0], of_b[0])
        tallies = [tally(scores, truth) for scores in (of_a[0], of_b[0], middle[0], averaged)]
        figures = [torch.stack([found.loss_sums, found.num_mistakes.double()], -1) for found in tallies]
        differing = tallies[0].predictions != tallies[1].predictions
        return torch.stack(figures).cpu(), differing.sum(1).cpu()

    chunks = chunks_of(program, num, inputs)
    for chunk, (of_chunk, differing) in zip(chunks, map_on_threads(look, chunks), strict=True):
        sums[:, chunk.networks] += of_chunk
        num_differing[chunk.networks] += differing
    losses, errors = (sums / len(inputs)).unbind(-1)
    return EnsembleFigures(losses, errors, num_differing.double() / len(inputs), len(inputs))


def averaged_predictions(
    first: Float[Tensor, "P C B"], second: Float[Tensor, "P C B"]
) -> Float[Tensor, "P C B"]:
    """Logarithms of the mean of the class probabilities that two stacks of logits stand for."""
    of_first, of_second = (torch.log_softmax(logits, 1) for logits in (first, second))
    # Pair by pair: entries that fill no vector register at the end of a tensor are rounded otherwise.
    of_pairs = zip(of_first, of_second, strict=True)
    return torch.stack([torch.logaddexp(a, b) for a, b in of_pairs]) - math.log(2.0)


def end_cosines(first: ParamStack, second: ParamStack) -> Float64[Tensor, " P"]:
    """Cosine of all weights of one network and all weights of the other, without biases.

    The tensors of more than one axis; NaN where an end is zero.
    """
    products = torch.zeros((3, num_networks(first)), dtype=torch.float64)
    for name, a in first.items():
        if a.ndim > 2 and a.is_floating_point():
            x, y = a.flatten(1).double(), second[name].flatten(1).double()
            products += torch.stack([(x * y).sum(1), (x * x).sum(1), (y * y).sum(1)]).cpu()
    return products[0] / (products[1] * products[2]).sqrt()
