"""A toy data set, networks on it, and what it means that two trained networks are the same."""

from __future__ import annotations

from typing import Any

import torch

from workers.architectures import build
from workers.datasets.definitions import DatasetDefinition
from workers.datasets.tensors import Dataset
from workers.params import row
from workers.seeding import generator
from workers.specs import MLPSpec, NetworkSpec, TrainingSpec
from workers.training.train import TrainedStack, train


def toy(num_train: int = 90, side: int = 3, num_classes: int = 5) -> Dataset:
    """Noise with a weak signal of the class, of a size that no minibatch divides."""
    definition = DatasetDefinition(
        name="toy",
        shape=(1, side, side),
        num_classes=num_classes,
        num_train=num_train,
        num_test=30,
        scale=16.0,
        mean=(0.4,),
        std=(0.3,),
    )
    stream = generator("toy", num_train, side)
    num = num_train + 30
    labels = torch.randint(num_classes, (num,), generator=stream)
    images = torch.randint(12, (num, 1, side, side), generator=stream) + labels.view(-1, 1, 1, 1) % 5
    images = images.to(torch.uint8)
    return Dataset(definition, images[:num_train], labels[:num_train], images[num_train:], labels[num_train:])


def network(
    seed: int = 0, width: int = 6, depth: int = 1, noise: float = 0.0, **training: Any
) -> NetworkSpec:
    """A spec on the toy data; three epochs unless said otherwise."""
    options: dict[str, Any] = {
        "batch_size": 16,
        "max_epochs": 3,
        "stop_train_loss": None,
        "learning_rate": 0.05,
        **training,
    }
    return NetworkSpec(
        dataset="toy",
        label_noise=noise,
        architecture=MLPSpec(width=width, depth=depth),
        training=TrainingSpec(**options),
        seed=seed,
    )


def run(specs: list[NetworkSpec], dataset: Dataset, **options: Any) -> TrainedStack:
    """The specs trained as one stack."""
    return train(build(specs[0].architecture, dataset.definition), specs, dataset, **options)


def assert_same_bits(expected: TrainedStack, i: int, actual: TrainedStack, j: int) -> None:
    """Network i of one stack is network j of the other, its figures included."""
    for name, value in row(expected.params, i).items():
        assert torch.equal(value, actual.params[name][j]), name
    for figure in ("epochs_trained", "stop_reason", "train_loss", "train_error", "test_loss", "test_error"):
        assert getattr(expected, figure)[i] == getattr(actual, figure)[j], figure
