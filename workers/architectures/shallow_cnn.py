"""The shallow convolutional network of Entezari et al. 2021: no norm, no pooling.

PyTorch's default initialization, biases everywhere.
"""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn


class ShallowCNN(nn.Module):
    """``depth`` convolutions with ReLU, then a linear layer.

    The first is 9x9 with stride 2 and padding 1, those between are 3x3 with padding 1, and the last
    covers the whole map that is left, 13x13 for images of 32x32.
    """

    def __init__(self, shape: tuple[int, int, int], width: int, depth: int, num_classes: int) -> None:
        super().__init__()
        channels, *sides = shape
        left = [(side + 2 - 9) // 2 + 1 for side in sides]
        if min(left) < 1:
            raise ValueError(f"shallow_cnn takes images of 7x7 pixels or more, not {sides[0]}x{sides[1]}")
        between = [nn.Conv2d(width, width, 3, padding=1) for _ in range(depth - 2)]
        self.convolutions = nn.ModuleList(
            [
                nn.Conv2d(channels, width, 9, stride=2, padding=1),
                *between,
                nn.Conv2d(width, width, (left[0], left[1])),
            ]
        )
        self.linear = nn.Linear(width, num_classes)

    def forward(self, inputs: Float[Tensor, "B channels height width"]) -> Float[Tensor, "B C"]:
        """Logits of a batch."""
        hidden = inputs
        for convolution in self.convolutions:
            hidden = torch.relu(convolution(hidden))
        return self.linear(torch.flatten(hidden, 1))
