"""Which group of units permutes which axis of which parameter: an architecture as data.

Along an axis lie segments, one after another. A segment belongs to one group or is pinned (group
None); ``block`` consecutive entries move together per unit, as a flattened channel or a head does.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Segment:
    """``num_units`` units of ``block`` consecutive entries each, permuted by ``group`` or pinned."""

    group: str | None
    num_units: int
    block: int = 1

    @property
    def length(self) -> int:
        """Entries of the axis that the segment covers."""
        return self.num_units * self.block


@dataclass(frozen=True)
class PermutationSpec:
    """Groups with their sizes, and for each parameter axis that a group acts on its segments.

    ``buffers`` are the names among ``axes`` of tensors that move with the units but are no parameters,
    such as batch-norm statistics: an objective on weights leaves them out. They follow from the module,
    not from the permutation, so the JSON form is without them and specs that differ in them are equal.
    """

    groups: Mapping[str, int]
    axes: Mapping[tuple[str, int], tuple[Segment, ...]]
    buffers: frozenset[str] = field(default=frozenset(), compare=False)

    def __post_init__(self) -> None:
        for (parameter, axis), segments in self.axes.items():
            for segment in segments:
                if segment.num_units < 1 or segment.block < 1:
                    raise ValueError(f"{parameter}, axis {axis}: a segment must hold units, not {segment}")
                if segment.group is not None and self.groups.get(segment.group) != segment.num_units:
                    raise ValueError(
                        f"{parameter}, axis {axis}: a segment of {segment.num_units} units in group "
                        f"{segment.group!r}, which has {self.groups.get(segment.group)}"
                    )

    def validate(self, shapes: Mapping[str, tuple[int, ...]]) -> None:
        """Raises ValueError unless every axis exists and its segments cover it exactly.

        Args:
            shapes: Shape of every parameter of one network, without the network axis.
        """
        for (parameter, axis), segments in self.axes.items():
            if parameter not in shapes:
                raise ValueError(
                    f"the permutation spec names {parameter!r}, which is not a parameter; "
                    f"there are {', '.join(sorted(shapes))}"
                )
            shape = shapes[parameter]
            if not 0 <= axis < len(shape):
                raise ValueError(f"{parameter} has {len(shape)} axes; the permutation spec names axis {axis}")
            covered = sum(segment.length for segment in segments)
            if covered != shape[axis]:
                raise ValueError(
                    f"{parameter}, axis {axis}: the segments cover {covered} of {shape[axis]} entries"
                )
        for group in self.groups:
            if not self.axes_of(group):
                raise ValueError(f"group {group!r} acts on no parameter")

    def axes_of(self, group: str) -> list[tuple[str, int, tuple[Segment, ...]]]:
        """Every (parameter, axis, segments) on which the group acts."""
        return [
            (parameter, axis, segments)
            for (parameter, axis), segments in self.axes.items()
            if any(segment.group == group for segment in segments)
        ]

    def to_json(self) -> str:
        """The JSON form of the contract: ``lmc-sweep spec --json`` and the metadata of permutation files."""
        axes = [
            {
                "parameter": parameter,
                "axis": axis,
                "segments": [
                    {"group": s.group, "num_units": s.num_units, "block": s.block} for s in segments
                ],
            }
            for (parameter, axis), segments in self.axes.items()
        ]
        return json.dumps({"groups": dict(self.groups), "axes": axes})

    @classmethod
    def from_json(cls, text: str) -> PermutationSpec:
        """The spec that ``to_json`` wrote.

        Raises:
            ValueError: If the text is not such a spec.
        """
        data: dict[str, Any] = json.loads(text)
        try:
            axes = {
                (entry["parameter"], entry["axis"]): tuple(
                    Segment(**segment) for segment in entry["segments"]
                )
                for entry in data["axes"]
            }
            return cls(groups=data["groups"], axes=axes)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not the JSON form of a permutation spec: {error!r}") from error
