"""Views: the same entries under other axes."""

from __future__ import annotations

from workers.permutation.axes import Axis, AxisUnion, Layout, pinned
from workers.permutation.reshaping import merge, split
from workers.permutation.rules.call import Call, Rule, position, positions


def view(call: Call) -> Layout:
    """``view``, ``reshape``, ``flatten``, ``unflatten``: axes merged, split, or both."""
    tensor = call["self"]
    return reshaped(call.union, tensor.axes, tensor.shape, call.shape)


def reshaped(union: AxisUnion, axes: Layout, source: tuple[int, ...], result: tuple[int, ...]) -> Layout:
    """The layout of a tensor of shape ``source`` seen in shape ``result``.

    Where a stretch of axes holds as many entries as a stretch of the other shape, the one is merged and
    split into the other.
    """
    if 0 in result:
        return tuple(pinned(num_units) for num_units in result)
    layout: list[Axis] = []
    i = j = 0
    while i < len(source) or j < len(result):
        if i < len(source) and j < len(result) and source[i] == result[j]:
            layout.append(axes[i])
            i, j = i + 1, j + 1
        elif j < len(result) and result[j] == 1:
            layout.append(union.fresh(1))
            j += 1
        elif i < len(source) and source[i] == 1:
            i += 1
        else:
            i_end, j_end = i + 1, j + 1
            entries, filled = source[i], result[j]
            while entries != filled:
                if entries < filled:
                    entries, i_end = entries * source[i_end], i_end + 1
                else:
                    filled, j_end = filled * result[j_end], j_end + 1
            layout.extend(split(union, merge(union, axes[i:i_end]), result[j:j_end]))
            i, j = i_end, j_end
    return tuple(layout)


def permuted(call: Call) -> Layout:
    """``permute``."""
    axes = call["self"].axes
    return tuple(axes[position(axis, len(axes))] for axis in call["dims"])


def transposed(call: Call) -> Layout:
    """``transpose``, ``t``."""
    axes = list(call["self"].axes)
    if len(axes) > 1:
        first, second = call.arguments.get("dim0", 0), call.arguments.get("dim1", 1)
        axes[first], axes[second] = axes[second], axes[first]
    return tuple(axes)


def unsqueezed(call: Call) -> Layout:
    """``unsqueeze``."""
    axes = list(call["self"].axes)
    axes.insert(position(call["dim"], len(axes) + 1), call.union.fresh(1))
    return tuple(axes)


def squeezed(call: Call) -> Layout:
    """``squeeze``."""
    tensor = call["self"]
    asked = positions(call.arguments.get("dim"), len(tensor.shape))
    return tuple(axis for i, axis in enumerate(tensor.axes) if not (i in asked and tensor.shape[i] == 1))


def expanded(call: Call) -> Layout:
    """``expand``: along an axis that repeats one entry, any permutation changes nothing."""
    tensor, new = call["self"], len(call.shape) - len(call["self"].shape)
    return tuple(
        tensor.axes[i - new]
        if i >= new and tensor.shape[i - new] == num_units
        else call.union.fresh(num_units)
        for i, num_units in enumerate(call.shape)
    )


def repeated(call: Call) -> Layout:
    """``repeat``: whole copies of an axis one after another, of which any may stand first."""
    tensor, new = call["self"], len(call.shape) - len(call["self"].shape)
    return tuple(
        call.union.fresh(num_units)
        if i < new
        else merge(call.union, (call.union.fresh(num_units // tensor.shape[i - new]), tensor.axes[i - new]))
        for i, num_units in enumerate(call.shape)
    )


def pixel_shuffle(call: Call) -> Layout:
    """(C * r * r, h, w) to (C, h * r, w * r)."""
    tensor, factor = call["self"], call["upscale_factor"]
    union, (channels, height, width) = call.union, tensor.axes[-3:]
    made, down, across = split(union, channels, (call.shape[-3], factor, factor))
    return (*tensor.axes[:-3], made, merge(union, (height, down)), merge(union, (width, across)))


def pixel_unshuffle(call: Call) -> Layout:
    """(C, h * r, w * r) to (C * r * r, h, w)."""
    tensor, factor = call["self"], call["downscale_factor"]
    union, (channels, height, width) = call.union, tensor.axes[-3:]
    height, down = split(union, height, (call.shape[-2], factor))
    width, across = split(union, width, (call.shape[-1], factor))
    return (*tensor.axes[:-3], merge(union, (channels, down, across)), height, width)


def channel_shuffle(call: Call) -> Layout:
    """Channel (g, c) goes to place (c, g)."""
    tensor, groups = call["self"], call["groups"]
    group, within = split(call.union, tensor.axes[1], (groups, tensor.shape[1] // groups))
    return (tensor.axes[0], merge(call.union, (within, group)), *tensor.axes[2:])


RULES: dict[str, Rule] = {
    **dict.fromkeys(
        ("view", "_unsafe_view", "_reshape_alias", "reshape", "_reshape_copy", "view_copy"), view
    ),
    "permute": permuted,
    **dict.fromkeys(("transpose", "t", "transpose_", "t_"), transposed),
    **dict.fromkeys(("unsqueeze", "unsqueeze_"), unsqueezed),
    **dict.fromkeys(("squeeze", "squeeze_"), squeezed),
    "expand": expanded,
    "repeat": repeated,
    "pixel_shuffle": pixel_shuffle,
    "pixel_unshuffle": pixel_unshuffle,
    "channel_shuffle": channel_shuffle,
}
