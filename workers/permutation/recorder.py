"""Observes the operations of a forward pass and applies their rules to the axes of the tensors."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.weak import WeakTensorKeyDictionary

from workers.permutation.axes import AxisUnion, Layout, length, pinned
from workers.permutation.rules import VALUE_READERS, rule_of
from workers.permutation.rules.call import Call, Labeled, NoRuleError, Rule
from workers.permutation.rules.entrywise import like_first


@dataclass(frozen=True)
class PinnedOperation:
    """An operation that limits what can be permuted: where it stands in the module, and what it is."""

    name: str
    operation: str


@dataclass(frozen=True)
class Trace:
    """Axes of the state; ``used`` names what the outputs depend on, in the order of first use."""

    union: AxisUnion
    state: Mapping[str, Layout]
    used: tuple[str, ...]
    pinned: tuple[PinnedOperation, ...]


@dataclass(frozen=True)
class _Value:
    """A tensor of the trace: its axes, whether its entries are unknown, the names of what it was made of."""

    label: Labeled
    varies: bool
    sources: frozenset[str] = frozenset()


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Lives for one forward pass; active while it is entered."""

    def __init__(self, module: nn.Module, state: Mapping[str, Tensor], unknown: list[Tensor]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.reader: str | None = None
        """The operation that looked at values, once one did."""
        self._union = AxisUnion()
        self._limits: dict[PinnedOperation, None] = {}
        self._running: list[nn.Module] = []
        self._paths = {submodule: path for path, submodule in module.named_modules()}
        self._written: set[str] = set()
        self._first_uses: dict[str, None] = {}
        self._values = WeakTensorKeyDictionary()
        self._state: dict[str, _Value] = {}
        for name, tensor in state.items():
            if tensor not in self._values:
                shape = tuple(tensor.shape)
                label = Labeled(shape, self._union.layout(shape), stored=True)
                self._values[tensor] = _Value(label, isinstance(tensor, nn.Parameter), frozenset({name}))
            self._state[name] = self._values[tensor]
        for tensor in unknown:
            self._values[tensor] = _Value(_held(tensor), True)
        for submodule in self._paths:
            submodule.register_forward_pre_hook(self._enter, prepend=True)
            submodule.register_forward_hook(self._leave)

    @property
    def place(self) -> str | None:
        """Path and class of the submodule that runs now; None in the root."""
        if not self._running or not self._paths[self._running[-1]]:
            return None
        return f"{self._paths[self._running[-1]]} ({type(self._running[-1]).__name__})"

    def example(self, example: Tensor) -> Tensor:
        """An input in place of the example: zeros, or the same whole numbers; nothing in it moves."""
        known = not example.is_floating_point() and not example.is_complex() and not example.is_meta
        tensor = example.detach().cpu().clone() if known else torch.zeros(example.shape, dtype=example.dtype)
        self._values[tensor] = _Value(_held(tensor), True)
        return tensor

    def finish(self, outputs: Any) -> Trace:
        """What was learned, with all that the module returns held in place."""
        used = set(self._written)
        for tensor in tensors_in(outputs):
            value = self._value(tensor)
            self._union.pin(*value.label.axes, *value.label.places_on)
            used |= value.sources
        return Trace(
            union=self._union,
            state={name: value.label.axes for name, value in self._state.items()},
            used=tuple(name for name in self._first_uses if name in used),
            pinned=tuple(self._limits),
        )

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """The operation's result, its axes noted."""
        arguments = _arguments(func, args, kwargs or {})
        known = self._operands(func, list(tensors_in(arguments)))
        if any(value.varies for value in known.values()) and _reads_values(func, arguments):
            self.reader = f"{self.place or 'it'}, by {_name(func)},"
            raise RuntimeError(self.reader)
        rule = _rule(func, arguments)
        result = func(*args, **(kwargs or {}))
        if known:
            self._apply(func, rule, arguments, known, result)
        else:
            self._begin(func, result)
        return result

    def _operands(self, func: Any, tensors: list[Tensor]) -> dict[int, _Value]:
        """What is known of the operands; empty where the result is a constant, as they are."""
        lasting = func.is_view or func._schema.is_mutable
        if not lasting and not any(tensor in self._values for tensor in tensors):
            return {}
        known: dict[int, _Value] = {}
        for tensor in tensors:
            value = known[id(tensor)] = self._value(tensor)
            if lasting:  # what is written into a view is written into its base
                self._values[tensor] = value
            self._first_uses |= dict.fromkeys(value.sources)
        return known

    def _begin(self, func: Any, result: Any) -> None:
        """Notes tensors made of nothing whose entries say nothing about those of another run."""
        empty = "empty" in _name(func)
        if empty or torch.Tag.nondeterministic_seeded in func.tags:
            for tensor in tensors_in(result):
                shape = tuple(tensor.shape)
                axes = self._union.layout(shape) if empty else _held(tensor).axes
                self._values[tensor] = _Value(Labeled(shape, axes), not empty)

    def _apply(
        self,
        func: Any,
        rule: Rule | None,
        arguments: dict[str, Any],
        known: dict[int, _Value],
        result: Any,
    ) -> None:
        """Applies the rule of one operation, or pins what the operation touches."""
        results: list[Any] = list(result) if isinstance(result, list | tuple) else [result]
        labeled = {name: _labeled(value, known) for name, value in arguments.items()}
        shapes = tuple(tuple(one.shape) if isinstance(one, Tensor) else None for one in results)
        limited: list[str] = []
        call = Call(_name(func), labeled, shapes, self._union, limited)
        call.hold(*(axis for value in known.values() for axis in value.label.places_on))
        labels = _labels(call, rule, results)
        if limited:
            self._limits[self._limit(call.name)] = None
        varies = any(value.varies for value in known.values())
        sources = frozenset[str]().union(*(value.sources for value in known.values()))
        values = [_Value(label, varies, sources) for label in labels]
        self._write(func, arguments, known, values)
        for tensor, value in zip(results, values, strict=True):
            if isinstance(tensor, Tensor) and id(tensor) not in known:
                self._values[tensor] = value

    def _write(
        self, func: Any, arguments: dict[str, Any], known: dict[int, _Value], values: list[_Value]
    ) -> None:
        """Notes what an operation in place did to its first argument."""
        written = [one.name for one in func._schema.arguments if one.alias_info and one.alias_info.is_write]
        for name in written:
            target = arguments[name]
            if not isinstance(target, Tensor):
                continue
            if torch.Tag.inplace_view in func.tags:
                self._values[target] = values[0]
                continue
            before = known[id(target)]
            if values and values[0].label.shape == before.label.shape:
                for old, new in zip(before.label.axes, values[0].label.axes, strict=True):
                    self._union.unify(old, new)
            varies = any(value.varies for value in known.values())
            sources = frozenset[str]().union(*(value.sources for value in known.values()))
            self._written |= sources
            self._values[target] = _Value(before.label, varies, sources)

    def _value(self, tensor: Tensor) -> _Value:
        """What is known of a tensor; one never seen before is a constant that the module brought along."""
        if tensor in self._values:
            found: _Value = self._values[tensor]
            return found
        if tensor.requires_grad:
            return _Value(_held(tensor), True)
        axes = tuple(
            self._union.fresh(num_units) if _is_uniform(tensor, axis) else pinned(num_units)
            for axis, num_units in enumerate(tensor.shape)
        )
        return _Value(Labeled(tuple(tensor.shape), axes), False)

    def _limit(self, operation: str) -> PinnedOperation:
        """The operation that runs now, under the name of its layer if that is one of torch's own."""
        running = self._running[-1] if self._running else None
        path = self._paths[running] if running is not None else ""
        library = running is not None and type(running).__module__.startswith("torch.nn.")
        return PinnedOperation(path or operation, type(running).__name__ if library else operation)

    def _enter(self, module: nn.Module, args: Any) -> None:
        self._running.append(module)

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        while self._running and self._running.pop() is not module:
            pass  # a submodule that failed, whose failure was caught


def _rule(func: Any, arguments: dict[str, Any]) -> Rule | None:
    """The rule of an operation for these arguments, before it has changed any."""
    if _masks(func, arguments):
        return None
    if _name(func) in ("as_strided", "as_strided_"):
        return like_first if _is_same_view(**arguments) else None
    return rule_of(func)


def _is_same_view(self: Tensor, size: list[int], stride: list[int], storage_offset: int | None) -> bool:
    """Whether ``as_strided`` gives the tensor itself, but for the strides of axes of length 1."""
    same = all(n == 1 or s == t for n, s, t in zip(size, stride, self.stride(), strict=False))
    return list(self.shape) == list(size) and same and storage_offset in (None, self.storage_offset())


def _labels(call: Call, rule: Rule | None, results: list[Any]) -> list[Labeled]:
    """What the rule says of the results; without a rule, everything is held in place."""
    try:
        if rule is None:
            raise NoRuleError
        found = rule(call)
    except NoRuleError:
        call.hold(*(axis for operand in call.operands for axis in operand.axes))
        found = [None] * len(results)
    labels = []
    for one, tensor in zip(found if isinstance(found, list) else [found], results, strict=True):
        if isinstance(one, Labeled):
            labels.append(one)
        elif one is None or not isinstance(tensor, Tensor):
            labels.append(_held(tensor))
        else:
            assert tuple(map(length, one)) == tuple(tensor.shape), (call.name, one, tensor.shape)
            labels.append(Labeled(tuple(tensor.shape), one))
    return labels


def _name(func: Any) -> str:
    """The operation's name without its namespace and overload."""
    return str(func._schema.name).rpartition("::")[2]


def _arguments(func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    """All arguments by name, defaults included."""
    schema = func._schema.arguments
    values = {one.name: one.default_value for one in schema if one.has_default_value()}
    values |= {one.name: value for one, value in zip(schema, args, strict=False)}
    return {one.name: (values | kwargs)[one.name] for one in schema}


def _reads_values(func: Any, arguments: dict[str, Any]) -> bool:
    """Whether the result steers Python, or its length depends on values."""
    return _name(func) in VALUE_READERS or _masks(func, arguments)


def _masks(func: Any, arguments: dict[str, Any]) -> bool:
    """Whether a tensor is indexed by what is true rather than by number."""
    if not _name(func).startswith("index"):
        return False
    indices = tensors_in(arguments.get("indices"))
    return any(index.dtype in (torch.bool, torch.uint8) for index in indices)


def _labeled(value: Any, known: Mapping[int, _Value]) -> Any:
    """An argument as the rules see it."""
    if isinstance(value, Tensor):
        return known[id(value)].label
    if isinstance(value, list | tuple):
        return [_labeled(one, known) for one in value]
    return value


def _held(tensor: Any) -> Labeled:
    """A tensor in which nothing moves."""
    shape = tuple(tensor.shape) if isinstance(tensor, Tensor) else ()
    return Labeled(shape, tuple(pinned(num_units) for num_units in shape))


def _is_uniform(tensor: Tensor, axis: int) -> bool:
    """Whether the tensor repeats itself along the axis."""
    return bool((tensor == tensor.narrow(axis, 0, min(1, tensor.shape[axis]))).all())


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
