"""What chains of shallow convolutional networks share: weights, and channels of the first layer by unit.

Maps lie channel by channel with the examples innermost, (channels, height, width, B), and the examples in
blocks. The last convolution, which covers the whole map, is then a matrix product.

Shape legend: n members, W units, B examples of a block.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.alignment.annealing.problem import Problem
from workers.architectures.module_program import ModuleProgram
from workers.architectures.shallow_cnn import ShallowCNN
from workers.device import map_on_threads


class ConvolvedGround:
    """Weights of the members, and their first layers' channels where these are kept.

    Both are divided by the number of networks that a merge is the mean of, so that sums are means.

    Attributes:
        depth: Convolutions, L.
        first: Weights (n, W, channels, 9, 9) of the first one, and biases (n, W).
        between: Weights (n, W, W, 3, 3) of every one between the first and the last.
        last: Weights (n, W, W, height * width) of the last.
        biases: (n, W) of all convolutions.
        linear: Weights (n, C, W) and biases (n, C).
        below: Pre-activations (n, W, height, width, B) of the first layer, one per block; or nothing.
    """

    def __init__(self, problem: Problem, is_kept: bool) -> None:
        self.problem = problem
        module = _module(problem)
        self.depth = len(module.convolutions)
        share = 1.0 / len(problem.merges[0])

        def stacked(name: str) -> Tensor:
            return torch.stack([member[name] * share for member in problem.members])

        weights = [stacked(f"convolutions.{layer}.weight") for layer in range(self.depth)]
        self.biases = [stacked(f"convolutions.{layer}.bias") for layer in range(self.depth)]
        self.first, self.between, self.last = weights[0], weights[1:-1], weights[-1].flatten(3)
        self.linear = stacked("linear.weight"), stacked("linear.bias")
        self.sides = _sides(problem)
        self.width = len(self.first[0])
        length = _block_length(problem)
        total = len(problem.examples.labels)
        self.blocks = [slice(start, min(start + length, total)) for start in range(0, total, length)]
        # each block on one thread: a library's sums may depend on the number of threads
        self.below = map_on_threads(self._channels, self.blocks) if is_kept else None

    @cached_property
    def num_examples(self) -> int:
        """Of all blocks."""
        return len(self.problem.examples.labels)

    def lengths(self) -> list[int]:
        """Examples of every block."""
        return [chosen.stop - chosen.start for chosen in self.blocks]

    def units(self, index: np.ndarray) -> Tensor:
        """Some places, on the device of the weights."""
        return torch.from_numpy(index).to(self.first.device)

    def _convolved(self, weight: Tensor, bias: Tensor, chosen: slice) -> Tensor:
        """The first layer's pre-activations (outputs, height, width, B)."""
        inputs, layer = self.problem.examples.inputs[chosen], _convolution(self.problem, 0)
        assert isinstance(layer.padding, tuple)
        made = functional.conv2d(inputs, weight, bias, layer.stride, layer.padding)
        return made.permute(1, 2, 3, 0).contiguous()

    def _channels(self, chosen: slice) -> Tensor:
        """Pre-activations (n, W, height, width, B) of every member by itself."""
        made = self._convolved(self.first.flatten(0, 1), self.biases[0].flatten(), chosen)
        return made.view(*self.biases[0].shape, *made.shape[1:])

    def first_rows(self, number: int, units: np.ndarray, merge: Sequence[int]) -> Tensor:
        """Pre-activations (R, height, width, B) of R places of a merge's first layer.

        Args:
            number: Of the block.
            units: (n, R) which unit of each member stands at each place.
            merge: The members that it is the mean of.
        """
        if self.below is None:
            chosen = [self.units(units[k]) for k in merge]
            weight = sum(self.first[k][own] for k, own in zip(merge, chosen, strict=True))
            bias = sum(self.biases[0][k][own] for k, own in zip(merge, chosen, strict=True))
            assert isinstance(weight, Tensor)
            assert isinstance(bias, Tensor)
            return self._convolved(weight, bias, self.blocks[number])
        below = self.below[number]
        out = below.new_empty(units.shape[1], *below.shape[2:])
        for place, own in enumerate(units.T.tolist()):
            one, other, *others = merge
            torch.add(below[one, own[one]], below[other, own[other]], out=out[place])
            for k in others:
                out[place] += below[k, own[k]]
        return out


