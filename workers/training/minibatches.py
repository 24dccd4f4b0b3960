"""The minibatches of one epoch as flat indices, prepared many steps at a time."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from jaxtyping import Int64
from torch import Tensor

INDEX_ENTRIES = 1 << 20
"""Indices prepared at a time: 8 MiB, so that those of a large data set's epoch are never held together."""


@dataclass(frozen=True)
class Minibatches:
    """Consecutive steps whose batches have the same size.

    ``size`` examples of every batch count. Its last ``padded_size - size`` repeat the first one, so
    that shapes stay multiples of 4; they must get no gradient.

    Attributes:
        size: Examples of a batch.
        padded_size: The same rounded up to a multiple of 4.
        rows: Per step, the rows of the data set that the networks see, network after network.
        picks: Per step, where the true class of each stands in flattened (N, C, padded_size) logits.
    """

    size: int
    padded_size: int
    rows: Int64[Tensor, "steps entries"]
    picks: Int64[Tensor, "steps entries"]


def minibatches(
    order: Int64[Tensor, "N examples"],
    labels: Int64[Tensor, "N examples"],
    batch_size: int,
    num_classes: int,
) -> Iterator[Minibatches]:
    """The steps of an epoch in order; the last batch holds what remains and may be smaller.

    Args:
        order: Per network, the rows of the data set in the order in which it sees them.
        labels: Per network, the true class of each example, in that same order.
        batch_size: Examples of every batch but perhaps the last.
        num_classes: C.
    """
    num, num_examples = order.shape
    num_full = num_examples // batch_size
    steps_at_a_time = max(1, INDEX_ENTRIES // (num * batch_size))
    for start in range(0, num_full, steps_at_a_time):
        part = slice(start * batch_size, min(start + steps_at_a_time, num_full) * batch_size)
        yield _steps(order[:, part], labels[:, part], batch_size, num_classes)
    if num_examples % batch_size:
        rest = slice(num_full * batch_size, None)
        yield _steps(order[:, rest], labels[:, rest], num_examples % batch_size, num_classes)


def rounded_up(size: int) -> int:
    """The next multiple of 4: matrices of such sizes all start 16 bytes aligned, in float32 and float64."""
    return -(-size // 4) * 4


def _steps(order: Tensor, labels: Tensor, size: int, num_classes: int) -> Minibatches:
    """Examples laid out as (steps, N, padded size), with their indices."""
    num, padded = order.shape[0], rounded_up(size)
    network = torch.arange(num, device=order.device).unsqueeze(-1) * (num_classes * padded)
    position = torch.arange(padded, device=order.device)
    picks = _by_step(labels, size, padded) * padded + (network + position)
    return Minibatches(size, padded, _by_step(order, size, padded).flatten(1), picks.flatten(1))


def _by_step(values: Int64[Tensor, "N examples"], size: int, padded: int) -> Int64[Tensor, "steps N padded"]:
    """The values of each step together, the first one of a batch repeated up to the padded size."""
    steps = values.reshape(values.shape[0], -1, size).transpose(0, 1)
    return torch.cat([steps, steps[..., :1].expand(-1, -1, padded - size)], dim=-1)
