"""The forward pass of a module, operation by operation, with the rules applied to its axes."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import jaxtyping
import torch
from torch import Tensor, fx, nn
from torch.func import functional_call

from workers.permutation.axes import AxisUnion
from workers.permutation.rules import RULES, SHAPE_ONLY, Call, Labeled


@dataclass(frozen=True)
class PinnedOperation:
    """An operation without a rule: where it stands in the module, and what it is."""

    name: str
    operation: str


class Tracing(fx.Interpreter):
    """Runs the graph on zeros for the shapes, and the rules beside it for the axes.

    Zeros, because the meta device costs its first user five seconds of imports. Parameters are views of
    a single zero, so that a large module takes no memory.
    """

    def __init__(self, module: nn.Module) -> None:
        try:
            with _shapes_unchecked():
                graph = fx.symbolic_trace(module)
        except Exception as error:
            raise ValueError(
                f"{type(module).__name__} cannot be traced: {_first_line(error)}. "
                "Its forward pass must not branch on values of tensors."
            ) from error
        super().__init__(graph)
        self.union = AxisUnion()
        self.pinned: list[PinnedOperation] = []
        self.labels: dict[fx.Node, Labeled] = {}
        self.parameters: dict[str, Labeled] = {}
        by_tensor: dict[int, Labeled] = {}  # tied parameters share their axes
        named = [
            *module.named_parameters(remove_duplicate=False),
            *module.named_buffers(remove_duplicate=False),
        ]
        for name, tensor in named:
            shape = tuple(tensor.shape)
            label = by_tensor.setdefault(id(tensor), Labeled(shape, self.union.layout(shape)))
            self.parameters[name] = label

    def run_node(self, n: fx.Node) -> Any:
        """The node's value on zeros, having noted its axes."""
        try:
            value = super().run_node(n)
        except Exception as error:
            raise ValueError(
                f"{n.name} ({_operation(self, n)}) fails on the example input: {_first_line(error)}"
            ) from error
        if n.op == "output":
            fx.node.map_arg(n.args, lambda node: self._pin(node))
        elif n.op == "get_attr":
            self._note(n, value, self.parameters.get(str(n.target)))
        elif n.op == "placeholder":
            self._note(n, value, None)
        else:
            self._call(n, value)
        return value

    def get_attr(self, target: Any, args: Any, kwargs: Any) -> Any:
        """A parameter, a buffer or a constant, as zeros."""
        value = super().get_attr(target, args, kwargs)
        return _zeros(value) if isinstance(value, Tensor) else value

    def call_module(self, target: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """The submodule's result with zeros for parameters and buffers."""
        submodule = self.fetch_attr(target)
        state = {name: _zeros(tensor) for name, tensor in submodule.named_parameters()}
        state |= {
            name: torch.zeros(tensor.shape, dtype=tensor.dtype) for name, tensor in submodule.named_buffers()
        }
        return functional_call(submodule, state, args, kwargs)

    def _call(self, node: fx.Node, value: Any) -> None:
        """Applies the rule of one operation, or pins what the operation touches."""
        inputs = [self.labels[source] for source in node.all_input_nodes if source in self.labels]
        parameters: dict[str, Labeled] = {}
        key: Any = node.target
        if node.op == "call_module":
            submodule = self.fetch_attr(str(node.target))
            # a hook may change what the layer computes or where its weights come from
            key = None if submodule._forward_hooks or submodule._forward_pre_hooks else type(submodule)
            prefix = f"{node.target}."
            parameters = {
                name.removeprefix(prefix): label
                for name, label in self.parameters.items()
                if name.startswith(prefix)
            }
        if not (inputs or parameters) or key in SHAPE_ONLY:
            self._note(node, value, None)
            return
        if key not in RULES or not isinstance(value, Tensor):
            self.pinned.append(PinnedOperation(str(_place(node)), _operation(self, node)))
            for label in (*inputs, *parameters.values()):
                self.union.pin(*label.axes)
            self._note(node, value, None)
            return
        args: Any = fx.node.map_arg(node.args, self._labeled)
        kwargs: Any = fx.node.map_arg(node.kwargs, self._labeled)
        call = Call(str(_place(node)), args, kwargs, parameters, tuple(value.shape), self.union)
        self._note(node, value, Labeled(tuple(value.shape), RULES[key](call)))

    def _labeled(self, node: fx.Node) -> Any:
        """A tensor as the rules see it, any other value as it is."""
        return self.labels.get(node, self.env.get(node))

    def _note(self, node: fx.Node, value: Any, label: Labeled | None) -> None:
        """Keeps the axes of a tensor; those of unknown origin are pinned."""
        if isinstance(value, Tensor):
            shape = tuple(value.shape)
            self.labels[node] = label or Labeled(shape, self.union.layout(shape, pinned=True))

    def _pin(self, node: fx.Node) -> fx.Node:
        """Pins all axes of a node's value."""
        if node in self.labels:
            self.union.pin(*self.labels[node].axes)
        return node


def _place(node: fx.Node) -> Any:
    """Where an operation stands: the module's path, else the node's name in the trace."""
    return node.target if node.op == "call_module" else node.name


def _operation(tracing: fx.Interpreter, node: fx.Node) -> str:
    """What an operation is, for people."""
    if node.op == "call_module":
        return type(tracing.fetch_attr(str(node.target))).__name__
    return str(getattr(node.target, "__name__", node.target))


@contextmanager
def _shapes_unchecked() -> Iterator[None]:
    """Shape annotations of a forward pass are not enforced: what it is traced with is no tensor."""
    before = jaxtyping.config.jaxtyping_disable
    jaxtyping.config.update("jaxtyping_disable", True)
    try:
        yield
    finally:
        jaxtyping.config.update("jaxtyping_disable", before)


def _zeros(tensor: Tensor) -> Tensor:
    """Zeros of the same shape, on the CPU, that share one entry."""
    return torch.zeros((), dtype=tensor.dtype).expand(tensor.shape)


def _first_line(error: BaseException) -> str:
    """What torch's errors say before their advice and stacks."""
    return str(error).strip().partition("\n")[0]
