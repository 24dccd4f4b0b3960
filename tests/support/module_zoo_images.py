"""Small modules on images and other grids, with the groups that their units form."""

from __future__ import annotations

import torch
from module_zoo import Block, Case
from torch import Tensor, nn
from torch.nn import functional


def basic_block() -> nn.Module:
    """A residual block with a projection, batch norm everywhere."""

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        x = torch.relu(m.bn(m.stem(x)))
        y = m.bn2(m.conv2(torch.relu(m.bn1(m.conv1(x)))))
        return m.head(torch.relu(y + m.bn3(m.short(x))).mean((2, 3)))

    return Block(
        forward,
        **{
            "stem": nn.Conv2d(3, 4, 3, bias=False),
            "bn": nn.BatchNorm2d(4),
            "conv1": nn.Conv2d(4, 5, 3, padding=1),
        },
        **{"bn1": nn.BatchNorm2d(5), "conv2": nn.Conv2d(5, 6, 3, padding=1), "bn2": nn.BatchNorm2d(6)},
        **{"short": nn.Conv2d(4, 6, 1), "bn3": nn.BatchNorm2d(6), "head": nn.Linear(6, 3)},
    )


def dense_block() -> nn.Module:
    """Each layer reads all before it."""

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        features = [m.stem(x)]
        for layer in m.layers:
            features.append(layer(torch.cat(features, 1)))
        return m.head(torch.relu(m.norm(torch.cat(features, 1))).amax((2, 3)))

    layers = nn.ModuleList(
        nn.Sequential(nn.BatchNorm2d(n), nn.ReLU(), nn.Conv2d(n, 3, 3, padding=1)) for n in (4, 7)
    )
    return Block(
        forward, stem=nn.Conv2d(3, 4, 3), layers=layers, norm=nn.BatchNorm2d(10), head=nn.Linear(10, 3)
    )


def separable() -> nn.Module:
    """Depthwise and pointwise convolutions, one depthwise layer with two outputs per channel."""
    return nn.Sequential(
        *(nn.Conv2d(3, 6, 3), nn.Conv2d(6, 6, 3, padding=1, groups=6), nn.BatchNorm2d(6), nn.ReLU6()),
        *(nn.Conv2d(6, 5, 1), nn.Conv2d(5, 10, 3, groups=5), nn.Hardswish(), nn.AdaptiveAvgPool2d(1)),
        *(nn.Flatten(), nn.Linear(10, 3)),
    )


def squeeze_excite() -> nn.Module:
    """Channels scaled by a function of their means."""

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        x = m.stem(x)
        b, c, _, _ = x.shape
        scale = m.up(functional.gelu(m.down(x.mean((2, 3))))).sigmoid().view(b, c, 1, 1)
        return m.head((x * scale.expand_as(x)).flatten(2).mean(-1))

    return Block(
        forward, stem=nn.Conv2d(3, 6, 3), down=nn.Linear(6, 2), up=nn.Linear(2, 6), head=nn.Linear(6, 3)
    )


def group_norm_residual() -> nn.Module:
    """Six channels normalized in two groups: those within a group may move."""

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        x = m.stem(x)
        x = x + m.conv(functional.silu(m.norm(x)))
        return m.head(functional.max_pool2d(x, 2).flatten(1))

    return Block(
        forward,
        **{"stem": nn.Conv2d(3, 6, 3), "norm": nn.GroupNorm(2, 6), "conv": nn.Conv2d(6, 6, 3, padding=1)},
        head=nn.Linear(24, 3),
    )


def many_groups() -> nn.Module:
    """Twelve channels normalized in six groups: whole groups move."""
    return nn.Sequential(
        *(
            nn.Conv1d(2, 12, 3),
            nn.GroupNorm(6, 12),
            nn.GELU(),
            nn.AvgPool1d(2),
            nn.Flatten(),
            nn.Linear(36, 3),
        ),
    )


def inception() -> nn.Module:
    """Branches of several kernels, joined; then a slice of the channels alone."""

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        joined = torch.cat([m.one(x), m.three(x), functional.max_pool2d(m.pooled(x), 3, 1, 1)], 1)
        kept = torch.relu(joined)
        return m.head(kept.mean((2, 3))) + m.side(kept[:, :4].amax((2, 3)))

    return Block(
        forward,
        **{"one": nn.Conv2d(3, 4, 1), "three": nn.Conv2d(3, 5, 3, padding=1), "pooled": nn.Conv2d(3, 3, 1)},
        **{"head": nn.Linear(12, 3), "side": nn.Linear(4, 3)},
    )


def unet() -> nn.Module:
    """Down, up by a transposed convolution, joined with what was skipped."""

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        skipped = torch.relu(m.first(x))
        low = torch.relu(m.low(functional.max_pool2d(skipped, 2)))
        up = functional.interpolate(m.wide(low), scale_factor=2, mode="bilinear")
        return m.head(m.join(torch.cat([skipped, m.up(low), up], 1)).relu())

    return Block(
        forward,
        **{"first": nn.Conv2d(3, 4, 3, padding=1), "low": nn.Conv2d(4, 6, 3, padding=1)},
        **{"up": nn.ConvTranspose2d(6, 3, 2, stride=2), "wide": nn.Conv2d(6, 2, 1)},
        **{"join": nn.Conv2d(9, 5, 3, padding=1), "head": nn.Conv2d(5, 2, 1)},
    )


