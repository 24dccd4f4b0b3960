"""Pooling, padding, resizing: channels pass, places stay in order."""

from __future__ import annotations

from workers.permutation.axes import Axis, Layout, is_pinned, pinned
from workers.permutation.reshaping import merge, split
from workers.permutation.rules.call import Call, Labeled, Rule


def over_last(num_axes: int) -> Rule:
    """The rule of operations that slide over the last so many axes and treat all others alike."""

    def window(call: Call) -> Layout | list[Layout | Labeled | None]:
        tensor = call.operands[0]
        call.hold(*tensor.axes[-num_axes:])
        results: list[Layout | Labeled | None] = []
        for shape in call.shapes:
            assert shape is not None
            results.append((*tensor.axes[:-num_axes], *(pinned(n) for n in shape[-num_axes:])))
        return results

    return window


def constant_padding(call: Call) -> Layout:
    """The axis lies between entries that equal each other, and so may move among themselves."""
    tensor, pad = call["self"], call["pad"]
    axes = list(tensor.axes)
    for k in range(len(pad) // 2):
        axis, before, after = len(axes) - 1 - k, pad[2 * k], pad[2 * k + 1]
        shape = tensor.shape[axis]
        kept = call.union.cut(axes[axis], max(0, -before), shape - max(0, -after))
        if is_pinned(call.union.resolve(kept)):  # nothing is gained by moving what is around it
            axes[axis] = pinned(call.shape[axis])
        else:
            axes[axis] = (*_uniform(call, before), *kept, *_uniform(call, after))
    return tuple(axes)


def unfold_windows(call: Call) -> Layout:
    """``im2col``: (B, C, h, w) to (B, C * kernel, windows)."""
    tensor = call["self"]
    call.hold(*tensor.axes[-2:])
    num_places = call.shape[-2] // tensor.shape[-3]
    columns = merge(call.union, (tensor.axes[-3], pinned(num_places)))
    return (*tensor.axes[:-3], columns, pinned(call.shape[-1]))


def fold_windows(call: Call) -> Layout:
    """``col2im``: the other way round."""
    tensor = call["self"]
    num_channels = call.shape[-3]
    channels, places = split(call.union, tensor.axes[-2], (num_channels, tensor.shape[-2] // num_channels))
    call.hold(places, tensor.axes[-1])
    return (*tensor.axes[:-2], channels, *(pinned(n) for n in call.shape[-2:]))


def unfold_axis(call: Call) -> Layout:
    """``Tensor.unfold``: windows along one axis become an axis of their own, the last."""
    tensor, axis = call["self"], call["dimension"] % len(call["self"].shape)
    call.hold(tensor.axes[axis])
    kept = [pinned(call.shape[axis]) if i == axis else one for i, one in enumerate(tensor.axes)]
    return (*kept, pinned(call.shape[-1]))


def sampled_grid(call: Call) -> Layout:
    """``grid_sampler``: places are computed, channels pass."""
    tensor, grid = call.operands[:2]
    call.union.unify(tensor.axes[0], grid.axes[0])
    call.hold(*tensor.axes[2:], *grid.axes[1:])
    return (*tensor.axes[:2], *(pinned(n) for n in call.shape[2:]))


def _uniform(call: Call, num_units: int) -> Axis:
    return call.union.fresh(num_units) if num_units > 0 else ()


RULES: dict[str, Rule] = {
    **{
        f"{kind}{n}d{ending}": over_last(n)
        for n in (1, 2, 3)
        for kind, ending in (
            *(("max_pool", ""), ("max_pool", "_with_indices"), ("avg_pool", ""), ("adaptive_max_pool", "")),
            *(("adaptive_avg_pool", ""), ("_adaptive_avg_pool", ""), ("fractional_max_pool", "")),
            *(("reflection_pad", ""), ("replication_pad", "")),
        )
    },
    **{
        f"{kind}{n}d": over_last(n)
        for kind, n in (
            *(("upsample_nearest", n) for n in (1, 2, 3)),
            *(("_upsample_nearest_exact", n) for n in (1, 2, 3)),
        )
    },
    "upsample_linear1d": over_last(1),
    "upsample_bilinear2d": over_last(2),
    "_upsample_bilinear2d_aa": over_last(2),
    "upsample_bicubic2d": over_last(2),
    "_upsample_bicubic2d_aa": over_last(2),
    "upsample_trilinear3d": over_last(3),
    "triu": over_last(2),
    "tril": over_last(2),
    "constant_pad_nd": constant_padding,
    "im2col": unfold_windows,
    "col2im": fold_windows,
    "unfold": unfold_axis,
    "grid_sampler_2d": sampled_grid,
    "grid_sampler_3d": sampled_grid,
}
