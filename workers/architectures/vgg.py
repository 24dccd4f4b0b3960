"""VGG with batch norm."""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from workers.architectures.shapes import VGG_CONVOLUTIONS, VGG_MULTIPLIERS


class VGG(nn.Module):
    """The features of torchvision's ``vgg11_bn`` to ``vgg19_bn`` at width 64, with one linear layer behind.

    Names, biases and initialization are torchvision's: a normal distribution of variance 2 / fan-out for
    convolutions, zero biases, and 0.01 as the standard deviation of the linear layer's weights, so that
    results compare with those of networks trained from torchvision's definition.
    """

    def __init__(self, shape: tuple[int, int, int], width: int, depth: int, num_classes: int) -> None:
        super().__init__()
        channels, *sides = shape
        if min(sides) < 32:
            raise ValueError(
                f"vgg halves images five times and takes 32x32 pixels or more, not {sides[0]}x{sides[1]}: "
                "set input_size: 32"
            )
        layers: list[nn.Module] = []
        for multiplier, number in zip(VGG_MULTIPLIERS, VGG_CONVOLUTIONS[depth], strict=True):
            for into, out in pairwise([channels, *[width * multiplier] * number]):
                layers += [nn.Conv2d(into, out, 3, padding=1), nn.BatchNorm2d(out), nn.ReLU()]
            layers.append(nn.MaxPool2d(2))
            channels = width * multiplier
        self.features = nn.Sequential(*layers)
        self.classifier = nn.Linear(channels * (sides[0] // 32) * (sides[1] // 32), num_classes)
        for layer in self.features:
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")
                assert layer.bias is not None
                nn.init.zeros_(layer.bias)
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)

    def forward(self, inputs: Float[Tensor, "B channels height width"]) -> Float[Tensor, "B C"]:
        """Logits of a batch."""
        return self.classifier(torch.flatten(self.features(inputs), 1))
