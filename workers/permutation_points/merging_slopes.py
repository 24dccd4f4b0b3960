"""By how much the matrices of a network change with the variables in which two of its neurons are merged."""

from __future__ import annotations

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from workers.permutation_points.merging import Merging

Slopes = tuple[list[Float64[Tensor, "N _ _"]], list[Float64[Tensor, "N _ _"]]]


def slopes(merging: Merging, variables: Float[Tensor, "N D"], distances: Float[Tensor, " N"]) -> Slopes:
    """Of every layer, S and T: as variables V change by dV, its matrix changes by S dV T^T.

    That is so of changes that turn vectors whose length is held, and leave their length as it is.
    """
    shape, every = merging.loss.shape, torch.arange(len(variables))
    rows, columns = (
        [
            torch.eye(sizes[side], dtype=torch.float64).repeat(len(variables), 1, 1)
            for sizes in shape.layer_shapes
        ]
        for side in (0, 1)
    )
    for of_layer, length, now in zip(rows, merging.lengths, shape.layers(variables), strict=False):
        of_layer *= (length / now.norm(dim=2, keepdim=True).clamp(min=torch.finfo(now.dtype).tiny)).double()
    (first, second), apart = merging.pair, distances.double()
    half = apart / (2 * variables.gather(1, merging.reads[1]).double().norm(dim=1))
    of_own = rows[merging.layer - 1]
    of_own[every, second, first] = 1.0
    of_own[every, first, second], of_own[every, second, second] = -half, half
    places = [(first, first), (first, second), (second, first), (second, second)]
    for (to, of), part in zip(places, _of_output_weights(merging, variables, apart), strict=True):
        columns[merging.layer][every, to, of] = part
    return rows, columns


def _of_output_weights(merging: Merging, variables: Tensor, apart: Tensor) -> list[Tensor]:
    """How w_l and then w_m change with the first and the second of s and q, or of u and v."""
    share, difference = torch.full_like(apart, 0.5), 1 / torch.where(apart > 0, apart, torch.inf)
    free = [share, -difference, share, difference]
    if merging.held is None:
        return free
    both = torch.cat([variables.gather(1, places) for places in merging.writes], dim=1)
    stretch, nothing = (merging.held / both.norm(dim=1)).double(), torch.zeros_like(apart)
    held = [stretch, nothing, nothing, stretch]
    return [torch.where(apart > 0, one, other) for one, other in zip(held, free, strict=True)]
