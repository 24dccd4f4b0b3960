"""Random weights and inputs on which a permutation spec is proved."""

from __future__ import annotations

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from workers.permutation.stand_in import values_of
from workers.seeding import generator

NUM_DRAWS = 3
"""Draws of weights before a module counts as one whose outputs cannot be made to vary."""

LARGE_GAIN = 10.0
"""Factor on the weights of the last draw: what a layer subtracts from the others may be large."""


def weights_of_draw(draw: int) -> Callable[[str | None, Tensor], Tensor]:
    """What makes random values in place of a tensor's own: weights of unit gain, all else about 1.

    From the second draw on, what is about 1 has either sign, where it is a parameter; in the last one,
    weights are large. Masks, numbers and what a module does not store stay as they are.
    """
    suffix = (draw,) if draw else ()

    def make(name: str | None, tensor: Tensor) -> Tensor:
        values = values_of(tensor)
        if not tensor.is_floating_point():
            return values
        stored = name is not None and tensor.layout == torch.strided
        is_parameter = isinstance(tensor, nn.Parameter)
        if not stored or not (is_parameter or values.isfinite().all()):
            return values.double()
        stream = generator("check_spec", name or "", *suffix)
        if is_parameter and tensor.ndim > 1:
            fan_in = max(1, tensor.numel() // tensor.shape[0])
            gain = LARGE_GAIN if draw == NUM_DRAWS - 1 else 1.0
            drawn = torch.randn(tensor.shape, generator=stream, dtype=torch.float64)
            return drawn * (gain / math.sqrt(fan_in))
        near_one = 0.5 + torch.rand(tensor.shape, generator=stream, dtype=torch.float64)
        if draw and is_parameter:
            near_one *= torch.randint(2, tensor.shape, generator=stream) * 2 - 1
        return near_one

    return make


Inputs = tuple[Tensor | None, ...]
"""The arguments of a forward pass."""


def inputs_to_try(module: nn.Module, examples: Inputs) -> list[Inputs]:
    """Inputs of the examples' shapes: normal ones, positive ones, the examples; the first that fit count.

    Whole numbers are random tokens of the module's embeddings, of the longest first, then as they are.
    """
    has_numbers = any(one is not None and _is_number(one) for one in examples)
    tables = {layer.num_embeddings for layer in module.modules() if isinstance(layer, nn.Embedding)}
    longest_first = sorted({max(tables), min(tables)}, reverse=True) if tables and has_numbers else []
    kinds: list[tuple[str, int | None]] = [("normal", tokens) for tokens in longest_first]
    kinds += [("normal", None), ("positive", None), ("example", None)]
    return [
        tuple(_input(example, number, kind, tokens) for number, example in enumerate(examples))
        for kind, tokens in kinds
    ]


def _input(example: Tensor | None, number: int, kind: str, num_tokens: int | None) -> Tensor | None:
    if example is None:
        return None
    stream = generator("check_spec", "input", number)
    if _is_number(example) and num_tokens is not None:
        return torch.randint(num_tokens, example.shape, generator=stream, dtype=example.dtype)
    if not example.is_floating_point():
        return values_of(example)
    if kind == "normal":
        return torch.randn(example.shape, generator=stream, dtype=torch.float64)
    if kind == "positive":
        return 0.5 + torch.rand(example.shape, generator=stream, dtype=torch.float64)
    return values_of(example).double()


def _is_number(tensor: Tensor) -> bool:
    """Whether the tensor holds whole numbers."""
    return tensor.dtype in (torch.int64, torch.int32)
