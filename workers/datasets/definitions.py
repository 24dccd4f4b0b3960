"""The facts of every known data set, free of torch.

Inputs are normalized per channel by (x / scale - mean) / std. Sizes are those of the official splits;
digits (UCI, as shipped by scikit-learn) has none, so its test set is every index i with i % 5 == 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import cache

from workers.specs import DataSpec


@dataclass(frozen=True, kw_only=True)
class DatasetDefinition:
    """Shape, size and normalization of one data set."""

    name: str
    shape: tuple[int, int, int]
    num_classes: int
    num_train: int
    num_test: int
    scale: float
    mean: tuple[float, ...]
    std: tuple[float, ...]

    @property
    def num_inputs(self) -> int:
        """Entries of one image."""
        return math.prod(self.shape)

    def num_examples(self, split: str) -> int:
        """Examples of ``train`` or ``test``."""
        return {"train": self.num_train, "test": self.num_test}[split]


def _known(
    name: str,
    shape: tuple[int, int, int],
    num_classes: int,
    sizes: tuple[int, int],
    mean: tuple[float, ...],
    std: tuple[float, ...],
    scale: float = 255.0,
) -> DatasetDefinition:
    """One line of the table below; ``sizes`` are those of train and test."""
    return DatasetDefinition(
        name=name,
        shape=shape,
        num_classes=num_classes,
        num_train=sizes[0],
        num_test=sizes[1],
        scale=scale,
        mean=mean,
        std=std,
    )


_CIFAR = ((3, 32, 32), (50_000, 10_000))

DATASETS: dict[str, DatasetDefinition] = {
    definition.name: definition
    for definition in (
        _known("digits", (1, 8, 8), 10, (1438, 359), (0.3053,), (0.3760,), scale=16.0),
        _known("mnist", (1, 28, 28), 10, (60_000, 10_000), (0.1307,), (0.3081,)),
        _known("fashion_mnist", (1, 28, 28), 10, (60_000, 10_000), (0.2860,), (0.3530,)),
        _known("cifar10", _CIFAR[0], 10, _CIFAR[1], (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
        _known("cifar100", _CIFAR[0], 100, _CIFAR[1], (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
        _known("svhn", (3, 32, 32), 10, (73_257, 26_032), (0.4377, 0.4438, 0.4728), (0.1980, 0.2010, 0.1970)),
        _known(
            "imagenet",
            (3, 224, 224),
            1000,
            (1_281_167, 50_000),
            (0.485, 0.456, 0.406),
            (0.229, 0.224, 0.225),
        ),
    )
}


@cache
def define(data: DataSpec) -> DatasetDefinition:
    """The definition of the examples that a spec asks for: resized, and a subset of so many."""
    if data.user is not None:
        user = data.user
        whole = _known(
            data.dataset, user.shape, user.num_classes, (user.num_train, user.num_test), user.mean, user.std
        )
    else:
        whole = DATASETS[data.dataset]
    channels, height, width = whole.shape
    return replace(
        whole,
        shape=(channels, data.input_size or height, data.input_size or width),
        num_train=data.num_train or whole.num_train,
        num_test=data.num_test or whole.num_test,
    )
