"""Union-find over the units of axes: which units must move together.

Every axis of every parameter starts as one free set of units. Operations tie sets to each other, cut
a set in parts that move independently, or refine one into rows and columns (blocks of entries that
move as one, and entries within all blocks alike). What no permutation fits is pinned. The free sets
left over are the groups of a permutation spec.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from itertools import count


@dataclass(frozen=True)
class Units:
    """``num_units`` places along an axis, permuted as the set ``units`` is, or pinned (set ``PINNED``)."""

    units: int
    num_units: int


PINNED = 0

Run = tuple[Units, ...]
"""A stretch of an axis, enumerated by one or more sets of units, the first varying slowest."""

Axis = tuple[Run, ...]
"""The runs of one axis, one after another."""

Layout = tuple[Axis, ...]
"""The axes of one tensor."""


def length(axis: Axis) -> int:
    """Entries of the axis."""
    return sum(run_length(run) for run in axis)


def run_length(run: Run) -> int:
    """Entries of the run."""
    return math.prod(factor.num_units for factor in run)


def pinned(num_units: int) -> Axis:
    """An axis on which nothing moves."""
    return ((Units(PINNED, num_units),),)


def is_pinned(axis: Axis) -> bool:
    """Whether nothing moves on a resolved axis."""
    return all(factor.units == PINNED for run in axis for factor in run)


@dataclass
class AxisUnion:
    """The sets of units met while a module is traced; lives for one derivation."""

    _bound: dict[int, Axis] = field(default_factory=dict)
    _numbers: count[int] = field(default_factory=lambda: count(PINNED + 1))
    _preferred: list[Axis] = field(default_factory=list)

    def fresh(self, num_units: int) -> Axis:
        """An axis whose units are tied to nothing yet."""
        return ((Units(next(self._numbers), num_units),),)

    def layout(self, shape: tuple[int, ...]) -> Layout:
        """Fresh axes for a tensor of this shape."""
        return tuple(self.fresh(num_units) for num_units in shape)

    def prefer(self, axis: Axis) -> None:
        """Wherever blocks or entries within blocks may move, but not both: those of this axis shall."""
        self._preferred.append(axis)

    def preferred(self) -> set[int]:
        """The free sets of units on the axes that were preferred."""
        return {factor.units for axis in self._preferred for run in self.resolve(axis) for factor in run} - {
            PINNED
        }

    def resolve(self, axis: Axis) -> Axis:
        """The axis in terms of the sets as they stand now, in one form for equal axes."""
        runs: list[Run] = []
        waiting = list(reversed(axis))
        while waiting:
            run = waiting.pop()
            position = next((i for i, factor in enumerate(run) if factor.units in self._bound), None)
            if position is None:
                _append(runs, _simplified(run))
                continue
            parts = self._bound[run[position].units]
            before, after = run[:position], run[position + 1 :]
            if len(parts) == 1 or not before:
                waiting.extend((*before, *part, *after) for part in reversed(parts))
                continue
            if is_pinned((before,)):  # the parts recur once for each place before them
                repeated = [(*part, *after) for part in parts] * run_length(before)
                waiting.extend(reversed(repeated))
            else:  # whole blocks move, so what is cut within them cannot
                self.pin(parts)
                waiting.append((*before, *pinned(run[position].num_units)[0], *after))
        return tuple(runs)

    def pin(self, *axes: Axis) -> None:
        """From now on no unit of these axes may move."""
        for axis in axes:
            for run in self.resolve(axis):
                for factor in run:
                    if factor.units != PINNED:
                        self._bound[factor.units] = pinned(factor.num_units)

    def unify(self, first: Axis, second: Axis) -> None:
        """Ties the axes together entry by entry: whatever permutes one permutes the other.

        Where a tie would cut through a block, no permutation fits both, and the block is pinned.
        """
        assert length(first) == length(second), (first, second)
        ours, theirs = list(reversed(self.resolve(first))), list(reversed(self.resolve(second)))
        while ours:
            a, b = self._first_run(ours), self._first_run(theirs)
            if a == b:
                continue
            shared = min(run_length(a), run_length(b))
            a_head, a_tail = self._cut((a,), shared)
            b_head, b_tail = self._cut((b,), shared)
            ours.extend(reversed(a_tail))
            theirs.extend(reversed(b_tail))
            if len(a_head) == len(b_head) == 1:
                self._tie(a_head[0], b_head[0])
            else:
                ours.extend(reversed(a_head))
                theirs.extend(reversed(b_head))

    def cut(self, axis: Axis, start: int, stop: int) -> Axis:
        """The part of an axis from entry ``start`` up to ``stop``; its units move among themselves alone."""
        head, _ = self._cut(axis, stop)
        _, part = self._cut(head, start)
        return self.resolve(part)

    def _first_run(self, waiting: list[Run]) -> Run:
        """Takes the next run off a reversed list, as the sets stand now."""
        first, *others = self.resolve((waiting.pop(),))
        waiting.extend(reversed(others))
        return first

    def _cut(self, axis: Axis, at: int) -> tuple[Axis, Axis]:
        """The first ``at`` entries of an axis, and the others."""
        runs, position = self.resolve(axis), 0
        for index, run in enumerate(runs):
            if at <= position:
                return runs[:index], runs[index:]
            if at < position + run_length(run):
                head, tail = self._cut_run(run, at - position)
                return (*runs[:index], *head), (*tail, *runs[index + 1 :])
            position += run_length(run)
        return runs, ()

    def _cut_run(self, run: Run, at: int) -> tuple[Axis, Axis]:
        """The first ``at`` entries of a resolved run, and the others; neither is empty."""
        first, rest = run[0], run[1:]
        num_units, within = divmod(at, run_length(rest))
        if first.units != PINNED:
            if within:  # a unit that is cut in two cannot move
                self.pin(((first,),))
            else:
                self._bound[first.units] = (
                    *self._part(num_units),
                    *self._part(first.num_units - num_units),
                )
        head: list[Run] = []
        tail: list[Run] = []
        if num_units:
            head.append((*self._side(first, 0, num_units), *rest))
        if within:
            inner_head, inner_tail = self._cut((rest,), within)
            head.extend(inner_head)
            tail.extend(inner_tail)
        others = first.num_units - num_units - bool(within)
        if others:
            tail.append((*self._side(first, 1, others), *rest))
        return self.resolve(tuple(head)), self.resolve(tuple(tail))

    def _part(self, num_units: int) -> Axis:
        """Units cut off a set; one alone has nowhere to go."""
        return self.fresh(num_units) if num_units > 1 else pinned(num_units)

    def _side(self, cut: Units, side: int, num_units: int) -> Run:
        """The units on one side of a cut through a set."""
        bound = self._bound.get(cut.units)
        if bound is None or len(bound) == 1:
            return pinned(num_units)[0]
        return bound[side]

    def _tie(self, first: Run, second: Run) -> None:
        """Makes two runs of equal length one."""
        ours, theirs = self.resolve((first,)), self.resolve((second,))
        if len(ours) > 1 or len(theirs) > 1:
            self.unify(ours, theirs)
            return
        a, b = ours[0], theirs[0]
        if a == b:
            return
        if a[0] == b[0]:
            self._tie(a[1:], b[1:])
            return
        shorter, longer = sorted((a[0], b[0]), key=lambda factor: factor.num_units)
        num_inner, remainder = divmod(longer.num_units, shorter.num_units)
        if remainder:
            self.pin((a,), (b,))
        elif num_inner == 1:
            kept, bound = sorted((shorter, longer), key=lambda factor: factor.units)
            self._bound[bound.units] = ((kept,),)
            self._tie(a[1:], b[1:])
        elif longer.units == PINNED:
            self.pin(((shorter,),))
            inner = Units(PINNED, num_inner)
            self._tie(*((inner, *run[1:]) if run[0] == longer else run[1:] for run in (a, b)))
        else:
            self.refine(longer, shorter.num_units)
            self._tie(a, b)

    def refine(self, units: Units, num_blocks: int) -> Run:
        """Blocks of units, and units within all blocks alike."""
        sizes = (num_blocks, units.num_units // num_blocks)
        if units.units == PINNED:
            return tuple(Units(PINNED, size) for size in sizes)
        rows, columns = (self.fresh(size)[0][0] for size in sizes)
        self._bound[units.units] = ((rows, columns),)
        return rows, columns


def _simplified(run: Run) -> Run:
    """The run without sets of a single unit, if it has others, and with neighboring pinned sets as one."""
    kept: list[Units] = []
    for factor in run:
        if factor.num_units == 1:
            continue
        if kept and kept[-1].units == factor.units == PINNED:
            kept[-1] = Units(PINNED, kept[-1].num_units * factor.num_units)
        else:
            kept.append(factor)
    free_one = next((factor for factor in run if factor.units != PINNED), None)
    return tuple(kept) or (free_one or Units(PINNED, 1),)


def _append(runs: list[Run], run: Run) -> None:
    """Adds a run to those of an axis, unless it is empty; neighboring pinned runs become one."""
    if runs and is_pinned((runs[-1], run)):
        runs[-1] = (Units(PINNED, run_length(runs[-1]) + run_length(run)),)
    elif run_length(run):
        runs.append(run)
