"""Observes the operations of a forward pass and applies their rules to the axes of the tensors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode

from workers.permutation.axes import AxisUnion, Layout
from workers.permutation.known import Known, KnownTensors
from workers.permutation.operations import (
    arguments_of,
    held,
    labels_of,
    name_of,
    read_by,
    rule_for,
    targets_of,
    tensors_in,
)
from workers.permutation.rules.call import Labeled, Rule
from workers.permutation.rules.entrywise import uniform
from workers.permutation.stand_in import values_of


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


class Recorder(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """Lives for one forward pass; active while it is entered."""

    def __init__(
        self, module: nn.Module, state: Mapping[str, Tensor], outside: Sequence[tuple[Tensor, bool]]
    ) -> None:
        """Args:
        module: A copy that may get hooks.
        state: Its parameters and stored buffers, by all their names.
        outside: Tensors that it holds but does not store, and whether their values are known.
        """
        super().__init__()  # type: ignore[no-untyped-call]
        self.reader: str | None = None
        """The operation that looked at values, once one did."""
        self._module = module
        self._union = AxisUnion()
        self._tensors = KnownTensors(self._union)
        self._limits: dict[PinnedOperation, None] = {}
        self._running: list[nn.Module] = []
        self._paths = {submodule: path for path, submodule in module.named_modules()}
        self._written: set[str] = set()
        self._first_uses: dict[str, None] = {}
        self._state: dict[str, Known] = {}
        for name, tensor in state.items():
            if self._tensors.lasting(tensor) is None:
                shape = tuple(tensor.shape)
                label = Labeled(shape, self._union.layout(shape), stored=True)
                if tensor.layout != torch.strided:  # sparse ones are not permuted
                    label = held(tensor)
                self._tensors.set(tensor, Known(label, isinstance(tensor, nn.Parameter), frozenset({name})))
            self._state[name] = self._tensors.of(tensor)
        for tensor, values_known in outside:
            if not values_known:  # else it is a constant
                self._tensors.set(tensor, Known(held(tensor), True))
        for submodule in self._paths:
            submodule.register_forward_pre_hook(self._enter, prepend=True)
            submodule.register_forward_hook(self._leave)

    @property
    def place(self) -> str | None:
        """Path and class of the submodule that runs now; None in the root."""
        if not self._running or not self._paths.get(self._running[-1]):
            return None
        return f"{self._paths[self._running[-1]]} ({type(self._running[-1]).__name__})"

    def example(self, example: Tensor | None) -> Tensor | None:
        """An input in place of the example: zeros of the module's type, or the same whole numbers."""
        if example is None:
            return None
        if example.is_floating_point():
            types = [one.dtype for one in self._module.parameters() if one.is_floating_point()]
            tensor = torch.zeros(example.shape, dtype=types[0] if types else example.dtype)
        else:
            tensor = values_of(example)
        self._tensors.set(tensor, Known(held(tensor), True))
        return tensor

    def read(self, reader: str, tensors: Iterable[Tensor]) -> None:
        """Raises RuntimeError if values are about to be read, by an operation or method, that may change."""
        for tensor in tensors:
            self._tensors.adopt(tensor)
            if self._tensors.of(tensor).varies:
                self.reader = f"{self.place or 'it'}, by {reader},"
                raise RuntimeError(self.reader)

    def finish(self, outputs: Any) -> Trace:
        """What was learned, with all that the module returns held in place."""
        used = set(self._written)
        for tensor in tensors_in(outputs):
            self._tensors.adopt(tensor)
            known = self._tensors.of(tensor)
            self._union.pin(*known.label.axes, *known.label.places_on)
            used |= known.sources
        return Trace(
            union=self._union,
            state={name: known.label.axes for name, known in self._state.items()},
            used=tuple(name for name in self._first_uses if name in used),
            pinned=tuple(self._limits),
        )

    def __deepcopy__(self, memo: object) -> Recorder:
        """Itself: layers that a forward pass copies are observed by the same hooks."""
        return self

    @classmethod
    def _should_skip_dynamo(cls) -> bool:
        """No: torch would import its compiler for it, which takes seconds."""
        return False

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """The operation's result, its axes noted."""
        arguments = arguments_of(func, args, kwargs or {})
        operands = list(tensors_in(arguments))
        for tensor in operands:
            self._tensors.adopt(tensor)
        for target in targets_of(func, arguments):
            self._tensors.write(target)
        lasting = [known for tensor in operands if (known := self._tensors.lasting(tensor)) is not None]
        self._first_uses |= dict.fromkeys(source for known in lasting for source in known.sources)
        self.read(name_of(func), read_by(func, arguments))
        rule = rule_for(func, arguments)
        result = func(*args, **(kwargs or {}))
        results: list[Any] = list(result) if isinstance(result, list | tuple) else [result]
        if lasting and name_of(func) == "stack":
            self._tensors.defer(func, arguments, results)
        elif lasting and (rule is not uniform or "empty" in name_of(func)):
            self._apply(func, rule, arguments, lasting, results)
        elif (
            not lasting and func.is_view and not any(one is tensor for one in results for tensor in operands)
        ):
            self._tensors.defer(func, arguments, results)
        elif not lasting and "empty" in name_of(func):  # it will be written into
            shape = tuple(result.shape)
            self._tensors.set(result, Known(Labeled(shape, self._union.layout(shape)), False))
        elif not lasting and torch.Tag.nondeterministic_seeded in func.tags:
            self._limits[self._limit(name_of(func))] = None
            for tensor in tensors_in(result):
                self._tensors.set(tensor, Known(held(tensor), True))
        return result

    def _apply(
        self,
        func: Any,
        rule: Rule | None,
        arguments: dict[str, Any],
        lasting: list[Known],
        results: list[Any],
    ) -> None:
        """Applies the rule of one operation, or holds in place what the operation touches."""
        before = {id(tensor): self._tensors.of(tensor) for tensor in tensors_in(arguments)}
        labels, limited = labels_of(
            func, rule, arguments, lambda one: before[id(one)].label, results, self._union
        )
        if limited:
            self._limits[self._limit(name_of(func))] = None
        varies = any(known.varies for known in lasting)
        sources = frozenset[str]().union(*(known.sources for known in lasting))
        for target in targets_of(func, arguments):
            label = before[id(target)].label
            if torch.Tag.inplace_view in func.tags:
                label = labels[0]
            elif labels and labels[0].shape == label.shape:
                for old, new in zip(label.axes, labels[0].axes, strict=True):
                    self._union.unify(old, new)
            self._written |= sources
            self._tensors.set(target, Known(label, varies, sources))
        for tensor, label in zip(results, labels, strict=True):
            if isinstance(tensor, Tensor) and id(tensor) not in before:
                self._tensors.set(tensor, Known(label, varies, sources))

    def _limit(self, operation: str) -> PinnedOperation:
        """The operation that runs now, under the name of its layer if that is one of torch's own."""
        running = self._running[-1] if self._running else None
        path = self._paths.get(running, "") if running is not None else ""
        library = running is not None and type(running).__module__.startswith("torch.nn.")
        return PinnedOperation(path or operation, type(running).__name__ if library else operation)

    def _enter(self, module: nn.Module, args: Any) -> None:
        self._running.append(module)

    def _leave(self, module: nn.Module, args: Any, output: Any) -> None:
        while self._running and self._running.pop() is not module:
            pass  # a submodule that failed, whose failure was caught
