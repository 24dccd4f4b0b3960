"""What the bodies read: data sets, kept between the batches of a process, and the program of a network."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from lmc_sweep import data
from workers.architectures import StackedProgram, build
from workers.datasets.tensors import normalize
from workers.params import ParamStack
from workers.permutation.derive import derive_permutation_spec
from workers.permutation.spec import PermutationSpec
from workers.specs import NetworkSpec


@lru_cache(maxsize=8)
def inputs_of(dataset: str, split: str, device: str) -> Tensor:
    """Normalized images of a split on a device, kept between the batches of this process."""
    loaded = data.load(dataset)
    images: Tensor = normalize(loaded.images(split).to(device), loaded.definition)
    return images


@lru_cache(maxsize=32)
def labels_of(dataset: str, split: str, label_noise: float, device: str) -> Tensor:
    """Labels of a split; those of ``train`` as they were trained on."""
    labels: Tensor = data.load(dataset).labels(split, label_noise).to(device)
    return labels


def program_of(spec: NetworkSpec) -> tuple[StackedProgram, PermutationSpec]:
    """The program of a network's architecture, and where its hidden units can be permuted."""
    definition = data.load(spec.dataset).definition
    program = build(spec.architecture, definition)
    example = program.prepare(torch.zeros(1, *definition.shape, device="meta"))
    return program, derive_permutation_spec(program.module, example)


def on_device(params: ParamStack, device: str) -> ParamStack:
    """The stack on a device."""
    return {name: tensor.to(device) for name, tensor in params.items()}


def finite(value: Tensor) -> float | None:
    """The number, or None where it is not finite: the store holds no NaN."""
    return float(value) if bool(torch.isfinite(torch.as_tensor(value))) else None
