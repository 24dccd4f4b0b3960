"""Means against width or depth: panels by data set, lines by what else the networks are."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from lmc_sweep.analysis.cell_rows import Kind
from lmc_sweep.analysis.intervals import Mean
from lmc_sweep.figures.cell_options import kind_label
from lmc_sweep.figures.looks import Look, family_looks
from lmc_sweep.figures.sheet import Entry, hide, name_axes, sheet
from lmc_sweep.figures.size_panels import Points, apart, draw_lines, name_numbers
from lmc_sweep.figures.words import counted

MOST_PANELS = 8
_BETWEEN_INCHES = 0.62
_STEP_OCTAVES, _ALL_OCTAVES = 0.04, 0.36
"""How far lines lie apart, and all of them at most: beyond, points would leave their size."""

Line = tuple[str, Kind]
"""Data set, and the kind without data set and the size on the axis."""


@dataclass(frozen=True)
class Panel:
    """One panel: its title, the name of its vertical axis, and its lines, each in its look."""

    title: str
    height: str
    lines: Mapping[Any, Points]


def line_of(kind: Kind, by: str) -> Kind:
    """What all points of a line share: everything but the data set and the size on the axis."""
    blank: Mapping[str, Any] = {by: None, "dataset": ""}
    return replace(kind, **blank)


def line_label(line: Kind, by: str) -> str:
    """A line in the legend: the family, and the size that is not on the axis."""
    return kind_label(line, without=("dataset", by))


def line_order(line: Kind) -> tuple[str, int, int, float]:
    """What lines are sorted by."""
    return line.architecture, line.depth or 0, line.width or 0, line.label_noise


def line_looks(lines: Iterable[Kind]) -> dict[Kind, Look]:
    """The look of every line, in their order."""
    return family_looks([(line.architecture, line) for line in sorted(set(lines), key=line_order)])


def comparable(kinds: Iterable[Kind], by: str) -> tuple[set[Kind], list[str]]:
    """The kinds that lie on a line, and sentences on those that do not.

    Shown are networks without label noise, where there are any, and lines of more than one size, where
    there are any.
    """
    every = set(kinds)
    sized = {kind for kind in every if getattr(kind, by) is not None}
    told = []
    if len(sized) < len(every):
        told.append(f"Not shown: {counted(len(every) - len(sized), 'kind')} of network without a {by}.")
    clean = {kind for kind in sized if kind.label_noise == 0} or sized
    if len(clean) < len(sized):
        told.append(
            f"Not shown: {counted(len(sized) - len(clean), 'kind')} of network with label noise "
            "(figure label_noise)."
        )
    sizes: dict[Line, set[int]] = {}
    for kind in clean:
        sizes.setdefault((kind.dataset, line_of(kind, by)), set()).add(getattr(kind, by))
    several = {kind for kind in clean if len(sizes[kind.dataset, line_of(kind, by)]) > 1} or clean
    if len(several) < len(clean):
        told.append(
            f"Not shown: {counted(len(clean) - len(several), 'kind')} of network with one {by} alone."
        )
    return several, told


def by_size(means: Mapping[Kind, Mean | None], by: str) -> list[tuple[float, Mean]]:
    """The points of a line from the smallest on; those without a mean are left out."""
    points = [(float(getattr(kind, by)), mean) for kind, mean in means.items() if mean is not None]
    return sorted(points, key=_size)


def draw_grid(
    grid: Sequence[Sequence[Panel | None]],
    looks: Mapping[Any, Look],
    entries: Sequence[Entry],
    told: Sequence[str],
    by: str,
    *,
    shared_heights: bool = True,
    shared_sizes: bool = False,
    logarithmic: Callable[[Panel], bool] = lambda _: False,
) -> Any:
    """A matplotlib ``Figure`` of rows of panels, with a logarithmic horizontal axis of base 2.

    Args:
        grid: Rows of panels; None leaves a place empty.
        looks: Of every line.
        entries: The legend.
        told: The caption.
        by: ``width`` or ``depth``.
        shared_heights: Whether the panels of a row have one vertical scale.
        shared_sizes: Whether they have one horizontal scale.
        logarithmic: Whether a panel's vertical axis is logarithmic.
    """
    titles = [panel.title for row in grid for panel in row if panel]
    wide = max(map(len, grid))
    figure, axes_of = sheet(len(grid), wide, entries, told, titles=titles, between_inches=_BETWEEN_INCHES)
    for panels, line in zip(grid, axes_of, strict=True):
        of_row = _sizes([panel for panel in panels if panel])
        for panel, axes in zip([*panels, *[None] * (wide - len(panels))], line, strict=True):
            if panel is None:
                hide(axes)
                continue
            draw_lines(axes, _apart(panel.lines), looks)
            sizes = of_row if shared_sizes else _sizes([panel])
            if sizes:
                low, high = sizes[0] / 2**0.5, sizes[-1] * 2**0.5
                if by == "depth":
                    low, high = sizes[0] / 2**0.25, sizes[-1] * 2**0.25
                name_numbers(axes, sizes, low, high, base=2)
            if logarithmic(panel):
                axes.set_yscale("log")
            name_axes(axes, by.capitalize(), panel.height, panel.title)
        shown = [(panel, axes) for panel, axes in zip(panels, line, strict=False) if panel]
        together = [shown] if shared_heights else [[one] for one in shown if not logarithmic(one[0])]
        for group in together:
            _share_heights(
                [axes for _, axes in group],
                [mean for panel, _ in group for points in panel.lines.values() for _, mean in points],
            )
    return figure


def _apart(lines: Mapping[Any, Points]) -> dict[Any, Points]:
    """The lines beside each other, so that intervals at one size do not cover each other."""
    shown = [name for name, points in lines.items() if points]
    step = min(_STEP_OCTAVES, _ALL_OCTAVES / max(len(shown), 1))
    return {
        name: [(size * 2 ** apart(index, len(shown), step), mean) for size, mean in lines[name]]
        for index, name in enumerate(shown)
    }


def _share_heights(axes_of_row: Sequence[Any], means: Sequence[Mean]) -> None:
    """One vertical scale for a row, with 0 in it and room for every interval."""
    if not means:
        return
    low = min(0.0, *(mean.value - mean.reach[0] for mean in means))
    high = max(0.0, *(mean.value + mean.reach[1] for mean in means))
    room = 0.04 * (high - low) or 0.04
    for axes in axes_of_row:
        axes.set_ylim(low - room if low < 0 else 0, high + room)
        if low < 0:
            axes.axhline(0, color="#999999", linewidth=0.6, zorder=1)


def in_rows(panels: Sequence[Panel], wide: int) -> list[list[Panel | None]]:
    """Panels in rows of ``wide`` places."""
    return [list(panels[start : start + wide]) for start in range(0, len(panels), wide)]


def _sizes(panels: Sequence[Panel]) -> list[int]:
    """All sizes in panels."""
    return sorted({int(size) for panel in panels for points in panel.lines.values() for size, _ in points})


def _size(point: tuple[float, Mean]) -> float:
    return point[0]
