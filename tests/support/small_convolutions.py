"""Small modules of every kind that a correction treats differently, and trained-looking stacks of them."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from workers.architectures.module_program import ModuleProgram
from workers.params import ParamStack, stack
from workers.seeding import generator

SHAPE = (2, 6, 6)
CLASSES = 4


class Residual(nn.Module):
    """A block with a skip connection and batch norm after every convolution."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.stem_norm = nn.Conv2d(2, 6, 3, padding=1, bias=False), nn.BatchNorm2d(6)
        self.inner, self.inner_norm = nn.Conv2d(6, 5, 3, padding=1, bias=False), nn.BatchNorm2d(5)
        self.outer, self.outer_norm = nn.Conv2d(5, 6, 1, bias=False), nn.BatchNorm2d(6)
        self.head = nn.Linear(6, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        stream = torch.relu(self.stem_norm(self.stem(inputs)))
        hidden = torch.relu(self.inner_norm(self.inner(stream)))
        stream = torch.relu(stream + self.outer_norm(self.outer(hidden)))
        return self.head(stream.mean((2, 3)))


class Shared(nn.Module):
    """A linear layer that is called twice, between two that are called once."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.twice, self.last = nn.Linear(72, 6), nn.Linear(6, 6), nn.Linear(6, CLASSES)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        hidden = torch.relu(self.first(inputs))
        return self.last(torch.relu(self.twice(torch.relu(self.twice(hidden)))))


def plain() -> nn.Module:
    """Convolutions without norms, one of them without a bias, and linear layers."""
    return nn.Sequential(
        nn.Conv2d(2, 5, 3, bias=False),
        nn.ReLU(),
        nn.Conv2d(5, 6, 3, stride=2),
        nn.ReLU(inplace=True),
        nn.Flatten(),
        nn.Linear(6, 7),
        nn.ReLU(),
        nn.Linear(7, CLASSES),
    )


def batch_normed() -> nn.Module:
    """Batch norm after every hidden layer."""
    return nn.Sequential(
        nn.Conv2d(2, 5, 3),
        nn.BatchNorm2d(5),
        nn.ReLU(),
        nn.Conv2d(5, 6, 3, stride=2, bias=False),
        nn.BatchNorm2d(6),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6, CLASSES),
    )


def bare_norms() -> nn.Module:
    """Norms without weight and bias, and a layer that no norm follows."""
    return nn.Sequential(
        nn.Conv2d(2, 5, 3),
        nn.BatchNorm2d(5, affine=False),
        nn.ReLU(),
        nn.Conv2d(5, 6, 3, stride=2, bias=False),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(6, 5),
        nn.LayerNorm(5, elementwise_affine=False),
        nn.ReLU(),
        nn.Linear(5, CLASSES),
    )


MODULES: dict[str, Callable[[], nn.Module]] = {
    "plain": plain,
    "batch_normed": batch_normed,
    "bare_norms": bare_norms,
    "residual": Residual,
    "shared": Shared,
}
PROGRAMS = {name: ModuleProgram(make, SHAPE, CLASSES, name) for name, make in MODULES.items()}


def networks(program: ModuleProgram, seeds: range, dtype: torch.dtype = torch.float64) -> ParamStack:
    """Networks whose norms have weights, biases and statistics of their own, all weights positive there."""
    made = stack([program.initialize(seed) for seed in seeds])
    norms = {name.rpartition(".")[0] for name in program.statistics}
    for name, tensor in made.items():
        layer, _, kind = name.rpartition(".")
        if not tensor.is_floating_point():
            continue
        made[name] = (2 * tensor).to(dtype)
        if layer in norms:
            stream = generator("test", "norms", name, *seeds)
            drawn = torch.rand(tensor.shape, generator=stream, dtype=torch.float64)
            made[name] = (drawn - 0.5 if kind in ("bias", "running_mean") else drawn + 0.5).to(dtype)
    return made


def examples(num: int, *parts: str | int, dtype: torch.dtype = torch.float64) -> Tensor:
    """Images of noise, of the shape that all modules here take."""
    return torch.randn((num, *SHAPE), generator=generator("test", "images", num, *parts), dtype=dtype)
