"""Operations along an axis: those that do not mind its order, and those that do."""

from __future__ import annotations

from workers.permutation.axes import Axis, Layout, pinned
from workers.permutation.rules.call import Call, Labeled, Rule, positions
from workers.permutation.rules.entrywise import entrywise


def reduction(call: Call) -> Layout | list[Layout | Labeled | None]:
    """Sums and the like over axes: these disappear, and their units stay as free as they were."""
    tensor = call.operands[0]
    gone = positions(call.arguments.get("dim"), len(tensor.shape))
    keep = bool(call.arguments.get("keepdim", False))
    axes = tuple(_kept(call, tensor, gone, keep))
    return axes if len(call.shapes) == 1 else [axes] * len(call.shapes)


def extremum(call: Call) -> Layout | list[Layout | Labeled | None]:
    """``max``, ``min``, ``median`` over an axis: the value is symmetric, where it was found is not.

    Between two tensors, ``max`` and ``min`` are entrywise.
    """
    tensor = call.operands[0]
    if len(call.operands) > 1:
        return entrywise(call)
    if len(call.shapes) == 1:
        return reduction(call)
    gone = positions(call["dim"], len(tensor.shape))
    axes = tuple(_kept(call, tensor, gone, call["keepdim"]))
    assert call.shapes[1] is not None
    return [axes, Labeled(call.shapes[1], axes, tuple(tensor.axes[axis] for axis in gone))]


def place_of_extremum(call: Call) -> list[Layout | Labeled | None]:
    """``argmax``, ``argmin``: reading them holds the axis in place."""
    tensor = call.operands[0]
    gone = positions(call["dim"], len(tensor.shape))
    axes = tuple(_kept(call, tensor, gone, call["keepdim"]))
    return [Labeled(call.shape, axes, tuple(tensor.axes[axis] for axis in gone))]


def along_axis(call: Call) -> Layout | list[Layout | Labeled | None]:
    """``cumsum``, ``sort``, ``flip`` and others that go by the order along some axes."""
    tensor = call.operands[0]
    named = call.arguments.get("dim", call.arguments.get("dims"))
    held = positions(named, len(tensor.shape))
    call.hold(*(tensor.axes[axis] for axis in held))
    results: list[Layout | Labeled | None] = []
    for shape in call.shapes:
        assert shape is not None
        fixed = {axis: pinned(shape[axis]) for axis in held}
        results.append(tuple(fixed.get(i, axis) for i, axis in enumerate(tensor.axes)))
    return results


def _kept(call: Call, tensor: Labeled, gone: list[int], keep: bool) -> list[Axis]:
    """The axes that are left, with axes of length 1 for those gone where they are kept."""
    return [
        call.union.fresh(1) if i in gone else axis
        for i, axis in enumerate(tensor.axes)
        if keep or i not in gone
    ]


RULES: dict[str, Rule] = {
    **dict.fromkeys(("sum", "mean", "amax", "amin", "prod", "var", "std", "var_mean", "std_mean"), reduction),
    **dict.fromkeys(("logsumexp", "norm", "linalg_vector_norm", "any", "all", "nansum"), reduction),
    **dict.fromkeys(("aminmax", "count_nonzero"), reduction),
    **dict.fromkeys(("max", "min", "median", "nanmedian"), extremum),
    **dict.fromkeys(("argmax", "argmin"), place_of_extremum),
    **dict.fromkeys(
        ("cumsum", "cumprod", "cummax", "cummin", "logcumsumexp", "sort", "topk", "argsort"), along_axis
    ),
    **dict.fromkeys(("flip", "roll"), along_axis),
}
