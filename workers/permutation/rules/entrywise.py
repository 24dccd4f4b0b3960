"""Operations that treat every entry alike."""

from __future__ import annotations

from workers.permutation.axes import Axis, AxisUnion, Layout
from workers.permutation.rules.call import Call, Labeled, NoRuleError, Rule, position


def entrywise(call: Call) -> Layout:
    """Any operation on entries of equal places, the operands broadcast."""
    return broadcast(call.union, call.operands, call.shape)


def broadcast(union: AxisUnion, operands: list[Labeled], shape: tuple[int, ...]) -> Layout:
    """Axes of the operands tied as torch broadcasts them: from the last backward.

    An operand of length 1 along an axis repeats itself there, and so puts no tie on the others.
    """
    result: list[Axis] = []
    for distance in range(len(shape), 0, -1):
        along = [
            value.axes[-distance]
            for value in operands
            if len(value.shape) >= distance and value.shape[-distance] == shape[-distance]
        ]
        for axis in along[1:]:
            union.unify(along[0], axis)
        result.append(along[0] if along else union.fresh(shape[-distance]))
    return tuple(result)


def like_first(call: Call) -> Layout:
    """Operations that every axis of their one tensor survives, whatever the other arguments say."""
    return call.operands[0].axes


def uniform(call: Call) -> Layout:
    """A tensor of equal entries, whatever it takes its shape from."""
    return call.union.layout(call.shape)


def gated_halves(call: Call) -> Layout:
    """``glu``: entry i of one half of an axis meets entry i of the other."""
    tensor: Labeled = call["self"]
    axis = position(call["dim"], len(tensor.shape))
    half = tensor.shape[axis] // 2
    first = call.union.cut(tensor.axes[axis], 0, half)
    call.union.unify(first, call.union.cut(tensor.axes[axis], half, 2 * half))
    return (*tensor.axes[:axis], first, *tensor.axes[axis + 1 :])


def with_workspace(call: Call) -> list[Layout | Labeled | None]:
    """Entrywise operations that hand back what their gradient would need."""
    return [entrywise(call), *[None] * (len(call.shapes) - 1)]


def leaky_at_random(call: Call) -> Layout:
    """``rrelu``, which draws slopes in training alone."""
    if call["training"]:
        raise NoRuleError
    tensor: Labeled = call["self"]
    return tensor.axes


RULES: dict[str, Rule] = {
    **dict.fromkeys(
        (
            "copy",
            "copy_",
            "fill",
            "fill_",
            "zero",
            "zero_",
            "_prelu_kernel",
            "hardswish",
            "log_sigmoid_forward",
        ),
        entrywise,
    ),
    **dict.fromkeys(("softshrink", "elu", "selu", "celu", "hardtanh", "hardsigmoid", "threshold"), entrywise),
    **dict.fromkeys(("mish", "silu", "masked_fill", "where", "_softmax", "_log_softmax"), entrywise),
    **dict.fromkeys(("_safe_softmax", "_masked_softmax"), entrywise),
    **dict.fromkeys(("clone", "detach", "alias", "lift", "lift_fresh", "_to_copy", "contiguous"), like_first),
    **dict.fromkeys(("zeros_like", "ones_like", "full_like", "empty_like", "new_zeros", "new_ones"), uniform),
    **dict.fromkeys(("new_full", "new_empty", "new_empty_strided", "empty_strided"), uniform),
    "glu": gated_halves,
    "log_sigmoid_forward": with_workspace,
    "rrelu_with_noise": leaky_at_random,
}
