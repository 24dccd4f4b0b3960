"""The memory that the steps of a group of MLPs write to."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor


class StepBuffers(NamedTuple):
    """What one step of one batch size writes."""

    inputs: Tensor  # (N, B, inputs)
    hidden: list[Tensor]  # (N, W, B) per hidden layer
    hidden_gradients: list[Tensor]  # two of (N, W, B), used in turn
    logits: Tensor  # (N, C, B), then their gradient
    log_probabilities: Tensor  # (N, C, B)
    minus_one: Tensor  # (N * B)


def split(flat: Tensor, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    """Consecutive parts of a flat buffer, of these shapes."""
    lengths = [torch.Size(shape).numel() for shape in shapes]
    return [part.view(shape) for part, shape in zip(torch.split(flat, lengths), shapes, strict=True)]
