"""From bytes to the inputs that networks see."""

from __future__ import annotations

import torch
from jaxtyping import Float, UInt8
from torch import Tensor

from workers.datasets.definitions import DatasetDefinition


def normalize(
    images: UInt8[Tensor, "B channels height width"], definition: DatasetDefinition
) -> Float[Tensor, "B channels height width"]:
    """(x / scale - mean) / std per channel, in float32."""
    mean = torch.tensor(definition.mean, device=images.device).view(1, -1, 1, 1)
    std = torch.tensor(definition.std, device=images.device).view(1, -1, 1, 1)
    return images.to(torch.float32).div_(definition.scale).sub_(mean).div_(std)
