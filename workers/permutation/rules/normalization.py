"""Norms: statistics are symmetric in what they sum over, scales and shifts go with their axis."""

from __future__ import annotations

import math

from workers.permutation.axes import Layout
from workers.permutation.reshaping import merge
from workers.permutation.rules.call import Call, Labeled, Rule, position


def batch_norm(call: Call) -> list[Layout | Labeled | None]:
    """Scale, shift and running statistics go with the channels."""
    inputs: Labeled = call["input"]
    for vector in call.operands[1:]:
        if vector.shape == (inputs.shape[1],):
            call.union.unify(inputs.axes[1], vector.axes[0])
    return [inputs.axes, *_statistics(call, (inputs.axes[1],))]


def layer_norm(call: Call) -> list[Layout | Labeled | None]:
    """``native_layer_norm``, ``_fused_rms_norm``: the normalized axes keep their units."""
    inputs: Labeled = call.operands[0]
    for vector in call.operands[1:]:
        for distance in range(1, len(vector.shape) + 1):
            call.union.unify(inputs.axes[-distance], vector.axes[-distance])
    return [inputs.axes, *_statistics(call, None)]


def group_norm(call: Call) -> list[Layout | Labeled | None]:
    """Statistics per group of channels: whole groups may move, or channels within each.

    A spec can state one of the two; it is the one with more permutations.
    """
    union, inputs = call.union, call["input"]
    groups, channels = call["group"], inputs.axes[1]
    within = inputs.shape[1] // groups
    for vector in call.operands[1:]:
        union.unify(channels, vector.axes[0])
    if groups > 1 and within > 1:
        if math.lgamma(groups + 1) > groups * math.lgamma(within + 1):
            union.unify(channels, merge(union, (union.fresh(groups), union.fresh(within))))
        else:
            union.unify(channels, tuple(run for _ in range(groups) for run in union.fresh(within)))
    return [inputs.axes, *_statistics(call, None)]


def weight_norm(call: Call) -> list[Layout | Labeled | None]:
    """Direction and length of weight vectors: lengths go with the axis that is kept."""
    direction, size = call["v"], call["g"]
    kept = position(call["dim"], len(direction.shape))
    call.union.unify(direction.axes[kept], size.axes[kept])
    return [direction.axes, size.axes]


def _statistics(call: Call, axes: Layout | None) -> list[Layout | Labeled | None]:
    """Axes of the statistics that come with the result; None where nobody is expected to read them."""
    return [
        axes if axes is not None and shape is not None and len(shape) == len(axes) and shape[0] else None
        for shape in call.shapes[1:]
    ]


RULES: dict[str, Rule] = {
    "native_batch_norm": batch_norm,
    "_native_batch_norm_legit": batch_norm,
    "_native_batch_norm_legit_no_training": batch_norm,
    "_batch_norm_no_update": batch_norm,
    "native_layer_norm": layer_norm,
    "_fused_rms_norm": layer_norm,
    "native_group_norm": group_norm,
    "_weight_norm_interface": weight_norm,
}
