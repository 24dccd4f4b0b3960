"""Products that sum over an axis of both operands, which are thereby tied."""

from __future__ import annotations

from workers.permutation.axes import Layout
from workers.permutation.rules.call import Call, Labeled, Rule
from workers.permutation.rules.entrywise import broadcast


def matrix_product(call: Call) -> Layout:
    """``mm``: rows of the first, columns of the second."""
    first, second = call.operands
    call.union.unify(first.axes[1], second.axes[0])
    return first.axes[0], second.axes[1]


def matrix_product_plus(call: Call) -> Layout:
    """``addmm``: the same, and an addend that is broadcast."""
    addend, first, second = call.operands
    call.union.unify(first.axes[1], second.axes[0])
    product = Labeled(call.shape, (first.axes[0], second.axes[1]))
    return broadcast(call.union, [product, addend], call.shape)


def batched_product(call: Call) -> Layout:
    """``bmm``: one product for each place of the first axis."""
    first, second = call.operands
    return _batched(call, first, second)


def batched_product_plus(call: Call) -> Layout:
    """``baddbmm``: the same, and an addend that is broadcast."""
    addend, first, second = call.operands
    product = Labeled(call.shape, _batched(call, first, second))
    return broadcast(call.union, [product, addend], call.shape)


def matrix_vector(call: Call) -> Layout:
    """``mv``."""
    matrix, vector = call.operands
    call.union.unify(matrix.axes[1], vector.axes[0])
    return (matrix.axes[0],)


def inner_product(call: Call) -> Layout:
    """``dot``, ``vdot``: no axis is left."""
    first, second = call.operands
    call.union.unify(first.axes[0], second.axes[0])
    return ()


def outer_product(call: Call) -> Layout:
    """``outer``."""
    first, second = call.operands
    return first.axes[0], second.axes[0]


def bilinear(call: Call) -> Layout:
    """``_trilinear`` as ``nn.Bilinear`` calls it: (B, i) and (o, i, j) and (B, j) give (B, o)."""
    left, weight, right = call.operands
    call.union.unify(left.axes[-1], weight.axes[1])
    call.union.unify(right.axes[-1], weight.axes[2])
    call.union.unify(left.axes[0], right.axes[0])
    return left.axes[0], weight.axes[0]


def _batched(call: Call, first: Labeled, second: Labeled) -> Layout:
    # one product per head: heads move as a whole, rather than the entries within all heads alike
    call.union.prefer(first.axes[0])
    call.union.unify(first.axes[0], second.axes[0])
    call.union.unify(first.axes[2], second.axes[1])
    return first.axes[0], first.axes[1], second.axes[2]


RULES: dict[str, Rule] = {
    "mm": matrix_product,
    "addmm": matrix_product_plus,
    "bmm": batched_product,
    "baddbmm": batched_product_plus,
    "mv": matrix_vector,
    "dot": inner_product,
    "vdot": inner_product,
    "outer": outer_product,
    "_trilinear": bilinear,
}
