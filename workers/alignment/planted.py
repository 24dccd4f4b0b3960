"""Worlds of known answer: copies of networks, permuted and with noise on their weights."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float64
from torch import Tensor

from workers.alignment.batch import Finding, result_of
from workers.alignment.outcome import AlignmentResult
from workers.params import ParamStack, num_networks
from workers.permutation import permute
from workers.permutation.permute import PermutationStack
from workers.permutation.spec import PermutationSpec
from workers.seeding import generator


@dataclass(frozen=True)
class Planting:
    """What decides a perturbed copy, beside the weights.

    Attributes:
        network_id: Of the network that is copied.
        pair_index: Of the pair among those of its cell.
        member: Position of the copy in its group of networks; member 0 is the network itself.
        noise: Standard deviation of the noise, in that of each parameter tensor; 0 or more.
    """

    network_id: str
    pair_index: int
    member: int
    noise: float


def perturbed(params: ParamStack, plantings: Sequence[Planting], parameters: Collection[str]) -> ParamStack:
    """Copies of networks with noise added to their parameters, in their original order of units.

    Tensor by tensor

        theta + noise * std(theta) * eps,    eps standard normal,

    where std is the population standard deviation of the tensor's entries. The draws of a tensor come from
    a stream of its own, named by (network_id, pair_index, member) and the tensor, so that they are the same
    for every method and every level of noise. Each row is computed by itself: its bits do not depend on
    the others of the stack. With noise 0 the copy is exact.

    Args:
        params: A stack on the CPU, one row per planting; unchanged.
        plantings: One per row.
        parameters: Names of the tensors that get noise; buffers stay as they are.

    Source:
        Entezari et al. 2021, section 3.4, ask whether a search that fails lacks an answer or misses it: here
        an answer is known.
    """
    assert len(plantings) == num_networks(params)
    copies = {name: tensor.clone() for name, tensor in params.items()}
    for row, planting in enumerate(plantings):
        if planting.noise == 0 or planting.member == 0:
            continue
        for name in sorted(parameters):
            tensor = copies[name][row]
            stream = generator(
                "planted_noise", planting.network_id, planting.pair_index, planting.member, name
            )
            drawn = torch.randn(tensor.shape, generator=stream, dtype=torch.float64)
            scale = planting.noise * _std(tensor)
            copies[name][row] = (tensor.double() + scale * drawn).to(tensor.dtype)
    return copies


def _std(tensor: Tensor) -> float:
    """Population standard deviation, to float32's precision: the same for any number of threads."""
    return float(np.float32(tensor.double().numpy().ravel().std()))


def planted_start(spec: PermutationSpec, network_id: str, pair_index: int, member: int) -> dict[str, Tensor]:
    """The uniform permutation by which a copy is hidden, the same for every method and level of noise."""
    return permute.random(spec, "model_pair", network_id, pair_index, member)


def undone(starts: Sequence[Mapping[str, Tensor]], spec: PermutationSpec, num_groups: int) -> AlignmentResult:
    """The answer: every member's planted permutation, undone.

    Args:
        starts: Per member, the permutations of P groups of networks that were planted.
        spec: Where they act.
        num_groups: P.
    """
    answers = [permute.invert(start) for start in starts]
    return result_of(
        [
            Finding(
                permutations=[{group: index[row] for group, index in of.items()} for of in answers],
                objective_start=math.nan,
                objective_end=math.nan,
                num_evaluations=0,
                seconds=0.0,
                outcome="planted",
                details={},
            )
            for row in range(num_groups)
        ],
        "none",
        spec,
    )


def recovered(totals: Sequence[PermutationStack]) -> Float64[Tensor, " P"]:
    """Share of units that are back at the place that they had before they were permuted, in [0, 1].

    Args:
        totals: Per moved member, the total permutations of P groups of networks, starts included.
    """
    indices = torch.cat([index for of_member in totals for index in of_member.values()], dim=1)
    places = torch.cat([torch.arange(index.shape[1]) for of_member in totals for index in of_member.values()])
    return (indices == places).double().mean(dim=1)
