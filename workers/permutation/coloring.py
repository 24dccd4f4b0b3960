"""Ordered colorings of a network's units: who can be told from whom by weights, whatever the order.

A unit's color is the first place that is left to it and to those it is tied with. Refinement splits
ties by keys that do not depend on how tied units lie, so a permuted network gets the permuted colors.
Keys are the exact bits of the weights, -0.0 being 0.0; nothing is summed in an order that could differ.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Container, Iterable, Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Int64, Shaped
from numpy import ndarray

from workers.permutation.unit_arrays import OUTGOING, Coloring, Place, UnitArrays


def refined(units: UnitArrays, coloring: Coloring) -> Coloring:
    """The coloring with every tie broken that the weights break, from the output backward, until stable.

    Two tied units stay tied if each of their tensors holds the same entries for both: in the same places
    along axes whose units are all told apart, and elsewhere the same ones in any order among tied units.
    """
    colors = dict(coloring)
    tied = {group: some for group, of in colors.items() if (some := _tied_units(of))}
    progressing = True
    while progressing:
        progressing = False
        for group in reversed(list(tied)):
            for place in _settled_first(units, group, tied):
                split = _split(colors[group], tied[group], _keys(units, place, tied[group], colors))
                if np.array_equal(split, colors[group]):
                    continue
                progressing, colors[group], tied[group] = True, split, _tied_units(split)
                if not tied[group]:
                    del tied[group]
                    break
    return colors


def _tied_units(colors: Int64[ndarray, " W"]) -> list[int]:
    """Those that share their color, by color."""
    return [unit for cell in tied_cells(colors) for unit in cell]


def tied_cells(colors: Int64[ndarray, " W"]) -> list[list[int]]:
    """The units of each color that several have, by color."""
    order = np.argsort(colors, kind="stable")
    starts = np.flatnonzero(np.diff(colors[order], prepend=-1))
    bounds = [*starts.tolist(), len(order)]
    return [order[first:last].tolist() for first, last in pairwise(bounds) if last - first > 1]


def put_in_order(colors: Int64[ndarray, " W"], cell: Iterable[int]) -> Int64[ndarray, " W"]:
    """The tied units of a cell one after another, as listed."""
    changed = colors.copy()
    for position, unit in enumerate(cell):
        changed[unit] += position
    return changed


def put_first(colors: Int64[ndarray, " W"], cell: Iterable[int], chosen: int) -> Int64[ndarray, " W"]:
    """One of the tied units of a cell before the others."""
    changed = colors.copy()
    changed[[unit for unit in cell if unit != chosen]] += 1
    return changed


def interchangeable(units: UnitArrays, group: str, cell: Sequence[int]) -> list[list[int]]:
    """The units of a cell in classes, any two of which can be exchanged without a trace in any tensor."""
    alike: defaultdict[bytes, list[int]] = defaultdict(list)
    twice = {p.name for p in units.places[group] if len(units.acts_on(p.name, group)) > 1}
    parts = [units.slices(p, cell).reshape(len(cell), -1) for p in units.places[group] if p.name not in twice]
    for position, unit in enumerate(cell):
        alike[b"".join(part[position].tobytes() for part in parts)].append(unit)
    classes: list[list[int]] = []
    for candidates in alike.values():
        first = len(classes)
        for unit in candidates:
            own = next((c for c in classes[first:] if _swaps(units, group, twice, c[0], unit)), None)
            if own is None:
                classes.append([unit])
            else:
                own.append(unit)
    return classes


def _swaps(units: UnitArrays, group: str, names: Iterable[str], first: int, second: int) -> bool:
    """Whether exchanging two units leaves the named tensors as they are."""
    exchanged = np.arange(units.spec.groups[group])
    exchanged[[first, second]] = second, first
    for name in names:
        array = units.arrays[name]
        for axis in units.acts_on(name, group):
            identity = {other: np.arange(size) for other, size in units.spec.groups.items()}
            array = array.take(units.labels(name, axis, {**identity, group: exchanged}), axis)
        if not np.array_equal(array, units.arrays[name]):
            return False
    return True


def _keys(
    units: UnitArrays, place: Place, tied: Sequence[int], coloring: Coloring
) -> list[tuple[float, bytes]]:
    """One key per tied unit, to be compared within a cell."""
    rows = _arranged(units, place, tied, coloring)
    exact = [row.tobytes() for row in _ordered_bits(rows)]
    if units.power is None or place.kind != OUTGOING:
        return [(0.0, key) for key in exact]
    return list(zip(_power_sums(rows, units.power), exact, strict=True))


def _power_sums(rows: Shaped[ndarray, "tied entries"], power: float) -> list[float]:
    """Rows times 1, p, p^2, ..., scaled so that no sum overflows; the sums are rounded once."""
    with np.errstate(under="ignore"):
        weights = np.power(power, np.arange(1 - rows.shape[1], 1, dtype=np.float64)) * 2.0**-64
        return [math.fsum(row) for row in rows.astype(np.float64) * weights]


def _arranged(
    units: UnitArrays, place: Place, tied: Sequence[int], coloring: Coloring
) -> Shaped[ndarray, "tied entries"]:
    """What a tensor holds for each tied unit: by place, and by size where places are tied.

    A unit's own entries along another axis, as in a layer from a group to itself, come first of their color.
    """
    group, array = place.segment.group, units.arrays[place.name]
    assert group is not None
    rows = units.slices(place, tied).reshape(len(tied), -1)
    labels = np.arange(place.segment.block).reshape(1, -1, *[1] * (array.ndim - 1))
    others = [axis for axis in range(array.ndim) if axis != place.axis]
    for position, axis in enumerate(others):
        along = 2 * units.labels(place.name, axis, coloring)[None]
        if axis in units.acts_on(place.name, group):
            owners = units.owners(place.name, axis, group)
            along = along + (owners != np.asarray(tied)[:, None])
        shape = [len(along), 1, *[1] * len(others)]
        shape[2 + position] = array.shape[axis]
        labels = labels * (2 * array.shape[axis]) + along.reshape(shape)
    labels = labels.reshape(len(labels), -1)
    if len(labels) == 1:
        order = np.argsort(labels[0], kind="stable")
        if len(order) == len(np.unique(labels)):
            return rows[:, order]
    order = np.lexsort((rows, np.broadcast_to(labels, rows.shape)), axis=-1)
    return np.take_along_axis(rows, order, axis=-1)


def _split(
    colors: Int64[ndarray, " W"], tied: Sequence[int], keys: Sequence[tuple[float, bytes]]
) -> Int64[ndarray, " W"]:
    """The colors, those of tied units told apart by their keys."""
    split = colors.copy()
    order = sorted(range(len(tied)), key=lambda k: (colors[tied[k]], keys[k]))
    cell, key, position = -1, None, 0
    for rank, k in enumerate(order):
        if colors[tied[k]] != cell:
            cell, key, first = int(colors[tied[k]]), None, rank
        if keys[k] != key:
            key, position = keys[k], rank - first
        split[tied[k]] = cell + position
    return split


def _settled_first(units: UnitArrays, group: str, tied: Container[str]) -> list[Place]:
    """The places of a group by kind, and first those of tensors where no tied group lies along other axes."""

    def has_ties(place: Place) -> bool:
        others = (axis for name, axis in units.spec.axes if name == place.name and axis != place.axis)
        return any(s.group in tied for axis in others for s in units.spec.axes[place.name, axis])

    return sorted(units.places[group], key=lambda place: (place.kind, has_ties(place)))


def _ordered_bits(rows: ndarray) -> ndarray:
    """Unsigned numbers, most significant byte first, that are ordered bytewise as the rows' entries are."""
    kind = np.dtype(f"u{rows.dtype.itemsize}")
    bits = np.ascontiguousarray(rows).view(kind)
    sign = kind.type(1 << (8 * kind.itemsize - 1))
    bits = np.where(bits & sign, ~bits, bits | sign) if rows.dtype.kind == "f" else bits ^ sign
    return bits.astype(kind.newbyteorder(">"))
