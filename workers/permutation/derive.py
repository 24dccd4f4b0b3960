"""From a module to its permutation spec, by tracing the forward pass.

Every axis of every parameter starts free; each operation ties axes together by its rule
(``workers.permutation.rules``); inputs and outputs are pinned, and so is all that touches an
operation without a rule. The sets of units left over are the groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, fx, nn
from torch.func import functional_call

from workers.permutation.axes import AxisUnion, Layout, Units
from workers.permutation.rules import RULES, SHAPE_ONLY, Call, Labeled
from workers.permutation.spec import PermutationSpec, Segment


@dataclass(frozen=True)
class PinnedOperation:
    """An operation without a rule: where it stands in the module, and what it is."""

    name: str
    operation: str


@dataclass(frozen=True)
class Derivation:
    """A spec with the operations that limited it, in the order of the forward pass."""

    spec: PermutationSpec
    pinned_operations: tuple[PinnedOperation, ...]


def derive_permutation_spec(module: nn.Module, example_input: Tensor | None = None) -> PermutationSpec:
    """The permutation spec of a module, derived from its forward pass.

    A group is named after the first layer that makes its units: ``layers.0`` is hidden layer 0 of an
    MLP. Inputs and outputs are never permuted.

    Args:
        module: On any device, ``meta`` included; it is not run on real data and not changed.
        example_input: A batch of the right shape; values do not matter. It may be left out where the
            first layer with parameters is linear.

    Raises:
        ValueError: If the forward pass cannot be traced, or nothing in it can be permuted.
    """
    return derive(module, example_input).spec


def derive(module: nn.Module, example_input: Tensor | None = None) -> Derivation:
    """As ``derive_permutation_spec``, together with the operations that have no rule."""
    example = _example(module) if example_input is None else example_input
    try:
        graph = fx.symbolic_trace(module)
    except Exception as error:
        raise ValueError(
            f"{_kind(module)} cannot be traced: {_first_line(error)}. "
            "Its forward pass must not branch on values of tensors."
        ) from error
    tracing = _Tracing(graph, module)
    with torch.random.fork_rng(devices=[]), torch.no_grad():  # dropout in training mode draws
        tracing.run(torch.zeros(example.shape, dtype=example.dtype))
    spec = _spec(tracing)
    if not spec.groups:
        because = ", ".join(f"{op.name} ({op.operation})" for op in tracing.pinned)
        raise ValueError(
            f"nothing in {_kind(module)} can be permuted: "
            + (f"no rule for {because}" if because else "no layer makes hidden units that another one reads")
        )
    return Derivation(spec=spec, pinned_operations=tuple(tracing.pinned))


class _Tracing(fx.Interpreter):
    """Runs the graph on zeros for the shapes, and the rules beside it for the axes.

    Zeros, because the meta device costs its first user five seconds of imports. Parameters are views of
    a single zero, so that a large module takes no memory.
    """

    def __init__(self, graph: fx.GraphModule, module: nn.Module) -> None:
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


def _spec(tracing: _Tracing) -> PermutationSpec:
    """The free sets of units that a layer made, as groups; the rest as pinned segments."""
    union, sizes, makers = tracing.union, dict[int, int](), dict[int, tuple[int, str]]()
    layouts: dict[str, Layout] = {
        name: tuple(union.resolve(axis) for axis in label.axes) for name, label in tracing.parameters.items()
    }
    for segment in (segment for layout in layouts.values() for axis in layout for segment in axis):
        maker = union.maker(segment)
        if maker is not None and not union.is_pinned(segment):
            sizes[segment.units], makers[segment.units] = segment.num_units, maker
    names: dict[int, str] = {}
    for units in sorted(makers, key=lambda units: (makers[units][0], units)):
        layer, taken = (
            makers[units][1],
            sum(1 for name in names.values() if name.split("#")[0] == makers[units][1]),
        )
        names[units] = layer if taken == 0 else f"{layer}#{taken}"  # a layer whose units were cut in parts
    axes = {
        (name, position): tuple(_segment(segment, names) for segment in axis)
        for name, layout in layouts.items()
        for position, axis in enumerate(layout)
        if any(segment.units in names for segment in axis)
    }
    return PermutationSpec(groups={name: sizes[units] for units, name in names.items()}, axes=axes)


def _segment(segment: Units, names: dict[int, str]) -> Segment:
    """A resolved segment in the form of a spec; pinned ones move nothing, so their block is 1."""
    if segment.units in names:
        return Segment(names[segment.units], segment.num_units, segment.block)
    return Segment(None, segment.length)


def _zeros(tensor: Tensor) -> Tensor:
    """Zeros of the same shape, on the CPU, that share one entry."""
    return torch.zeros((), dtype=tensor.dtype).expand(tensor.shape)


def _example(module: nn.Module) -> Tensor:
    """A batch for a module whose first layer with parameters is linear."""
    first = next(
        (layer for layer in module.modules() if next(layer.parameters(recurse=False), None) is not None), None
    )
    if not isinstance(first, nn.Linear):
        raise ValueError(
            f"the input shape of {_kind(module)} cannot be told, since its first layer with parameters is "
            f"{type(first).__name__}, not Linear: give example_input"
        )
    return torch.zeros(2, first.in_features)


def _place(node: fx.Node) -> Any:
    """Where an operation stands: the module's path, else the node's name in the trace."""
    return node.target if node.op == "call_module" else node.name


def _operation(tracing: fx.Interpreter, node: fx.Node) -> str:
    """What an operation is, for people."""
    if node.op == "call_module":
        return type(tracing.fetch_attr(str(node.target))).__name__
    return str(getattr(node.target, "__name__", node.target))


def _kind(module: nn.Module) -> str:
    """Name of the module's class."""
    return type(module).__name__


def _first_line(error: BaseException) -> str:
    """What torch's errors say before their advice and stacks."""
    return str(error).strip().partition("\n")[0]
