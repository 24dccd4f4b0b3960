"""One operation as its rule sees it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from workers.permutation.axes import Axis, AxisUnion, Layout, is_pinned, length


@dataclass(frozen=True)
class Labeled:
    """A tensor: its shape, and for each axis the units along it.

    ``places_on`` are axes whose places the tensor's values count, as those of argmax do; whoever reads
    the values holds these axes in place. ``stored`` is set for parameters and buffers themselves.
    """

    shape: tuple[int, ...]
    axes: Layout
    places_on: Layout = ()
    stored: bool = False


@dataclass(frozen=True)
class Call:
    """One operation: arguments by the names of its schema, tensors among them ``Labeled``.

    ``shapes`` are those of its results, None for a result that is no tensor.
    """

    name: str
    arguments: Mapping[str, Any]
    shapes: tuple[tuple[int, ...] | None, ...]
    union: AxisUnion
    limited: list[str]

    def __getitem__(self, argument: str) -> Any:
        return self.arguments[argument]

    @property
    def operands(self) -> list[Labeled]:
        """All tensors among the arguments, in order."""
        found: list[Labeled] = []
        for value in self.arguments.values():
            values = value if isinstance(value, list | tuple) else [value]
            found.extend(one for one in values if isinstance(one, Labeled))
        return found

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of the first result."""
        assert self.shapes[0] is not None
        return self.shapes[0]

    def hold(self, *axes: Axis) -> None:
        """Pins axes on which the operation is not symmetric, and notes that it was this one."""
        for axis in axes:
            resolved = self.union.resolve(axis)
            if length(resolved) > 1 and not is_pinned(resolved):
                self.limited.append(self.name)
                self.union.pin(resolved)


Rule = Callable[[Call], Layout | list[Layout | Labeled | None]]
"""Axes of the result; of several results, a list of them, None for one that moves with nothing."""


class NoRuleError(Exception):
    """Raised by a rule that does not cover the arguments it was called with."""


def position(axis: int, num_axes: int) -> int:
    """The axis counted from the front."""
    return axis % max(num_axes, 1)


def positions(axes: list[int] | int | None, num_axes: int) -> list[int]:
    """The axes counted from the front, in ascending order; all of them where none is named."""
    if axes is None or axes == []:
        return list(range(num_axes))
    return sorted(position(axis, num_axes) for axis in ([axes] if isinstance(axes, int) else axes))
