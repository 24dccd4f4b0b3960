"""From a module to its permutation spec, by observing one forward pass.

Every axis of every parameter and buffer starts free; each operation ties axes together by its rule
(``workers.permutation.rules``); inputs and outputs are pinned, and so is all that touches an
operation without a rule. The sets of units left over are the groups.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from workers.permutation.axes import PINNED, Axis, AxisUnion, Run, run_length
from workers.permutation.recorder import PinnedOperation, Trace
from workers.permutation.spec import PermutationSpec, Segment
from workers.permutation.tracing import trace

NO_HIDDEN_UNITS = "no layer makes hidden units that another one reads"

CHECKED_PARAMETERS = 30_000_000
"""A spec is proved on random weights in float64 up to this size, which takes seconds and 0.7 GB there.

Beyond, the networks that are aligned prove it, in float32.
"""


@dataclass(frozen=True)
class Derivation:
    """A spec with the operations that limited it, in the order of the forward pass."""

    spec: PermutationSpec
    pinned_operations: tuple[PinnedOperation, ...]


def derive_permutation_spec(
    module: nn.Module, example_input: Tensor | tuple[Tensor | None, ...] | None = None
) -> PermutationSpec:
    """The permutation spec of a module, derived from its forward pass in eval mode and proved.

    A group is named after the layer whose parameter it first acts on: ``layers.0`` is hidden layer 0 of
    an MLP; further ones of the same layer are ``<layer>#1`` and so on. Inputs and outputs are never
    permuted.

    Args:
        module: On any device, ``meta`` included; a copy of it runs, on no real data.
        example_input: A batch of the right shape, or several where the module takes several inputs, None
            for one that it does without; values of floating-point inputs do not matter. It may be left
            out where the first layer with parameters is linear.

    Raises:
        ValueError: If the forward pass cannot be traced, nothing in it can be permuted, or, up to
            ``CHECKED_PARAMETERS``, random weights compute another function once they are permuted.
    """
    from workers.permutation.check import check_spec  # which imports this module

    spec = derive(module, example_input).spec
    if sum(parameter.numel() for parameter in module.parameters()) <= CHECKED_PARAMETERS:
        check_spec(module, spec, example_input)
    return spec


def derive(module: nn.Module, example_input: Tensor | tuple[Tensor | None, ...] | None = None) -> Derivation:
    """As ``derive_permutation_spec`` but not proved, together with the operations that limited it."""
    examples = example_inputs(module, example_input)
    with torch.random.fork_rng(devices=[]):  # a forward pass may draw, in eval mode too
        traced = trace(module, examples)
    _choose(traced)
    spec = _spec(traced, frozenset(dict(module.named_buffers(remove_duplicate=False))))
    if not spec.groups:
        holders = ", ".join(f"{op.name} ({op.operation})" for op in traced.pinned)
        because = f"units are held in place by {holders}" if holders else NO_HIDDEN_UNITS
        raise ValueError(f"nothing in {_kind(module)} can be permuted: {because}")
    return Derivation(spec=spec, pinned_operations=traced.pinned)


def example_inputs(
    module: nn.Module, example_input: Tensor | tuple[Tensor | None, ...] | None
) -> tuple[Tensor | None, ...]:
    """The arguments of a forward pass; without an example, a batch for a first layer that is linear."""
    if example_input is None:
        return (_example(module),)
    return (example_input,) if isinstance(example_input, Tensor) else example_input


def _choose(traced: Trace) -> None:
    """Decides where blocks and entries within them could both move, which no segment can state.

    Heads come first, else the more numerous units; of equally many, the blocks.
    """
    union = traced.union
    for preferred in (union.preferred(), set[int]()):
        for axes in traced.state.values():
            for axis in axes:
                for run in union.resolve(axis):
                    _choose_in(union, union.resolve((run,)), preferred)


def _choose_in(union: AxisUnion, axis: Axis, preferred: set[int]) -> None:
    for run in axis:
        free = [factor for factor in run if factor.units != PINNED]
        if len(free) < 2 or (preferred and not any(factor.units in preferred for factor in free)):
            continue
        kept = max(free, key=lambda factor: (factor.units in preferred, factor.num_units))
        alone = sum(factor.units == kept.units for factor in free) == 1
        union.pin(*(((factor,),) for factor in free if not alone or factor.units != kept.units))


def _spec(traced: Trace, buffers: frozenset[str]) -> PermutationSpec:
    """The free sets of units on parameters that the outputs depend on, as groups; all else pinned."""
    union = traced.union
    layouts = {name: tuple(map(union.resolve, axes)) for name, axes in traced.state.items()}
    sizes: dict[int, int] = {}
    layers: dict[int, str] = {}
    for name in traced.used:
        if name not in buffers:
            for factor in (factor for axis in layouts[name] for run in axis for factor in run):
                if factor.units != PINNED and factor.units not in sizes:
                    sizes[factor.units], layers[factor.units] = factor.num_units, _layer(name)
    num_axes = Counter(
        units
        for layout in layouts.values()
        for axis in layout
        for units in {factor.units for run in axis for factor in run}
    )
    # a single unit that nothing else shares is an axis of length 1, along which a parameter repeats
    layers = {units: layer for units, layer in layers.items() if sizes[units] > 1 or num_axes[units] > 1}
    names: dict[int, str] = {}
    num_named: Counter[str] = Counter()
    for units, layer in layers.items():
        part = num_named[layer]
        names[units] = f"{layer}#{part}" if part else layer
        num_named[layer] += 1
    axes = {
        (name, position): _segments(axis, names)
        for name, layout in layouts.items()
        for position, axis in enumerate(layout)
        if any(factor.units in names for run in axis for factor in run)
    }
    return PermutationSpec(
        groups={name: sizes[units] for units, name in names.items()},
        axes=axes,
        buffers=frozenset(name for name, _ in axes) & buffers,
    )


def _segments(axis: Axis, names: dict[int, str]) -> tuple[Segment, ...]:
    """A resolved axis in the form of a spec; neighboring pinned segments are one, of block 1."""
    segments: list[Segment] = []
    for run in axis:
        for segment in _run_segments(run, names):
            if segments and segments[-1].group is None and segment.group is None:
                segments[-1] = Segment(None, segments[-1].num_units + segment.num_units)
            else:
                segments.append(segment)
    return tuple(segments)


def _run_segments(run: Run, names: dict[int, str]) -> list[Segment]:
    """Units once for each place of what varies slower, each with all that varies faster as its block."""
    position = next((i for i, factor in enumerate(run) if factor.units in names), None)
    if position is None:
        return [Segment(None, run_length(run))]
    units = run[position]
    segment = Segment(names[units.units], units.num_units, run_length(run[position + 1 :]))
    return [segment] * run_length(run[:position])


def _layer(parameter: str) -> str:
    """The layer that owns a parameter; its own name where the module itself does."""
    layer = parameter.partition("parametrizations.")[0].rstrip(".")
    return (layer if layer != parameter else parameter.rpartition(".")[0]) or parameter


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


def _kind(module: nn.Module) -> str:
    """Name of the module's class."""
    return type(module).__name__
