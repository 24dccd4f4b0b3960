"""Images that stay bytes until they are used.

A program takes normalized float inputs. ``ByteInputs`` holds the bytes and makes such inputs of the
examples that are asked for, so that a data set takes a quarter of the memory, and processes of one
machine can share its pages.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from torch import Tensor

from workers.datasets.definitions import DatasetDefinition
from workers.datasets.normalization import normalize


@runtime_checkable
class Images(Protocol):
    """Images as bytes that can be taken by slice or by index: a uint8 tensor, or one read piece by piece."""

    def __len__(self) -> int:
        """Number of images."""
        ...

    def __getitem__(self, index: slice | Tensor, /) -> Tensor:
        """The images (B, channels, height, width), uint8."""
        ...


@dataclass(frozen=True)
class ByteInputs:
    """All inputs of a split; ``inputs[slice]`` and ``inputs[index]`` are ready for the program.

    Attributes:
        images: The bytes, on any device.
        definition: How they are normalized.
        prepare: From normalized images to what the program takes: ``StackedProgram.prepare``.
        device: Where inputs are made.
        dtype: Of the inputs.
    """

    images: Images
    definition: DatasetDefinition
    prepare: Callable[[Tensor], Tensor]
    device: torch.device | str = "cpu"
    dtype: torch.dtype = torch.float32

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: slice | Tensor) -> Tensor:
        chosen = self.images[index].to(self.device, non_blocking=True)
        return self.prepare(normalize(chosen, self.definition)).to(self.dtype)


Inputs = Tensor | ByteInputs
"""Examples of a program: made already, or made when they are taken. Both are indexed alike."""
