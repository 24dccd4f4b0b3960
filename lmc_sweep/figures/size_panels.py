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

    Where there is no room thousands are written ``3k``, and what still meets its neighbor has no name.
    """
    wide = axes.get_position().width * axes.figure.get_figwidth()
    per_unit = wide / math.log(high / low)
    names = [f"{number:,}" for number in numbers]
    if _fitting(numbers, names, per_unit) != names:
        names = [f"{number // 1000}k" if number % 1000 == 0 else f"{number:,}" for number in numbers]
    axes.set_xscale("log", base=base)
    axes.set_xticks(list(numbers), _fitting(numbers, names, per_unit))
    axes.minorticks_off()
    axes.set_xlim(low, high)


def _fitting(numbers: Sequence[int], names: Sequence[str], per_unit: float) -> list[str]:
    """The names in ascending order, empty where one would touch that before it."""
    found: list[str] = []
    end = -math.inf
    for number, name in zip(numbers, names, strict=True):
        half = text_inches(name, TICK_POINTS) / 2
        place = math.log(number) * per_unit
        found.append(name if place - half > end + 0.04 else "")
        if found[-1]:
            end = place + half
    return found


def apart(index: int, count: int, step: float) -> float:
    """Shift of line ``index`` of ``count``, so that intervals at one place do not cover each other."""
    return step * (index - (count - 1) / 2)
