"""What the bodies read: data sets, kept between the batches of a process, and the program of a network."""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor

from lmc_sweep import data
from workers.architectures import StackedProgram, build
from workers.datasets.definitions import define
from workers.datasets.inputs import ByteInputs
from workers.datasets.tensors import Dataset
from workers.params import ParamStack
from workers.permutation.derive import derive_permutation_spec
from workers.permutation.spec import PermutationSpec
from workers.specs import ArchitectureSpec, DataSpec, NetworkKind, Split
from workers.statistics import statistics_batches


@lru_cache(maxsize=4)
def dataset_of(spec: DataSpec, device: str) -> Dataset:
    """The examples of a spec, their bytes on a device."""
    return data.load(spec).to(device)


def inputs_of(kind: NetworkKind, split: Split, device: str) -> ByteInputs:
    """Inputs of a split for a network, made from bytes when they are taken."""
    program = program_of(kind)
    return dataset_of(kind.data, device).inputs(split, program.prepare, device)


@lru_cache(maxsize=32)
def labels_of(spec: DataSpec, split: Split, label_noise: float, device: str) -> Tensor:
    """Labels of a split; those of ``train`` as they were trained on."""
    labels: Tensor = data.load(spec).labels(split, label_noise).to(device)
    return labels


def statistics_of(kind: NetworkKind, device: str) -> list[Tensor]:
    """The batches on which the corrections measure their statistics."""
    return statistics_batches(inputs_of(kind, "train", device), kind.dataset)


def program_of(kind: NetworkKind) -> StackedProgram:
    """The program of a network's architecture."""
    return build(kind.architecture, define(kind.data))


def permutation_spec_of(kind: NetworkKind) -> PermutationSpec:
    """Where the hidden units of a network's architecture can be permuted, proved once in each process."""
    return _permutation_spec_of(kind.architecture, kind.data)


@lru_cache(maxsize=512)  # a sweep's architectures: a spec is small, and takes a tenth of a second to prove
def _permutation_spec_of(architecture: ArchitectureSpec, spec: DataSpec) -> PermutationSpec:
    definition = define(spec)
    program = build(architecture, definition)
    example = program.prepare(torch.zeros(2, *definition.shape))
    return derive_permutation_spec(program.module, example)


def on_device(params: ParamStack, device: str) -> ParamStack:
    """The stack on a device."""
    return {name: tensor.to(device) for name, tensor in params.items()}


def finite(value: Tensor) -> float | None:
    """The number, or None where it is not finite: the store holds no NaN."""
    return float(value) if bool(torch.isfinite(torch.as_tensor(value))) else None
