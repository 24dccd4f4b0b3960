"""A data set in memory, normalization, and label noise."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64, UInt8
from torch import Tensor

from workers.datasets.definitions import DatasetDefinition
from workers.seeding import generator


@dataclass(frozen=True)
class Dataset:
    """Images as bytes and labels, both splits."""

    definition: DatasetDefinition
    train_images: UInt8[Tensor, "train channels height width"]
    train_labels: Int64[Tensor, " train"]
    test_images: UInt8[Tensor, "test channels height width"]
    test_labels: Int64[Tensor, " test"]

    def images(self, split: str) -> UInt8[Tensor, "B channels height width"]:
        """Images of ``train`` or ``test``."""
        return {"train": self.train_images, "test": self.test_images}[split]

    def labels(self, split: str, label_noise: float = 0.0) -> Int64[Tensor, " B"]:
        """Labels of ``train`` or ``test``; those of ``train`` as they were trained on, noise included."""
        if split == "test":
            return self.test_labels
        return noisy_labels(self.train_labels, label_noise, self.definition)


def normalize(
    images: UInt8[Tensor, "B channels height width"], definition: DatasetDefinition
) -> Float[Tensor, "B channels height width"]:
    """(x / scale - mean) / std per channel, in float32."""
    mean = torch.tensor(definition.mean, device=images.device).view(1, -1, 1, 1)
    std = torch.tensor(definition.std, device=images.device).view(1, -1, 1, 1)
    return images.to(torch.float32).div_(definition.scale).sub_(mean).div_(std)


def noisy_labels(
    labels: Int64[Tensor, " B"], label_noise: float, definition: DatasetDefinition
) -> Int64[Tensor, " B"]:
    """Labels of which the fraction ``label_noise``, rounded, is redrawn uniformly from all classes.

    The draw belongs to the data set and the level, not to a network: both endpoints of a pair were
    trained on the same labels, so a barrier on ``train`` is defined. A redrawn label may be the old one.
    """
    if label_noise == 0.0:
        return labels
    stream = generator("label_noise", definition.name, label_noise)
    chosen = torch.randperm(len(labels), generator=stream)[: round(label_noise * len(labels))]
    noisy = labels.clone()
    noisy[chosen] = torch.randint(definition.num_classes, (len(chosen),), generator=stream)
    return noisy
