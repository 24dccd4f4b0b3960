"""Union-find over the segments of axes: which units must move together.

Every axis of every tensor starts as one set of units of its own. Operations tie sets together
(``unify``), cut them where tensors are joined, coarsen them where a channel became a block of
features, or pin them to their place. What is left unpinned are the groups of a permutation spec.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import count


@dataclass(frozen=True)
class Units:
    """A segment of an axis: ``num_units`` units of ``block`` entries each, of the set ``units``."""

    units: int
    num_units: int
    block: int = 1

    @property
    def length(self) -> int:
        """Entries of the axis that the segment covers."""
        return self.num_units * self.block


Axis = tuple[Units, ...]
"""The segments of one axis, one after another."""

Layout = tuple[Axis, ...]
"""The axes of one tensor."""


@dataclass
class AxisUnion:
    """The sets of units met while a module is traced; lives for one derivation."""

    _bound: dict[int, Axis] = field(default_factory=dict)
    _pinned: set[int] = field(default_factory=set)
    _maker: dict[int, tuple[int, str]] = field(default_factory=dict)
    _numbers: count[int] = field(default_factory=count)

    def fresh(self, num_units: int) -> Axis:
        """An axis whose units are tied to nothing yet."""
        return (Units(next(self._numbers), num_units),)

    def layout(self, shape: tuple[int, ...], *, pinned: bool = False) -> Layout:
        """Fresh axes for a tensor of this shape."""
        axes = tuple(self.fresh(length) for length in shape)
        if pinned:
            self.pin(*axes)
        return axes

    def resolve(self, axis: Axis) -> Axis:
        """The axis in terms of the sets as they stand now."""
        resolved: list[Units] = []
        for segment in axis:
            if segment.units in self._bound:
                finer = tuple(
                    Units(part.units, part.num_units, part.block * segment.block)
                    for part in self._bound[segment.units]
                )
                resolved.extend(self.resolve(finer))
            else:
                resolved.append(segment)
        return tuple(resolved)

    def pin(self, *axes: Axis) -> None:
        """From now on no unit of these axes may move."""
        for axis in axes:
            self._pinned.update(segment.units for segment in self.resolve(axis))

    def is_pinned(self, segment: Units) -> bool:
        """Whether a resolved segment may not move."""
        return segment.units in self._pinned

    def made_by(self, axis: Axis, layer: str) -> None:
        """Names the layer that makes the units of an axis; the first name given stays."""
        for segment in self.resolve(axis):
            self._maker.setdefault(segment.units, (len(self._maker), layer))

    def maker(self, segment: Units) -> tuple[int, str] | None:
        """Order and name of the layer that made the units of a resolved segment."""
        return self._maker.get(segment.units)

    def unify(self, first: Axis, second: Axis) -> None:
        """Ties the axes together entry by entry: whatever permutes one permutes the other.

        Where a tie would cut through a block, no permutation fits both, and the axes are pinned.
        """
        while True:
            a_segments, b_segments = self.resolve(first), self.resolve(second)
            assert sum(s.length for s in a_segments) == sum(s.length for s in b_segments), (first, second)
            unlike = next(((a, b) for a, b in zip(a_segments, b_segments, strict=False) if a != b), None)
            if unlike is None:
                return
            if not self._tie(*unlike):
                self.pin(first, second)
                return

    def _tie(self, first: Units, second: Units) -> bool:
        """Makes two segments that begin at the same entry more alike; False where that cannot be."""
        fine, coarse = sorted((first, second), key=lambda segment: segment.block)
        if first.length != second.length:
            shorter, longer = sorted((first, second), key=lambda segment: segment.length)
            if shorter.length % longer.block:
                return False
            num_units = shorter.length // longer.block
            parts = (*self.fresh(num_units), *self.fresh(longer.num_units - num_units))
            self._bind(longer.units, parts)
        elif coarse.block % fine.block:
            return False
        else:
            block = coarse.block // fine.block
            self._bind(fine.units, (Units(coarse.units, coarse.num_units, block),))
        return True

    def _bind(self, units: int, axis: Axis) -> None:
        """Replaces a set of units by others, which inherit its pin and its maker."""
        if units in self._pinned:
            self.pin(axis)
        maker = self._maker.get(units)
        if maker is not None:
            for segment in self.resolve(axis):
                known = self._maker.get(segment.units)
                self._maker[segment.units] = maker if known is None else min(known, maker)
        self._bound[units] = axis
