"""What each operation does to the axes of its tensors: one dict, from operation to rule.

A rule gets a ``Call`` and returns the axes of the result, having tied or pinned those of the
arguments. It must be conservative: an axis that it cannot follow is pinned. A new kind of layer is
one function and one entry.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from torch.nn import functional

from workers.permutation.axes import Axis, AxisUnion, Layout, Units


@dataclass(frozen=True)
class Labeled:
    """A tensor as the rules see it: its shape, and for each axis the units along it."""

    shape: tuple[int, ...]
    axes: Layout


@dataclass(frozen=True)
class Call:
    """One operation: tensors among its arguments are ``Labeled``, all else is as it was called.

    ``parameters`` are those of the module called, by their names in it. ``shape`` is that of the
    result, or None where the result is no tensor.
    """

    name: str
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    parameters: Mapping[str, Labeled]
    shape: tuple[int, ...] | None
    union: AxisUnion

    def argument(self, position: int, keyword: str) -> Any:
        """An argument by position or keyword; None where it was left out."""
        return self.args[position] if len(self.args) > position else self.kwargs.get(keyword)


Rule = Callable[[Call], Layout]


def linear_layer(call: Call) -> Layout:
    """``nn.Linear``: its output units are made here."""
    weight, bias = call.parameters["weight"], call.parameters.get("bias")
    return _linear(call, call.argument(0, "input"), weight, bias)


def linear_function(call: Call) -> Layout:
    """``functional.linear`` on parameters, or on tensors that were computed."""
    weight, bias = call.argument(1, "weight"), call.argument(2, "bias")
    return _linear(call, call.argument(0, "input"), weight, bias)


def entrywise(call: Call) -> Layout:
    """Any operation that commutes with permutations of its operands' axes.

    Operands broadcast as in torch: axes are paired from the last one backward, and an axis of
    length 1 puts no tie on the other.
    """
    assert call.shape is not None
    operands = [value for value in (*call.args, *call.kwargs.values()) if isinstance(value, Labeled)]
    result: list[Axis] = []
    for distance in range(len(call.shape), 0, -1):
        along = [value.axes[-distance] for value in operands if len(value.shape) >= distance]
        length = call.shape[-distance]
        tied = [axis for axis in along if sum(segment.length for segment in axis) == length]
        for axis in tied[1:]:
            call.union.unify(tied[0], axis)
        result.append(tied[0])
    return tuple(result)


def merge_axes(call: Call) -> Layout:
    """Flatten, view, reshape where they only merge neighboring axes: features of a unit become its block."""
    source = next(value for value in (*call.args, *call.kwargs.values()) if isinstance(value, Labeled))
    assert call.shape is not None
    groups = _merged(source.shape, call.shape)
    if groups is None:  # an axis was split: its units cannot be followed
        call.union.pin(*source.axes)
        return call.union.layout(call.shape, pinned=True)
    return tuple(_merge(call.union, [(source.axes[i], source.shape[i]) for i in group]) for group in groups)


def _linear(call: Call, inputs: Labeled, weight: Labeled, bias: Labeled | None) -> Layout:
    """Ties the input's last axis to the weight's columns; the result has the weight's rows."""
    call.union.unify(inputs.axes[-1], weight.axes[1])
    if bias is not None:
        call.union.unify(weight.axes[0], bias.axes[0])
    call.union.made_by(weight.axes[0], call.name)
    return (*inputs.axes[:-1], weight.axes[0])


def _merged(source: tuple[int, ...], result: tuple[int, ...]) -> list[list[int]] | None:
    """For each axis of the result the source axes merged into it; None where one was split."""
    groups: list[list[int]] = []
    position = 0
    for index, length in enumerate(result):
        group: list[int] = []
        product = 1
        last = index == len(result) - 1
        while position < len(source) and (not group or product < length or last):
            group.append(position)
            product *= source[position]
            position += 1
        if product != length:
            return None
        groups.append(group)
    return groups if position == len(source) else None


def _merge(union: AxisUnion, axes: list[tuple[Axis, int]]) -> Axis:
    """One axis of several, the first varying slowest; at most one of them stays free.

    Below a pinned axis, the units of the next one recur once per position. Otherwise a unit keeps all
    that lies behind it as its block.
    """
    longer = [(axis, length) for axis, length in axes if length > 1]
    if all(union.is_pinned(segment) for axis, _ in longer for segment in union.resolve(axis)):
        merged = union.fresh(math.prod(length for _, length in longer))
        union.pin(merged)
        return merged
    merged, _ = longer[-1]
    for axis, length in reversed(longer[:-1]):
        if all(union.is_pinned(segment) for segment in union.resolve(axis)):
            merged = merged * length
        else:
            union.pin(merged)
            block = sum(segment.length for segment in merged)
            merged = tuple(Units(s.units, s.num_units, s.block * block) for s in axis)
    return merged


ENTRYWISE_LAYERS: tuple[type[nn.Module], ...] = (
    *(nn.ReLU, nn.ReLU6, nn.LeakyReLU, nn.ELU, nn.CELU, nn.SELU, nn.GELU, nn.SiLU, nn.Mish),
    *(nn.Tanh, nn.Tanhshrink, nn.Sigmoid, nn.LogSigmoid, nn.Softplus, nn.Softsign, nn.Softshrink),
    *(nn.Hardtanh, nn.Hardswish, nn.Hardsigmoid, nn.Hardshrink, nn.Threshold, nn.Identity),
    *(nn.Dropout, nn.AlphaDropout),
)

ENTRYWISE_FUNCTIONS: tuple[Callable[..., Any], ...] = (
    *(torch.relu, torch.relu_, torch.tanh, torch.sigmoid, torch.exp, torch.abs, torch.neg, torch.square),
    *(torch.sin, torch.cos, torch.clamp, torch.add, torch.sub, torch.mul, torch.div, torch.maximum),
    *(torch.minimum, functional.relu, functional.relu6, functional.leaky_relu, functional.elu),
    *(functional.celu, functional.selu, functional.gelu, functional.silu, functional.mish),
    *(functional.tanh, functional.sigmoid, functional.softplus, functional.softsign),
    *(functional.hardtanh, functional.hardswish, functional.hardsigmoid, functional.dropout),
    *(operator.add, operator.sub, operator.mul, operator.truediv, operator.neg),
    *(operator.iadd, operator.isub, operator.imul, operator.itruediv),
)

ENTRYWISE_METHODS = (
    *("relu", "relu_", "tanh", "tanh_", "sigmoid", "sigmoid_", "exp", "abs", "neg", "square", "clamp"),
    *("add", "add_", "sub", "sub_", "mul", "mul_", "div", "div_", "clone", "contiguous", "detach"),
    *("float", "double", "to"),
)

RULES: dict[type[nn.Module] | Callable[..., Any] | str, Rule] = {
    nn.Linear: linear_layer,
    functional.linear: linear_function,
    nn.Flatten: merge_axes,
    torch.flatten: merge_axes,
    torch.reshape: merge_axes,
    "flatten": merge_axes,
    "view": merge_axes,
    "reshape": merge_axes,
    **dict.fromkeys(ENTRYWISE_LAYERS, entrywise),
    **dict.fromkeys(ENTRYWISE_FUNCTIONS, entrywise),
    **dict.fromkeys(ENTRYWISE_METHODS, entrywise),
}
"""Module types, functions, and names of tensor methods. Types are matched exactly: a subclass may differ."""

SHAPE_ONLY: frozenset[Callable[..., Any] | str] = frozenset({"size", "dim", "numel", getattr})
"""Operations that look at a tensor's shape alone and so leave its units free."""
