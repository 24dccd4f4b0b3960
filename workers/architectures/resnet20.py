"""ResNet-20 of the CIFAR kind, with batch norm or layer norm."""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

from workers.architectures.resnet import ResidualNetwork
from workers.architectures.shapes import RESNET20_BLOCKS


class ChannelNorm(nn.Module):
    """Layer norm over the channels of each position, with a weight and a bias per channel."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(channels)

    def forward(self, inputs: Float[Tensor, "B channels height width"]) -> Float[Tensor, "B channels h w"]:
        """The same map, normalized."""
        return self.norm(inputs.permute(0, 2, 3, 1)).permute(0, 3, 1, 2)


class ResNet20(ResidualNetwork):
    """Three stages of three basic blocks; ``width`` channels in the first stage, 16 in the original.

    The shortcuts of the second and third stage are 1x1 convolutions with a norm. With ``layer`` every
    batch norm is a layer norm over channels, so that there are no statistics.

    Source: He et al. 2015, section 4.2; the layer norm as in Ainsworth et al. 2022.
    """

    def __init__(
        self, shape: tuple[int, int, int], width: int, norm: Literal["batch", "layer"], num_classes: int
    ) -> None:
        make = {"batch": nn.BatchNorm2d, "layer": ChannelNorm}[norm]
        super().__init__(shape[0], width, RESNET20_BLOCKS, "basic", make, num_classes)
