"""Residual networks with a stem for small images, and the parts that all residual networks here share."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from workers.architectures.shapes import EXPANSION, RESNET_BLOCKS, has_projection

Norm = Callable[[int], nn.Module]
"""Makes the norm for so many channels."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around which a shortcut leads; the first has the stride."""

    def __init__(self, into: int, inner: int, stride: int, projects: bool, norm: Norm) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(into, inner, 3, stride=stride, padding=1, bias=False)
        self.bn1 = norm(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, padding=1, bias=False)
        self.bn2 = norm(inner)
        self.downsample = _shortcut(into, inner, stride, norm) if projects else nn.Identity()

    def forward(self, inputs: Float[Tensor, "B into height width"]) -> Float[Tensor, "B out h w"]:
        """The stream behind the block."""
        hidden = torch.relu(self.bn1(self.conv1(inputs)))
        return torch.relu(self.bn2(self.conv2(hidden)) + self.downsample(inputs))


class Bottleneck(nn.Module):
    """1x1, 3x3, 1x1 convolutions around which a shortcut leads; the 3x3 one has the stride."""

    def __init__(self, into: int, inner: int, stride: int, projects: bool, norm: Norm) -> None:
        super().__init__()
        out = inner * EXPANSION["bottleneck"]
        self.conv1 = nn.Conv2d(into, inner, 1, bias=False)
        self.bn1 = norm(inner)
        self.conv2 = nn.Conv2d(inner, inner, 3, stride=stride, padding=1, bias=False)
        self.bn2 = norm(inner)
        self.conv3 = nn.Conv2d(inner, out, 1, bias=False)
        self.bn3 = norm(out)
        self.downsample = _shortcut(into, out, stride, norm) if projects else nn.Identity()

    def forward(self, inputs: Float[Tensor, "B into height width"]) -> Float[Tensor, "B out h w"]:
        """The stream behind the block."""
        hidden = torch.relu(self.bn1(self.conv1(inputs)))
        hidden = torch.relu(self.bn2(self.conv2(hidden)))
        return torch.relu(self.bn3(self.conv3(hidden)) + self.downsample(inputs))


class ResidualNetwork(nn.Module):
    """A 3x3 stem of ``width`` channels, stages that double them, global average pooling, a linear layer.

    Names and initialization are those of torchvision's ResNets, so that results compare with networks
    trained from its definition: convolutions from a normal distribution of variance 2 / fan-out, as He et
    al. 2015 have it for ReLU; norms at 1 and 0; the linear layer as PyTorch has it by default.

    Args:
        channels: Of the images.
        width: Channels of the stem and of the 3x3 convolutions of the first stage.
        blocks: Blocks of each stage.
        kind: Of the blocks: ``basic`` or ``bottleneck``.
        norm: Follows every convolution.
        num_classes: C.
    """

    def __init__(
        self, channels: int, width: int, blocks: tuple[int, ...], kind: str, norm: Norm, num_classes: int
    ) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels, width, 3, padding=1, bias=False)
        self.bn1 = norm(width)
        stages: OrderedDict[str, nn.Module] = OrderedDict()
        make = {"basic": BasicBlock, "bottleneck": Bottleneck}[kind]
        into = width
        for stage, number in enumerate(blocks):
            inner, made = width * 2**stage, []
            out = inner * EXPANSION[kind]
            for index in range(number):
                stride = 2 if index == 0 and stage > 0 else 1
                made.append(make(into, inner, stride, has_projection(stage, index, into, out), norm))
                into = out
            stages[f"layer{stage + 1}"] = nn.Sequential(*made)
        for name, stage_layers in stages.items():
            self.add_module(name, stage_layers)
        self.stages = tuple(stages)
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc = nn.Linear(into, num_classes)
        for layer in self.modules():
            if isinstance(layer, nn.Conv2d):
                nn.init.kaiming_normal_(layer.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, inputs: Float[Tensor, "B channels height width"]) -> Float[Tensor, "B C"]:
        """Logits of a batch."""
        hidden = torch.relu(self.bn1(self.conv1(inputs)))
        for name in self.stages:
            hidden = getattr(self, name)(hidden)
        return self.fc(torch.flatten(self.avgpool(hidden), 1))


class ResNet(ResidualNetwork):
    """ResNet-18, 34 (basic blocks) or 50 (bottlenecks), batch norm, for images of any size.

    At width 64 all but the stem, which is 3x3 with stride 1 and no pooling behind it, is torchvision's
    ``resnet18``, ``resnet34``, ``resnet50``.

    Source: He et al. 2015, table 1.
    """

    def __init__(self, shape: tuple[int, int, int], width: int, depth: int, num_classes: int) -> None:
        kind = "bottleneck" if depth >= 50 else "basic"
        super().__init__(shape[0], width, RESNET_BLOCKS[depth], kind, nn.BatchNorm2d, num_classes)


def _shortcut(into: int, out: int, stride: int, norm: Norm) -> nn.Sequential:
    """A 1x1 convolution with its norm."""
    return nn.Sequential(nn.Conv2d(into, out, 1, stride=stride, bias=False), norm(out))
