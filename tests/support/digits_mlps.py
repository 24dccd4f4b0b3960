"""Small MLPs trained on scikit-learn's digits by plain torch, for tests that need real solutions."""

from __future__ import annotations

from functools import lru_cache

import torch
from sklearn.datasets import load_digits
from torch import Tensor
from torch.nn import functional

from workers.architectures.mlp import MLPProgram
from workers.params import ParamStack, stack


@lru_cache(maxsize=1)
def digits() -> tuple[Tensor, Tensor]:
    """Normalized inputs (1438, 64) and labels of the training split."""
    images, labels = load_digits(return_X_y=True)
    train = torch.arange(len(labels)) % 5 != 4
    inputs = (torch.tensor(images, dtype=torch.float32) / 16.0 - 0.3053) / 0.3760
    return inputs[train], torch.tensor(labels)[train]


@lru_cache(maxsize=32)
def trained(width: int, depth: int, num_networks: int, epochs: int) -> tuple[MLPProgram, ParamStack]:
    """A stack of networks of seeds 0, 1, ... after some epochs of SGD."""
    program = MLPProgram(num_inputs=64, width=width, depth=depth, num_classes=10)
    initial = stack([program.initialize(seed) for seed in range(num_networks)])
    params = {name: tensor.requires_grad_() for name, tensor in initial.items()}
    optimizer = torch.optim.SGD(params.values(), lr=0.02, momentum=0.9)
    inputs, labels = digits()
    stream = torch.Generator().manual_seed(0)
    for _ in range(epochs):
        for batch in torch.randperm(len(labels), generator=stream).split(64):
            logits = program.logits(params, inputs[batch])
            wanted = labels[batch].expand(num_networks, -1)
            optimizer.zero_grad()
            (functional.cross_entropy(logits, wanted) * num_networks).backward()
            optimizer.step()
    return program, {name: tensor.detach() for name, tensor in params.items()}
