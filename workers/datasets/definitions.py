"""The facts of every known data set, free of torch.

Inputs are normalized per channel by (x / scale - mean) / std. Sizes are those of the official splits;
digits (UCI, as shipped by scikit-learn) has none, so its test set is every index i with i % 5 == 4.
"""

from __future__ import annotations

import math
from dataclasses import dataclass


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


DATASETS: dict[str, DatasetDefinition] = {
    definition.name: definition
    for definition in (
        DatasetDefinition(
            name="digits",
            shape=(1, 8, 8),
            num_classes=10,
            num_train=1438,
            num_test=359,
            scale=16.0,
            mean=(0.3053,),
            std=(0.3760,),
        ),
        DatasetDefinition(
            name="mnist",
            shape=(1, 28, 28),
            num_classes=10,
            num_train=60_000,
            num_test=10_000,
            scale=255.0,
            mean=(0.1307,),
            std=(0.3081,),
        ),
        DatasetDefinition(
            name="fashion_mnist",
            shape=(1, 28, 28),
            num_classes=10,
            num_train=60_000,
            num_test=10_000,
            scale=255.0,
            mean=(0.2860,),
            std=(0.3530,),
        ),
    )
}
