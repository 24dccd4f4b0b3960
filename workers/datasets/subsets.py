"""Which examples of a data set a subset holds."""

from __future__ import annotations

import torch
from jaxtyping import Int64
from torch import Tensor

from workers.seeding import generator


def subset_rows(
    dataset: str, split: str, num_available: int, num_kept: int | None, seed: int
) -> Int64[Tensor, " kept"]:
    """Rows of a split that a subset holds, ascending; all of them for None.

    They are the first ``num_kept`` of one permutation of the split, so that of two subsets with one
    seed the larger holds the smaller.

    Raises:
        ValueError: If there are fewer than ``num_kept``.
    """
    if num_kept is None:
        return torch.arange(num_available)
    if num_kept > num_available:
        raise ValueError(f"num_{split} is {num_kept}, {dataset} has {num_available} {split} examples")
    order = torch.randperm(num_available, generator=generator("subset", dataset, split, seed))
    return order[:num_kept].sort().values
