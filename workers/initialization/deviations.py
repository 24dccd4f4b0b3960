"""How far the networks between two others are from the line between their outputs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from workers.device import map_on_threads
from workers.initialization.draws import Pairs
from workers.initialization.specs import LipschitzActivation

_PART_FLOATS = 1 << 18
"""Hidden activations of one network that a product works on, in floats: a part stays in the cache."""
_STACK_FLOATS = 1 << 20
"""Hidden activations of all networks of a product: small networks share one."""

ACTIVATIONS: dict[LipschitzActivation, Callable[[Tensor], Tensor]] = {
    "relu": torch.relu_,
    "tanh": torch.tanh_,
    "softplus": torch.nn.functional.softplus,
}
"""Each may write over what it is given."""


@dataclass(frozen=True)
class Deviations:
    """Deviations from linearity of N pairs, for K draws of their output weights at B inputs.

    Attributes:
        largest: The largest over all alphas.
        means: Means over draws and inputs at each alpha.
        output_rms: Root mean square of the two networks' outputs over draws and inputs.
    """

    largest: Float64[Tensor, "N K B"]
    means: Float64[Tensor, "N A"]
    output_rms: Float64[Tensor, " N"]


def deviations(
    pairs: Pairs,
    inputs: Float64[Tensor, "B d"],
    alphas: tuple[float, ...],
    activation: LipschitzActivation = "relu",
) -> Deviations:
    """How far the interpolated networks' outputs are from the interpolated outputs.

        |f_alpha(x) - (1 - alpha) f_0(x) - alpha f_1(x)|,   theta(alpha) = (1 - alpha) theta_0 + alpha theta_1

    The theorem writes alpha for the first network's share, which names the same points in reverse. Inputs are
    taken in parts whose size depends on the shapes alone, so that a pair's digits depend neither on the
    pairs beside it nor on the number of threads.

    Args:
        pairs: Networks, the units of the second ones matched already.
        inputs: The same for all pairs.
        alphas: Positions on the segment.
        activation: Of the hidden units.

    Source:
        Entezari et al. 2021, theorem 3.1.
    """
    num_pairs, width, _ = pairs.first_inputs.shape
    part = max(1, _PART_FLOATS // width)
    together = max(1, _STACK_FLOATS // (width * min(part, len(inputs))))
    blocks = [slice(start, start + together) for start in range(0, num_pairs, together)]
    columns = [inputs[start : start + part].T for start in range(0, len(inputs), part)]
    tasks = [(block, column) for block in blocks for column in columns]

    def of_task(task: tuple[slice, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
        return _of_part(_rows(pairs, task[0]), task[1], alphas, ACTIVATIONS[activation])

    found = map_on_threads(of_task, tasks)
    by_block = [found[start : start + len(columns)] for start in range(0, len(found), len(columns))]
    num_figures = pairs.first_outputs.shape[1] * len(inputs)
    sums = torch.cat([_sum_in_order([part[1] for part in parts]) for parts in by_block])
    squares = torch.cat([_sum_in_order([part[2] for part in parts]) for parts in by_block])
    return Deviations(
        largest=torch.cat([torch.cat([part[0] for part in parts], dim=2) for parts in by_block]),
        means=sums / num_figures,
        output_rms=(squares / (2 * num_figures)).sqrt(),
    )


def _sum_in_order(parts: list[Tensor]) -> Tensor:
    """The parts added one after another."""
    total = parts[0]
    for part in parts[1:]:
        total = total + part
    return total


def _rows(pairs: Pairs, block: slice) -> Pairs:
    return Pairs(
        pairs.first_inputs[block],
        pairs.second_inputs[block],
        pairs.first_outputs[block],
        pairs.second_outputs[block],
    )


def _of_part(
    pairs: Pairs,
    columns: Float64[Tensor, "d b"],
    alphas: tuple[float, ...],
    activate: Callable[[Tensor], Tensor],
) -> tuple[Tensor, Tensor, Tensor]:
    """Largest deviations, their sums at each alpha, and summed squares of the outputs, at some inputs."""
    at = columns.expand(len(pairs.first_inputs), -1, -1)

    def outputs(alpha: float) -> Tensor:
        between = (1 - alpha) * pairs.first_inputs + alpha * pairs.second_inputs
        hidden = activate(torch.bmm(between, at))
        return torch.bmm((1 - alpha) * pairs.first_outputs + alpha * pairs.second_outputs, hidden)

    first, second = outputs(0.0), outputs(1.0)
    largest = torch.zeros_like(first)
    sums = []
    for alpha in alphas:
        if alpha in (0.0, 1.0):  # there the network is one of the two
            sums.append(first.new_zeros(len(first)))
            continue
        off = outputs(alpha).sub_((1 - alpha) * first).sub_(alpha * second).abs_()
        torch.maximum(largest, off, out=largest)
        sums.append(off.sum((1, 2)))
    squares = (first * first + second * second).sum((1, 2))
    return largest, torch.stack(sums, dim=1), squares
