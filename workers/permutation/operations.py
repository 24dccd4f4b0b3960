"""Dispatched operations: their names, their arguments, and the rule that fits these."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import torch
from torch import Tensor

from workers.permutation.axes import AxisUnion, length, pinned
from workers.permutation.rules import VALUE_READERS, rule_of
from workers.permutation.rules.call import Call, Labeled, NoRuleError, Rule
from workers.permutation.rules.entrywise import like_first


def name_of(func: Any) -> str:
    """The operation's name without its namespace and overload."""
    return str(func._schema.name).rpartition("::")[2]


def arguments_of(func: Any, args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> dict[str, Any]:
    """All arguments by name, defaults included."""
    schema = func._schema.arguments
    values = {one.name: one.default_value for one in schema if one.has_default_value()}
    values |= {one.name: value for one, value in zip(schema, args, strict=False)}
    return {one.name: (values | dict(kwargs))[one.name] for one in schema}


def targets_of(func: Any, arguments: Mapping[str, Any]) -> list[Tensor]:
    """The tensors that the operation writes into."""
    names = [one.name for one in func._schema.arguments if one.alias_info and one.alias_info.is_write]
    return list(tensors_in([arguments[name] for name in names]))


def read_by(func: Any, arguments: Mapping[str, Any]) -> list[Tensor]:
    """The tensors whose values steer Python or decide the length of the result."""
    if name_of(func) in VALUE_READERS:
        return list(tensors_in(arguments))
    return _masks(func, arguments)


def rule_for(func: Any, arguments: Mapping[str, Any]) -> Rule | None:
    """The rule of an operation for these arguments, before it has changed any; None where there is none."""
    if _masks(func, arguments):
        return None
    if name_of(func) in ("as_strided", "as_strided_"):
        return like_first if _is_same_view(**arguments) else None
    return rule_of(func)


def labels_of(
    func: Any,
    rule: Rule | None,
    arguments: Mapping[str, Any],
    label: Callable[[Tensor], Labeled],
    results: list[Any],
    union: AxisUnion,
) -> tuple[list[Labeled], bool]:
    """What the rule says of the results, and whether the operation held in place what was free."""
    shapes = tuple(tuple(one.shape) if isinstance(one, Tensor) else None for one in results)
    labeled = {name: _labeled(value, label) for name, value in arguments.items()}
    limited: list[str] = []
    call = Call(name_of(func), labeled, shapes, union, limited)
    call.hold(*(axis for operand in call.operands for axis in operand.places_on))
    try:
        if rule is None:
            raise NoRuleError
        found = rule(call)
    except NoRuleError:
        call.hold(*(axis for operand in call.operands for axis in operand.axes))
        found = [None] * len(results)
    listed = found if isinstance(found, list) else [found]
    return [_label(*both) for both in zip(listed, results, strict=True)], bool(limited)


def held(tensor: Any) -> Labeled:
    """A tensor in which nothing moves."""
    shape = tuple(tensor.shape) if isinstance(tensor, Tensor) else ()
    return Labeled(shape, tuple(pinned(num_units) for num_units in shape))


def tensors_in(value: Any) -> Iterator[Tensor]:
    """All tensors in nested lists, dicts and dataclasses."""
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, Mapping):
        for one in value.values():
            yield from tensors_in(one)
    elif isinstance(value, list | tuple | set | frozenset):
        for one in value:
            yield from tensors_in(one)
    elif is_dataclass(value):
        for one in fields(value):
            yield from tensors_in(getattr(value, one.name))


def _label(found: Any, tensor: Any) -> Labeled:
    """What a rule returned for one result, as a label of it."""
    if isinstance(found, Labeled):
        return found
    if found is None or not isinstance(tensor, Tensor):
        return held(tensor)
    assert tuple(map(length, found)) == tuple(tensor.shape), (found, tensor.shape)
    return Labeled(tuple(tensor.shape), found)


def _labeled(value: Any, label: Callable[[Tensor], Labeled]) -> Any:
    """An argument as the rules see it."""
    if isinstance(value, Tensor):
        return label(value)
    if isinstance(value, list | tuple):
        return [_labeled(one, label) for one in value]
    return value


def _masks(func: Any, arguments: Mapping[str, Any]) -> list[Tensor]:
    """Indices that say what is taken by truth rather than by number."""
    if not name_of(func).startswith("index"):
        return []
    indices = tensors_in(arguments.get("indices"))
    return [index for index in indices if index.dtype in (torch.bool, torch.uint8)]


def _is_same_view(self: Tensor, size: list[int], stride: list[int], storage_offset: int | None) -> bool:
    """Whether ``as_strided`` gives the tensor itself, but for the strides of axes of length 1."""
    same = all(n == 1 or s == t for n, s, t in zip(size, stride, self.stride(), strict=False))
    return list(self.shape) == list(size) and same and storage_offset in (None, self.storage_offset())
