"""One panel of means against a number, with a line for every method."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from lmc_sweep.analysis.intervals import Mean
from lmc_sweep.figures.looks import Look
from lmc_sweep.figures.sheet import TICK_POINTS, text_inches

Points = Sequence[tuple[float, Mean]]


def draw_lines(axes: Any, lines: Mapping[str, Points], looks: Mapping[str, Look]) -> None:
    """Means with their intervals, joined, each line in its look."""
    for name, points in lines.items():
        if not points:
            continue
        axes.errorbar(
            [x for x, _ in points],
            [mean.value for _, mean in points],
            yerr=list(zip(*(mean.reach for _, mean in points), strict=True)),
            elinewidth=0.8,
            capsize=1.5,
            clip_on=False,
            zorder=3,
            **looks[name].drawn(linewidth=0.9),
        )


def name_numbers(axes: Any, numbers: Sequence[int], low: float, high: float, base: int = 10) -> None:
    """Ticks of a logarithmic axis from ``low`` to ``high`` at the numbers themselves, none over another.

    Where there is no room thousands are written ``3k``, and what still meets another has no name: both ends
    keep theirs, then powers of the base.
    """
    wide = axes.get_position().width * axes.figure.get_figwidth()
    per_unit = wide / math.log(high / low)
    names = [f"{number:,}" for number in numbers]
    if _fitting(numbers, names, per_unit, base) != names:
        names = [f"{number // 1000}k" if number % 1000 == 0 else f"{number:,}" for number in numbers]
    axes.set_xscale("log", base=base)
    axes.set_xticks(list(numbers), _fitting(numbers, names, per_unit, base))
    axes.minorticks_off()
    axes.set_xlim(low, high)


def _fitting(numbers: Sequence[int], names: Sequence[str], per_unit: float, base: int) -> list[str]:
    """The names, empty where one would touch another that matters more."""
    ends = {0, len(numbers) - 1}
    order = sorted(range(len(numbers)), key=lambda k: (k not in ends, not _is_power(numbers[k], base), k))
    taken: list[tuple[float, float]] = []
    found = [""] * len(numbers)
    for k in order:
        half = text_inches(names[k], TICK_POINTS) / 2 + 0.02
        low, high = (math.log(numbers[k]) * per_unit + side for side in (-half, half))
        if all(high < start or end < low for start, end in taken):
            found[k] = names[k]
            taken.append((low, high))
    return found


def _is_power(number: int, base: int) -> bool:
    """Whether a number above 0 is a power of the base."""
    while number % base == 0:
        number //= base
    return number == 1


def apart(index: int, count: int, step: float) -> float:
    """Shift of line ``index`` of ``count``, so that intervals at one place do not cover each other."""
    return step * (index - (count - 1) / 2)
