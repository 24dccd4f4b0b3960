"""Modules of a user's own, as a file in the working directory would define them."""

from __future__ import annotations

import torch
from torch import Tensor, nn


class Tied(nn.Module):
    """Convolutions with batch norm and a skip connection; two of them share a weight."""

    def __init__(self, width: int) -> None:
        super().__init__()
        self.stem = nn.Conv2d(1, width, 3, padding=1)
        self.norm = nn.BatchNorm2d(width)
        self.inner = nn.Conv2d(width, width, 3, padding=1)
        self.again = nn.Conv2d(width, width, 3, padding=1)
        self.again.weight = self.inner.weight
        self.head = nn.Linear(width * 16, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = torch.relu(self.norm(self.stem(inputs)))
        hidden = hidden + torch.relu(self.again(torch.relu(self.inner(hidden))))
        return self.head(nn.functional.avg_pool2d(hidden, 2).flatten(1))


class Branching(nn.Module):
    """A forward pass that depends on the values of its input."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(4, 4), nn.Linear(4, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = self.first(inputs)
        return self.second(hidden) if float(hidden.sum()) > 0.5 else hidden


class RunningSum(nn.Module):
    """An operation in the middle whose result depends on the order of the units."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.hidden, self.out = nn.Linear(8, 6), nn.Linear(6, 7), nn.Linear(7, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        summed = torch.cumsum(self.into(inputs), 1)
        return self.out(torch.relu(self.hidden(summed)))


class Products(nn.Module):
    """Hidden units between two bare parameters, not in any layer."""

    def __init__(self) -> None:
        super().__init__()
        self.into, self.out = nn.Parameter(torch.randn(64, 12)), nn.Parameter(torch.randn(12, 10))

    def forward(self, inputs: Tensor) -> Tensor:
        return torch.relu(inputs.flatten(1) @ self.into) @ self.out


class Scaled(nn.Module):
    """Convolutions behind a bare parameter."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))
        self.behind = convolution(2, 28)

    def forward(self, inputs: Tensor) -> Tensor:
        return self.behind(inputs * self.scale)


def tied(width: int = 6) -> nn.Module:
    """Takes one channel of 8x8, returns ten classes."""
    return Tied(width)


def mlp(width: int = 12) -> nn.Module:
    """Takes the pixels of digits, flattened."""
    return nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))


def convolution(axes: int = 2, length: int = 8) -> nn.Module:
    """Takes two channels of one length along each axis, and no other length."""
    convolve = (nn.Conv1d, nn.Conv2d, nn.Conv3d)[axes - 1](2, 3, 3, padding=1)
    return nn.Sequential(convolve, nn.ReLU(), nn.Flatten(), nn.Linear(3 * length**axes, 10))


def embedding(length: int = 16) -> nn.Module:
    """Takes so many tokens, and no other number."""
    layers = nn.Linear(5 * length, 7), nn.ReLU(), nn.Linear(7, 3)
    return nn.Sequential(nn.Embedding(20, 5), nn.Flatten(), *layers)


def products() -> nn.Module:
    """Takes images of digits; no correction finds a layer in it."""
    return Products()


def scaled() -> nn.Module:
    """Takes two channels of 28x28; its first parameter is in no layer."""
    return Scaled()


def branching() -> nn.Module:
    """Cannot be traced."""
    return Branching()


def running_sum() -> nn.Module:
    """Can be permuted in part."""
    return RunningSum()


def single() -> nn.Module:
    """Has no hidden units."""
    return nn.Linear(4, 2)


def number() -> int:
    """Is no module."""
    return 3
