"""Images at another size."""

from __future__ import annotations

import torch
from jaxtyping import UInt8
from torch import Tensor
from torch.nn import functional

_CHUNK_BYTES = 64e6  # of float32 images at the new size


def resized(
    images: UInt8[Tensor, "B channels height width"], size: int
) -> UInt8[Tensor, "B channels size size"]:
    """The images at ``size`` x ``size`` pixels: bilinear, antialiased, rounded to whole bytes.

    What ``torchvision.transforms.Resize`` does to images that are tensors, but always in float32:
    torch's own resizing of bytes is in fixed point on some processors and not on others.
    """
    num_images, channels = images.shape[:2]
    found = torch.empty(num_images, channels, size, size, dtype=torch.uint8)
    step = max(1, int(_CHUNK_BYTES / (4 * channels * size * size)))
    for start in range(0, num_images, step):
        chunk = images[start : start + step].to(torch.float32)
        chunk = functional.interpolate(chunk, (size, size), mode="bilinear", antialias=True)
        found[start : start + step] = chunk.round_().clamp_(0, 255).to(torch.uint8)
    return found
