"""Axes merged into one, and one axis split into several."""

from __future__ import annotations

import math

from workers.permutation.axes import (
    Axis,
    AxisUnion,
    Layout,
    Run,
    Units,
    is_pinned,
    length,
    pinned,
    run_length,
)


def merge(union: AxisUnion, axes: Layout) -> Axis:
    """One axis of several, the first varying slowest."""
    merged: Axis = pinned(1)
    for axis in axes:
        merged = _product(union, merged, axis)
    return merged


def split(union: AxisUnion, axis: Axis, sizes: tuple[int, ...]) -> Layout:
    """Several axes of one, the first varying slowest: the inverse of ``merge``."""
    if len(sizes) == 1:
        return (union.resolve(axis),)
    if not length(axis):
        return tuple(map(union.fresh, sizes))
    outer, inner = _rows_and_columns(union, union.resolve(axis), math.prod(sizes[1:]))
    return (outer, *split(union, inner, sizes[1:]))


def _product(union: AxisUnion, outer: Axis, inner: Axis) -> Axis:
    """Every entry of ``outer`` with every entry of ``inner``, which varies faster."""
    outer, inner = union.resolve(outer), union.resolve(inner)
    if len(inner) == 1:
        return union.resolve(tuple((*run, *inner[0]) for run in outer))
    runs: list[Run] = []
    for run in outer:
        if is_pinned((run,)):
            runs.extend(inner * run_length(run))
        else:  # a segment moves whole blocks or units within them; blocks it is
            union.pin(inner)
            runs.append((*run, *pinned(length(inner))[0]))
    return union.resolve(tuple(runs))


def _rows_and_columns(union: AxisUnion, axis: Axis, num_columns: int) -> tuple[Axis, Axis]:
    """A resolved axis as rows of ``num_columns`` entries each."""
    if all(run_length(run) % num_columns == 0 for run in axis):
        halves = [_halves(union, run, num_columns) for run in axis]
        for _, columns in halves[1:]:
            union.unify(halves[0][1], columns)
        rows = tuple(run for half, _ in halves for run in half)
        return union.resolve(rows), union.resolve(halves[0][1])
    num_rows = length(axis) // num_columns
    pieces = [union.cut(axis, i * num_columns, (i + 1) * num_columns) for i in range(num_rows)]
    for other in pieces[1:]:
        union.unify(pieces[0], other)
    return pinned(num_rows), union.resolve(pieces[0])


def _halves(union: AxisUnion, run: Run, num_columns: int) -> tuple[Axis, Axis]:
    """Rows and columns of a run."""
    resolved = union.resolve((run,))  # an earlier run may have refined its sets
    if len(resolved) > 1:
        return _rows_and_columns(union, resolved, num_columns)
    run = resolved[0]
    missing = run_length(run) // num_columns
    rows: list[Units] = []
    rest = list(run)
    while missing > 1:
        factor = rest.pop(0)
        if missing % factor.num_units == 0:
            rows.append(factor)
            missing //= factor.num_units
        elif factor.num_units % missing == 0:
            blocks, within = union.refine(factor, missing)
            rows.append(blocks)
            rest.insert(0, within)
            missing = 1
        else:
            union.pin((run,))
            return pinned(run_length(run) // num_columns), pinned(num_columns)
    one = pinned(1)[0]
    return (tuple(rows) or one,), (tuple(rest) or one,)
