"""One network as arrays, and where along their axes the units of each group lie."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Int64, Shaped
from numpy import ndarray
from torch import Tensor

from workers.params import Params
from workers.permutation.spec import PermutationSpec, Segment

Coloring = Mapping[str, ndarray]
"""Group to the color of each of its units, int64 (W,). Where no two are tied, it is where each unit goes."""

OUTGOING, OWN, INCOMING, STATISTICS = range(4)
"""What tells units apart, in this order: weights that read them, a number each, weights that make them."""


@dataclass(frozen=True)
class Place:
    """Where the units of a group lie along one axis of one tensor."""

    name: str
    axis: int
    start: int
    segment: Segment
    kind: int


@dataclass(frozen=True)
class UnitArrays:
    """One network as arrays, with the places of every group."""

    arrays: Mapping[str, ndarray]
    spec: PermutationSpec
    power: float | None = None

    @classmethod
    def of(cls, params: Params, spec: PermutationSpec, power: float | None = None) -> UnitArrays:
        """Those of a network; tensors that no group acts on are left out."""
        names = sorted({name for name, _ in spec.axes} & params.keys())
        return cls({name: _comparable(params[name]) for name in names}, spec, power)

    @cached_property
    def places(self) -> Mapping[str, tuple[Place, ...]]:
        """Of every group, outgoing ones first."""
        found: dict[str, list[Place]] = {group: [] for group in self.spec.groups}
        for (name, axis), segments in sorted(self.spec.axes.items()):
            if name not in self.arrays:
                continue
            start = 0
            for segment in segments:
                if segment.group is not None:
                    kind = _kind(self.arrays[name], axis, name in self.spec.buffers)
                    found[segment.group].append(Place(name, axis, start, segment, kind))
                start += segment.length
        return {group: tuple(sorted(places, key=lambda p: p.kind)) for group, places in found.items()}

    def uncolored(self) -> Coloring:
        """All units of a group tied."""
        return {group: np.zeros(units, dtype=np.int64) for group, units in self.spec.groups.items()}

    def slices(self, place: Place, units: Sequence[int]) -> Shaped[ndarray, "units block others"]:
        """The entries of some units."""
        segment = place.segment
        moved = np.moveaxis(self.arrays[place.name], place.axis, 0)
        own = moved[place.start : place.start + segment.length].reshape(segment.num_units, segment.block, -1)
        return own[list(units)]

    def labels(self, name: str, axis: int, coloring: Coloring) -> Int64[ndarray, " entries"]:
        """For every entry of an axis its final place; for those of tied units the first they could have."""
        parts, start = [], 0
        for segment in self._segments(name, axis):
            places = np.arange(segment.num_units) if segment.group is None else coloring[segment.group]
            entries = places[:, None] * segment.block + np.arange(segment.block)
            parts.append(entries.ravel() + start)
            start += segment.length
        return np.concatenate(parts)

    def owners(self, name: str, axis: int, group: str) -> Int64[ndarray, " entries"]:
        """For every entry of an axis the unit of the group that it belongs to, or -1."""
        parts = []
        for segment in self._segments(name, axis):
            own = np.arange(segment.num_units) if segment.group == group else np.full(segment.num_units, -1)
            parts.append(own.repeat(segment.block))
        return np.concatenate(parts)

    def acts_on(self, name: str, group: str) -> list[int]:
        """The axes of a tensor on which a group acts."""
        axes = range(self.arrays[name].ndim)
        return [axis for axis in axes if any(s.group == group for s in self._segments(name, axis))]

    def _segments(self, name: str, axis: int) -> tuple[Segment, ...]:
        whole = (Segment(None, self.arrays[name].shape[axis]),)
        return self.spec.axes.get((name, axis), whole)


def _kind(array: ndarray, axis: int, is_buffer: bool) -> int:
    """What a tensor says of the units on an axis; torch's weights have the units they make on axis 0."""
    if is_buffer:
        return STATISTICS
    return OWN if array.ndim == 1 else INCOMING if axis == 0 else OUTGOING


def _comparable(tensor: Tensor) -> ndarray:
    """The tensor as an array in which equal numbers have equal bits."""
    tensor = tensor.detach().cpu()
    if tensor.is_complex():
        tensor = torch.view_as_real(tensor.resolve_conj())
    if not tensor.is_floating_point():
        return tensor.long().numpy()
    return (tensor if tensor.dtype in (torch.float32, torch.float64) else tensor.float()).numpy() + 0.0