def mixer() -> nn.Module:
    """Patches as tokens; one block mixes tokens, one channels, with layer norms on a stream."""

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        x = m.patches(x).flatten(2).transpose(1, 2)
        x = x + m.tokens(m.norm1(x).transpose(1, 2)).transpose(1, 2)
        x = x + m.channels(m.norm2(x))
        return m.head(x.mean(dim=1))

    def mlp(width: int, hidden: int) -> nn.Module:
        return nn.Sequential(nn.Linear(width, hidden), nn.GELU(), nn.Linear(hidden, width))

    return Block(
        forward,
        **{"patches": nn.Conv2d(3, 6, 2, stride=2), "norm1": nn.LayerNorm(6), "tokens": mlp(9, 4)},
        **{"norm2": nn.RMSNorm(6), "channels": mlp(6, 7), "head": nn.Linear(6, 3)},
    )


def conv_flatten() -> nn.Module:
    """A flattened channel is a block of columns."""
    return nn.Sequential(
        *(
            nn.Conv2d(3, 4, 3),
            nn.PReLU(4),
            nn.MaxPool2d(2),
            nn.Conv2d(4, 5, 1, bias=False),
            nn.InstanceNorm2d(5, affine=True),
        ),
        *(nn.LeakyReLU(), nn.Dropout2d(), nn.Flatten(), nn.Linear(20, 6), nn.BatchNorm1d(6), nn.Linear(6, 3)),
    )


def pixel_shuffles() -> nn.Module:
    """Channels that become places, and places that become channels."""
    return nn.Sequential(
        *(
            nn.Conv2d(3, 12, 1),
            nn.PixelShuffle(2),
            nn.ReLU(),
            nn.Conv2d(3, 4, 2, stride=2),
            nn.PixelUnshuffle(3),
        ),
        nn.Conv2d(36, 2, 1),
    )


def shuffled_groups() -> nn.Module:
    """Grouped convolutions of six channels in three groups, shuffled in between."""
    return nn.Sequential(
        *(nn.Conv2d(3, 6, 1), nn.Conv2d(6, 6, 3, groups=3), nn.ReLU(), nn.ChannelShuffle(3)),
        *(nn.Conv2d(6, 6, 1, groups=2), nn.AdaptiveMaxPool2d(1), nn.Flatten(1), nn.Linear(6, 2)),
    )


def padded_shortcut() -> nn.Module:
    """A shortcut that takes every second place and pads the channels with zeros."""

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        x = m.stem(x)
        short = functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, 2, 2))
        return m.head((m.conv(x) + short).relu().mean((2, 3)))

    return Block(
        forward, stem=nn.Conv2d(3, 4, 3), conv=nn.Conv2d(4, 8, 3, stride=2, padding=1), head=nn.Linear(8, 3)
    )


def channel_attention() -> nn.Module:
    """Means and maxima over channels weigh the places; a patch is unfolded by hand."""

    def forward(m: nn.Module, x: Tensor) -> Tensor:
        x = m.stem(x)
        places = torch.stack([x.mean(1), x.max(dim=1)[0]], 1)
        x = x * m.places(places).sigmoid()
        return m.head(functional.unfold(x, 2).transpose(1, 2)).mean(1)

    return Block(
        forward, stem=nn.Conv2d(3, 5, 3), places=nn.Conv2d(2, 1, 3, padding=1), head=nn.Linear(20, 3)
    )


def depth3d() -> nn.Module:
    """Three spatial axes, circular and reflected padding."""
    return nn.Sequential(
        *(nn.Conv3d(1, 4, 2, padding=1, padding_mode="circular"), nn.BatchNorm3d(4), nn.AvgPool3d(2)),
        *(nn.ConvTranspose3d(4, 6, 2, groups=2), nn.Softmax(dim=1), nn.AdaptiveAvgPool3d(1), nn.Flatten()),
        nn.Linear(6, 2),
    )


IMAGES: dict[str, Case] = {
    "basic_block": Case(basic_block, (3, 7, 7), {"stem": 4, "conv1": 5, "conv2": 6}),
    "dense_block": Case(dense_block, (3, 6, 6), {"stem": 4, "layers.0.2": 3, "layers.1.2": 3}),
    "separable": Case(separable, (3, 8, 8), {"0": 6, "4": 5}),
    "squeeze_excite": Case(squeeze_excite, (3, 6, 6), {"stem": 6, "down": 2}),
    "group_norm_residual": Case(group_norm_residual, (3, 6, 6), {"stem": 3, "stem#1": 3}),
    "many_groups": Case(many_groups, (2, 8), {"0": 6}),
    "inception": Case(inception, (3, 5, 5), {"one": 4, "three": 5, "pooled": 3}),
    "unet": Case(unet, (3, 8, 8), {"first": 4, "low": 6, "up": 3, "wide": 2, "join": 5}),
    "mixer": Case(mixer, (3, 6, 6), {"patches": 6, "tokens.0": 4, "channels.0": 7}),
    "conv_flatten": Case(conv_flatten, (3, 6, 6), {"0": 4, "3": 5, "8": 6}),
    "pixel_shuffles": Case(pixel_shuffles, (3, 3, 3), {"0": 3, "3": 4}),
    "shuffled_groups": Case(shuffled_groups, (3, 5, 5), {"0": 3, "4": 3, "4#1": 3}),
    "padded_shortcut": Case(padded_shortcut, (3, 7, 7), {"stem": 4, "conv": 2, "conv#1": 2}),
    "channel_attention": Case(channel_attention, (3, 6, 6), {"stem": 5, "places": 1}),
    "depth3d": Case(depth3d, (1, 3, 3, 3), {"0": 2, "3": 3}),
}
