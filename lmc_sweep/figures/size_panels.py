"""One panel of means against a number, with a line for every method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lmc_sweep.analysis.intervals import Mean
from lmc_sweep.figures.looks import Look

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
            **looks[name].drawn(linewidth=0.9),
        )


def apart(index: int, count: int, step: float) -> float:
    """Shift of line ``index`` of ``count``, so that intervals at one place do not cover each other."""
    return step * (index - (count - 1) / 2)
