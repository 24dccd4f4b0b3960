"""Convolutions: channels are units; a group of channels is a block of them."""

from __future__ import annotations

from workers.permutation.axes import Axis, Layout, is_pinned, pinned
from workers.permutation.reshaping import merge, split
from workers.permutation.rules.call import Call, Labeled, Rule


def convolution(call: Call) -> Layout:
    """Convolutions of any number of spatial axes, transposed, grouped and depthwise ones included."""
    inputs, weight, bias = call["input"], call["weight"], call["bias"]
    num_spatial = len(weight.shape) - 2
    batch, channels = inputs.axes[:-num_spatial][:-1], inputs.axes[-num_spatial - 1]
    read, made = (weight.axes[0], weight.axes[1]) if call["transposed"] else (weight.axes[1], weight.axes[0])
    if call["groups"] == 1:
        call.union.unify(channels, read)
    elif call["transposed"]:
        made = _grouped_transposed(call, channels, weight)
    else:
        made = _grouped(call, channels, weight)
    if bias is not None:
        call.union.unify(made, bias.axes[0])
    call.union.pin(*weight.axes[2:])
    spatial = [_spatial(call, inputs, weight, k, num_spatial) for k in range(num_spatial)]
    return (*batch, made, *spatial)


def _grouped(call: Call, channels: Axis, weight: Labeled) -> Axis:
    """Output channels where output channel (g, o) reads the input channels (g, i) with weight[(g, o), i].

    Either whole groups move, or channels within each. Within a group, all rows of the weight share one
    order of its columns, so the input channels of all groups must move alike.
    """
    union, groups = call.union, call["groups"]
    num_made = weight.shape[0] // groups
    group, within = _group_axes(call, channels, weight.shape[1], num_made)
    union.unify(weight.axes[1], within)
    if is_pinned(union.resolve(group)):  # then the output channels of each group move on their own
        return _tied(call, weight.axes[0], tuple(run for _ in range(groups) for run in union.fresh(num_made)))
    return _tied(call, weight.axes[0], merge(union, (group, union.fresh(num_made))))


def _grouped_transposed(call: Call, channels: Axis, weight: Labeled) -> Axis:
    """The same where the weight lies as weight[(g, i), o]: output channel (g, o) is column o of group g."""
    union, groups = call.union, call["groups"]
    group, within = _group_axes(call, channels, weight.shape[0] // groups, weight.shape[1])
    union.unify(weight.axes[0], merge(union, (group, within)))
    return merge(union, (group, weight.axes[1]))


def _group_axes(call: Call, channels: Axis, num_within: int, num_made: int) -> tuple[Axis, Axis]:
    """Channels as groups and channels within them: whole groups move, unless they are the fewer."""
    groups = call["groups"]
    group, within = split(call.union, channels, (groups, num_within))
    if groups < max(num_within, num_made):
        call.union.pin(group)
    else:
        call.union.prefer(group)
    return call.union.resolve(group), call.union.resolve(within)


def _tied(call: Call, axis: Axis, other: Axis) -> Axis:
    call.union.unify(axis, other)
    return axis


def _spatial(call: Call, inputs: Labeled, weight: Labeled, k: int, num_spatial: int) -> Axis:
    """A spatial axis of the result: places stay in order, except under a kernel of one place."""
    at = k - num_spatial

    def of(name: str) -> int:
        values: list[int] = call[name]
        return values[k] if len(values) > 1 else values[0]

    alone = weight.shape[at] == 1 and of("stride") == 1 and of("padding") == 0
    if alone and call.shape[at] == inputs.shape[at]:
        return inputs.axes[at]
    call.union.pin(inputs.axes[at])
    return pinned(call.shape[at])


RULES: dict[str, Rule] = {"convolution": convolution}
