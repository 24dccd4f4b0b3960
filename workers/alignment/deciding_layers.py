"""In which order groups are decided from the input on, and by which of the layers that give them out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from workers.alignment.examples import Examples
from workers.alignment.second_moments import calls, is_reader, num_read, reader
from workers.params import Params
from workers.permutation.spec import PermutationSpec


@dataclass(frozen=True)
class Plan:
    """Which group is decided by which layers, in the order of the decisions.

    ``num_bytes`` is what the moments of a pair take, in bytes.
    """

    deciding: Mapping[str, tuple[str, ...]]
    is_kept: bool
    num_bytes: float


def planned(examples: Examples, params: Params, spec: PermutationSpec, max_bytes: float) -> Plan:
    """The plan for networks of one module."""
    module = examples.program.module
    readers = [
        name
        for name, layer in module.named_modules()
        if is_reader(layer) and f"{name}.weight" in params and (f"{name}.weight", 0) in spec.axes
    ]
    order = calls(examples, params, readers)
    gives = {name: groups_along(spec, name, 0) for name in order}
    for group in spec.groups:
        if not any(group in groups for groups in gives.values()):
            on = ", ".join(name for name, _, _ in spec.axes_of(group)[:5])
            raise ValueError(
                "functional_difference compares the weights of linear and convolutional layers, and none "
                f"gives out group {group!r}, which acts on {on}. Choose weight_matching"
            )
    deciding: dict[str, tuple[str, ...]] = {}
    while len(deciding) < len(spec.groups):
        group = _next_group(spec, order, gives, set(deciding))
        of_group = tuple(name for name in order if group in gives[name])
        ready = tuple(name for name in of_group if groups_along(spec, name, 1) <= deciding.keys())
        deciding[group] = ready or of_group  # in a circle of layers: as if all were in place
    sizes = {name: 8.0 * num_read(reader(module, name)) ** 2 for names in deciding.values() for name in names}
    largest = max(sizes, key=sizes.__getitem__)
    if 6 * sizes[largest] > max_bytes:  # of both networks, the sum, its eigenvectors, and products
        raise ValueError(
            f"functional_difference forms second moments of the {num_read(reader(module, largest))} entries "
            f"that {largest} reads: it takes {6 * sizes[largest]:.2g} bytes, and {max_bytes:.2g} are allowed "
            "(max_stack_bytes). Choose activation_matching or weight_matching"
        )
    together = 2 * sum(sizes.values()) + 4 * sizes[largest]
    is_kept = together <= max_bytes
    return Plan(deciding, is_kept, together if is_kept else 6 * sizes[largest])


def _next_group(
    spec: PermutationSpec, order: list[str], gives: Mapping[str, frozenset[str]], decided: set[str]
) -> str:
    """The group to decide next: all of whose layers read what is decided, else one of whose layers does."""
    left = dict.fromkeys(group for name in order for group in sorted(gives[name]) if group not in decided)
    for enough in (all, any):
        for group in left:
            if enough(groups_along(spec, name, 1) <= decided for name in order if group in gives[name]):
                return group
    return next(iter(left))


def groups_along(spec: PermutationSpec, layer: str, axis: int) -> frozenset[str]:
    """The groups along an axis of a layer's weight."""
    segments = spec.axes.get((f"{layer}.weight", axis), ())
    return frozenset(segment.group for segment in segments if segment.group is not None)
