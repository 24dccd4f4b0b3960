"""Parts of tensors, taken and joined: an axis as segments that move on their own."""

from __future__ import annotations

from workers.permutation.axes import Axis, Layout, pinned
from workers.permutation.rules.call import Call, Labeled, Rule, position


def concatenation(call: Call) -> Layout:
    """``cat``: segments one after another along one axis, all other axes tied."""
    along = position(call["dim"], len(call.shape))
    # torch takes a tensor of shape (0,) to go with any other
    tensors = [tensor for tensor in call.operands if tensor.shape != (0,) and tensor.shape[along]]
    if not tensors:
        return tuple(map(pinned, call.shape))
    axes: list[Axis] = []
    for i in range(len(call.shape)):
        if i == along:
            axes.append(tuple(run for tensor in tensors for run in tensor.axes[i]))
        else:
            for other in tensors[1:]:
                call.union.unify(tensors[0].axes[i], other.axes[i])
            axes.append(tensors[0].axes[i])
    return tuple(axes)


def stacking(call: Call) -> Layout:
    """``stack``: a new axis, whose places are the tensors."""
    axes = list(call.operands[0].axes)
    for other in call.operands[1:]:
        for axis, same in zip(axes, other.axes, strict=True):
            call.union.unify(axis, same)
    axes.insert(position(call["dim"], len(call.shape)), pinned(len(call.operands)))
    return tuple(axes)


def slicing(call: Call) -> Layout:
    """``slice``: the part moves on its own; with a step, places stay in order."""
    tensor = call["self"]
    axis = position(call["dim"], len(tensor.shape))
    size = tensor.shape[axis]
    start, stop, _ = slice(call["start"], call["end"]).indices(size)
    if call["step"] == 1:
        part = call.union.cut(tensor.axes[axis], start, max(start, stop)) or pinned(0)
    else:
        call.hold(tensor.axes[axis])
        part = pinned(call.shape[axis])
    return (*tensor.axes[:axis], part, *tensor.axes[axis + 1 :])


def narrowing(call: Call) -> Layout:
    """``narrow``."""
    tensor, start = call["self"], call["start"]
    axis = position(call["dim"], len(tensor.shape))
    start %= tensor.shape[axis]
    part = call.union.cut(tensor.axes[axis], start, start + call["length"])
    return (*tensor.axes[:axis], part, *tensor.axes[axis + 1 :])


def selection(call: Call) -> Layout:
    """``select``: the place that is taken stays where it is."""
    tensor = call["self"]
    axis = position(call["dim"], len(tensor.shape))
    index = call["index"] % tensor.shape[axis]
    call.union.pin(call.union.cut(tensor.axes[axis], index, index + 1))
    return (*tensor.axes[:axis], *tensor.axes[axis + 1 :])


def splitting(call: Call) -> list[Layout | Labeled | None]:
    """``split``, ``chunk``: every part moves on its own."""
    tensor = call["self"]
    axis = position(call["dim"], len(tensor.shape))
    parts: list[Layout | Labeled | None] = []
    start = 0
    for shape in call.shapes:
        assert shape is not None
        part = call.union.cut(tensor.axes[axis], start, start + shape[axis])
        parts.append((*tensor.axes[:axis], part, *tensor.axes[axis + 1 :]))
        start += shape[axis]
    return parts


def unbinding(call: Call) -> list[Layout | Labeled | None]:
    """``unbind``: every place of the axis stays where it is."""
    tensor = call["self"]
    axis = position(call["dim"], len(tensor.shape))
    call.union.pin(tensor.axes[axis])
    return [(*tensor.axes[:axis], *tensor.axes[axis + 1 :])] * len(call.shapes)


def lookup(call: Call) -> Layout:
    """``embedding``: rows stay in place, since their numbers come from elsewhere."""
    weight, indices = call["weight"], call["indices"]
    call.union.pin(weight.axes[0])
    return (*indices.axes, weight.axes[1])


def lookup_bags(call: Call) -> list[Layout | Labeled | None]:
    """``embedding_bag``: rows of a table, summed up bag by bag."""
    weight = call["weight"]
    call.union.pin(weight.axes[0])
    for operand in call.operands[1:]:
        call.hold(*operand.axes)
    bags: Layout = (pinned(call.shape[0]), weight.axes[1])
    return [bags, *[None] * (len(call.shapes) - 1)]


def index_select(call: Call) -> Layout:
    """``index_select``: places named by number stay in place."""
    tensor, index = call["self"], call["index"]
    axis = position(call["dim"], len(tensor.shape))
    call.hold(tensor.axes[axis])
    return (*tensor.axes[:axis], *index.axes, *tensor.axes[axis + 1 :])


def indexing(call: Call) -> Layout:
    """``tensor[i, j]`` with tensors of numbers: the axes they name stay in place, the others pass."""
    tensor, indices = call["self"], call["indices"]
    named = [k for k, index in enumerate(indices) if index is not None]
    _hold(call, tensor, tuple(tensor.axes[k] for k in named))
    kept = [axis for k, axis in enumerate(tensor.axes) if k not in named]
    num_new = len(call.shape) - len(kept)
    for index in call.operands[1:]:
        _hold(call, index, index.axes)
    # neighboring numbers leave their axes where they stood; others, in front
    at = named[0] if named == list(range(named[0], named[-1] + 1)) else 0
    return (*kept[:at], *(pinned(n) for n in call.shape[at : at + num_new]), *kept[at:])


def _hold(call: Call, tensor: Labeled, axes: Layout) -> None:
    """Holds axes in place; that those of a stored table stay there goes without saying."""
    if tensor.stored:
        call.union.pin(*axes)
    call.hold(*axes)


RULES: dict[str, Rule] = {
    "cat": concatenation,
    "stack": stacking,
    "slice": slicing,
    "narrow": narrowing,
    "select": selection,
    **dict.fromkeys(("split", "split_with_sizes", "unsafe_split", "unsafe_chunk", "chunk"), splitting),
    "unsafe_split_with_sizes": splitting,
    "unbind": unbinding,
    "embedding": lookup,
    **dict.fromkeys(("_embedding_bag", "_embedding_bag_forward_only"), lookup_bags),
    "index_select": index_select,
    "index": indexing,
}
