"""The memory of a group of MLPs: how their weights lie in a flat buffer, and what their steps write to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import NamedTuple

import torch
from torch import Tensor

from workers.architectures.mlp import MLPProgram
from workers.params import Params
from workers.training.minibatches import rounded_up


class StepBuffers(NamedTuple):
    """What one step of one batch size writes."""

    inputs: Tensor  # (N, B, inputs)
    hidden: list[Tensor]  # (N, W, B) per hidden layer
    hidden_gradients: list[Tensor]  # two of (N, W, B), used in turn
    logits: Tensor  # (N, C, B), then their gradient
    log_probabilities: Tensor  # (N, C, B)
    minus_one: Tensor  # (N * B)


@dataclass(frozen=True)
class Layout:
    """How N MLPs of one shape lie in a flat buffer: the weights of all layers, then all biases.

    Each is a block with the network axis first. Whatever there is one of per weight - velocities, running
    averages, the other end of a line - lies alike, in a buffer of its own.

    Attributes:
        sizes: Inputs, units of each hidden layer, classes.
        padded: The same as they lie: all but the classes rounded up, entries beyond the size zero.
    """

    sizes: tuple[int, ...]
    padded: tuple[int, ...]

    @classmethod
    def of(cls, program: MLPProgram) -> Layout:
        """The layout of an architecture."""
        below = (program.num_inputs, *[program.width] * program.depth)
        classes = program.num_classes
        return cls((*below, classes), (*map(rounded_up, below), classes))

    @property
    def num_entries(self) -> int:
        """Entries of one network."""
        return sum(num_in * num_out + num_out for num_in, num_out in pairwise(self.padded))

    @property
    def num_layers(self) -> int:
        """Weights of a network; as many blocks of biases follow."""
        return len(self.padded) - 1

    @property
    def names(self) -> list[str]:
        """State-dict names in the order of the blocks."""
        return [f"layers.{layer}.{kind}" for kind in ("weight", "bias") for layer in range(self.num_layers)]

    def blocks(self, flat: Tensor) -> list[Tensor]:
        """Views of all blocks of a buffer: (N, out, in) of each layer, then (N, out)."""
        num = flat.numel() // self.num_entries
        shapes = [
            *((num, num_out, num_in) for num_in, num_out in pairwise(self.padded)),
            *((num, num_out) for num_out in self.padded[1:]),
        ]
        return split(flat, shapes)

    def write(self, flat: Tensor, slot: int, params: Params) -> None:
        """Puts the tensors of one network into its slot of a buffer."""
        for block, name in zip(self.blocks(flat), self.names, strict=True):
            value = params[name]
            block[slot].zero_()[tuple(map(slice, value.shape))] = value

    def clear(self, flat: Tensor, slot: int) -> None:
        """Fills a slot of a buffer with zeros."""
        for block in self.blocks(flat):
            block[slot].zero_()

    def read(self, flat: Tensor, slot: int) -> Params:
        """Copies of the tensors of one network, without what they were padded with."""
        shapes = [(*pair[::-1],) for pair in pairwise(self.sizes)] + [(size,) for size in self.sizes[1:]]
        return {
            name: block[slot][tuple(map(slice, shape))].clone()
            for name, block, shape in zip(self.names, self.blocks(flat), shapes, strict=True)
        }

    def kept(self, flat: Tensor, slots: Sequence[int]) -> Tensor:
        """A buffer with these slots of another one, in the order given."""
        index = torch.tensor(slots, device=flat.device)
        return torch.cat([block[index].flatten() for block in self.blocks(flat)])


def split(flat: Tensor, shapes: Sequence[tuple[int, ...]]) -> list[Tensor]:
    """Consecutive parts of a flat buffer, of these shapes."""
    lengths = [torch.Size(shape).numel() for shape in shapes]
    return [part.view(shape) for part, shape in zip(torch.split(flat, lengths), shapes, strict=True)]
