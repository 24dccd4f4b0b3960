"""From a module to its permutation spec, by tracing the forward pass.

Every axis of every parameter starts free; each operation ties axes together by its rule
(``workers.permutation.rules``); inputs and outputs are pinned, and so is all that touches an
operation without a rule. The sets of units left over are the groups.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from workers.permutation.axes import Layout, Units
from workers.permutation.spec import PermutationSpec, Segment
from workers.permutation.tracing import PinnedOperation, Tracing


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
    tracing = Tracing(module)
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


def _spec(tracing: Tracing) -> PermutationSpec:
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
    num_named: Counter[str] = Counter()
    for units in sorted(makers, key=lambda units: (makers[units][0], units)):
        layer = makers[units][1]
        part = num_named[layer]  # above 0 where a layer's units were cut in parts
        names[units] = f"{layer}#{part}" if part else layer
        num_named[layer] += 1
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
