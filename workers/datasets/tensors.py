"""A data set, both splits, and label noise."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import torch
from jaxtyping import Int64, UInt8
from torch import Tensor

from workers.datasets.definitions import DatasetDefinition
from workers.datasets.inputs import ByteInputs, Images
from workers.datasets.normalization import normalize
from workers.seeding import generator

__all__ = ["Dataset", "noisy_labels", "normalize"]


@dataclass(frozen=True)
class Dataset:
    """Images as bytes and labels, both splits; images are a tensor, or a stream read as they are taken."""

    definition: DatasetDefinition
    train_images: UInt8[Tensor, "train channels height width"] | Images
    train_labels: Int64[Tensor, " train"]
    test_images: UInt8[Tensor, "test channels height width"] | Images
    test_labels: Int64[Tensor, " test"]

    def images(self, split: str) -> UInt8[Tensor, "B channels height width"] | Images:
        """Images of ``train`` or ``test``."""
        return {"train": self.train_images, "test": self.test_images}[split]

    def labels(self, split: str, label_noise: float = 0.0) -> Int64[Tensor, " B"]:
        """Labels of ``train`` or ``test``; those of ``train`` as they were trained on, noise included."""
        if split == "test":
            return self.test_labels
        return noisy_labels(self.train_labels, label_noise, self.definition)

    def to(self, device: torch.device | str) -> Dataset:
        """The same data set with the bytes of its images on a device; streams stay where they are.

        Made once per process and device, and then shared by everyone who asks for ``inputs`` there.
        """
        return replace(
            self,
            train_images=_moved(self.train_images, device),
            test_images=_moved(self.test_images, device),
        )

    def inputs(
        self,
        split: str,
        prepare: Callable[[Tensor], Tensor],
        device: torch.device | str = "cpu",
        dtype: torch.dtype = torch.float32,
    ) -> ByteInputs:
        """Inputs of a split, made on the device from bytes that lie there as they are taken.

        Args:
            split: ``train`` or ``test``.
            prepare: ``StackedProgram.prepare`` of the networks that take them.
            device: Where they are made. Bytes that lie elsewhere are copied there: see ``to``.
            dtype: Of the inputs.
        """
        return ByteInputs(_moved(self.images(split), device), self.definition, prepare, device, dtype)


def _moved(images: Tensor | Images, device: torch.device | str) -> Tensor | Images:
    """The bytes on a device; a stream as it is."""
    return images.to(device) if isinstance(images, Tensor) else images


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