def convolved(start: Tensor, weight: Tensor, maps: Tensor, out: Tensor) -> Tensor:
    """``start`` plus a 3x3 convolution with padding 1 of maps, written into ``out``.

    On a CPU it is compiled for few channels on one side. Of 2,000 maps of 11x11, on one thread: 4
    channels to 8 and 32 to 2 take 0.4 of the time of torch's convolution, 4 to 32 the same, 32 to 32
    twice as much.

    Args:
        start: As ``out``, or (outputs,) biases.
        weight: (outputs, channels, 3, 3).
        maps: (channels, height, width, B).
        out: (outputs, height, width, B), contiguous.
    """
    out.copy_(start.view(-1, 1, 1, 1) if start.ndim == 1 else start)
    if maps.device.type != "cpu":
        return out.add_(functional.conv2d(maps.permute(3, 0, 1, 2), weight, padding=1).permute(1, 2, 3, 0))
    from workers.alignment.annealing.convolved_kernels import add_convolved

    add_convolved(out.numpy(), weight.numpy(), maps.numpy(), np.uint64(maps.shape[-1]))
    return out


def serves(problem: Problem) -> bool:
    """Whether the networks are shallow convolutional ones, with a group for each convolution."""
    program = problem.examples.program
    if not isinstance(program, ModuleProgram) or type(program.module) is not ShallowCNN:
        return False
    if any(tensor.dtype not in (torch.float32, torch.float64) for tensor in problem.members[0].values()):
        return False
    return list(problem.spec.groups) == [f"convolutions.{k}" for k in range(len(program.module.convolutions))]


def ground_bytes(problem: Problem) -> float:
    """Memory of the first layer's channels of all members, and of the weights."""
    member, width = problem.members[0], problem.slot_sizes[0]
    weights = sum(tensor.numel() for tensor in member.values())
    maps = width * _num_positions(problem) * len(problem.examples.labels)
    return float(_itemsize(problem) * len(problem.members) * (weights + maps))


def chain_bytes(problem: Problem) -> float:
    """Memory of one chain: every layer's maps, those after a proposal, and the averaged weights."""
    depth, width = len(_module(problem).convolutions), problem.slot_sizes[0]
    size, total = len(problem.merges[0]), len(problem.examples.labels)
    maps = (width * (1 + 2 * (depth - 2)) + 2) * _num_positions(problem)
    weights = sum(tensor.numel() for tensor in problem.members[0].values())
    per_merge = (maps + (2 * size + 4) * width) * total + 2 * weights
    passing = 10 * (width + 4) * _num_positions(problem) * _block_length(problem)
    return float(_itemsize(problem) * (len(problem.merges) * per_merge + passing))


def _module(problem: Problem) -> ShallowCNN:
    """The networks' module."""
    program = problem.examples.program
    assert isinstance(program, ModuleProgram)
    assert isinstance(program.module, ShallowCNN)
    return program.module


def _convolution(problem: Problem, number: int) -> nn.Conv2d:
    """One of the module's."""
    layer = _module(problem).convolutions[number]
    assert isinstance(layer, nn.Conv2d)
    return layer


def _itemsize(problem: Problem) -> int:
    """Bytes of a number."""
    return problem.members[0]["linear.weight"].element_size()


def _sides(problem: Problem) -> tuple[int, int]:
    """Height and width of all maps: what the last convolution covers."""
    height, width = _convolution(problem, -1).kernel_size
    return height, width


def _num_positions(problem: Problem) -> int:
    """Of a map."""
    height, width = _sides(problem)
    return height * width


def _block_length(problem: Problem) -> int:
    """Examples of a block: on a CPU, as many as make good use of its cache."""
    if problem.examples.labels.device.type != "cpu":
        return 4096
    return 512 if len(_module(problem).convolutions) == 2 else 128
