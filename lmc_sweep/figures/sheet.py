"""A sheet of panels: axes in rows and columns, one legend above all of them, a caption below."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lmc_sweep.figures.looks import Look

ONE_COLUMN_INCHES = 3.5
TWO_COLUMNS_INCHES = 7.0
CAPTION_POINTS = 6.5
LEGEND_POINTS = 6.8
LABEL_POINTS = 8
TICK_POINTS = 7
_LINE_INCHES = CAPTION_POINTS * 1.3 / 72
_LETTER_INCHES = 0.047
"""Mean width of a letter of the legend, in the default font."""
_TITLE_LINE_INCHES = LABEL_POINTS * 1.2 / 72
_SLACK = 0.97
"""Share of a line that is filled: a raster rounds the widths of its letters."""
_LEFT, _RIGHT, _BETWEEN, _TOP, _BOTTOM = 0.62, 0.12, 0.68, 0.25, 0.42
_EMPTY = "empty"
_SHORT_INCHES = 2.1
"""Panels below this height take the name of their vertical axis in two lines."""


@dataclass(frozen=True)
class Entry:
    """One line of the legend."""

    label: str
    look: Look


def sheet(
    num_rows: int,
    num_columns: int,
    entries: Sequence[Entry],
    told: Sequence[str],
    *,
    titles: Sequence[str] = (),
    panel_inches: float | None = None,
    between_inches: float = _BETWEEN,
) -> tuple[Any, list[list[Any]]]:
    """A matplotlib ``Figure`` with its axes by row and column, the legend and the caption in place.

    Args:
        num_rows: Rows of panels.
        num_columns: Columns: one is as wide as a column of print, more as two.
        entries: The legend, in order.
        told: Sentences of the caption, each in a paragraph of its own.
        titles: Those of the panels: rows are as far apart as the longest needs, in lines.
        panel_inches: Height of a panel; without it, chosen by their number.
        between_inches: Free space between columns, for the labels of an axis.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    width = ONE_COLUMN_INCHES if num_columns == 1 else TWO_COLUMNS_INCHES
    lines = [
        line
        for paragraph in told
        for line in wrapped(paragraph, width - 0.06 * ONE_COLUMN_INCHES, CAPTION_POINTS)
    ]
    legend_columns, legend_rows = _legend_shape(entries, width)
    tall = panel_inches or (2.5 if num_columns < 3 and num_rows < 3 else 2.0 if num_rows < 3 else 1.7)
    above = 0.135 * legend_rows + (0.06 if legend_rows else 0.02)
    below = _LINE_INCHES * len(lines) + 0.06
    wide = (width - _LEFT - _RIGHT - between_inches * (num_columns - 1)) / num_columns
    most_lines = max((len(wrapped(title, wide, LABEL_POINTS)) for title in titles), default=1)
    each = tall + _TOP + _TITLE_LINE_INCHES * max(0, most_lines - 1) + _BOTTOM
    height = above + below + num_rows * each
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    grid = [
        [
            figure.add_axes(
                (
                    (_LEFT + column * (wide + between_inches)) / width,
                    (below + _BOTTOM + (num_rows - 1 - row) * each) / height,
                    wide / width,
                    tall / height,
                )
            )
            for column in range(num_columns)
        ]
        for row in range(num_rows)
    ]
    for axes in (axes for row in grid for axes in row):
        axes.tick_params(labelsize=TICK_POINTS, length=2.5, width=0.6)
        for side in ("top", "right"):
            axes.spines[side].set_visible(False)
    if entries:
        _add_legend(figure, entries, legend_columns, 1 - 0.04 / height)
    figure.text(
        0.03 * ONE_COLUMN_INCHES / width,
        0.04 / height,
        "\n".join(lines),
        fontsize=CAPTION_POINTS,
        va="bottom",
        linespacing=1.25,
        color="#222222",
    )
    return figure, grid


def nothing(told: Sequence[str]) -> Any:
    """A ``Figure`` that says that there is nothing to show, and why."""
    figure, ((axes,),) = sheet(1, 1, [], told, panel_inches=1.2)
    axes.set_axis_off()
    axes.text(0.5, 0.5, "nothing to show yet", transform=axes.transAxes, ha="center", fontsize=LABEL_POINTS)
    mark_empty(figure, told)
    return figure


def mark_empty(figure: Any, told: Sequence[str]) -> None:
    """Notes on a ``Figure`` that it shows nothing, and why, for those who would not print it."""
    figure.set_gid(_EMPTY)
    figure.set_label(" ".join(told) or "nothing to show yet")


def shows_nothing(figure: Any) -> str | None:
    """Why a ``Figure`` shows nothing; None where it shows something."""
    return str(figure.get_label()) if figure.get_gid() == _EMPTY else None


def name_axes(axes: Any, x: str, y: str, title: str = "") -> None:
    """Labels of both axes, and what the panel shows, in lines as wide as the panel."""
    axes.set_xlabel(x, fontsize=LABEL_POINTS, labelpad=2)
    short = axes.get_position().height * axes.figure.get_figheight() < _SHORT_INCHES
    wide = axes.get_position().width * axes.figure.get_figwidth()
    axes.set_ylabel(y.replace(", ", ",\n", 1) if short else y, fontsize=LABEL_POINTS, labelpad=2)
    title = "\n".join(wrapped(title, wide, LABEL_POINTS))
    axes.set_title(title, fontsize=LABEL_POINTS, loc="left", pad=4)


def hide(axes: Any) -> None:
    """A place in the grid that stays empty."""
    axes.set_visible(False)


def log_x(axes: Any) -> None:
    """Makes the horizontal axis logarithmic, with at least two powers of ten to read, which alone are named.

    Called after drawing: it may widen the limits.
    """
    from matplotlib.ticker import NullFormatter

    axes.set_xscale("log")
    low, high = (math.log10(end) for end in axes.get_xlim())
    if math.floor(high) - math.ceil(low) < 1:
        axes.set_xlim(10 ** math.floor(low), 10 ** math.ceil(high))
    axes.xaxis.set_minor_formatter(NullFormatter())


def text_inches(text: str, points: float) -> float:
    """The width of a line of text in the default font."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import text_to_path

    font = FontProperties(size=points)
    return float(text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]) / 72


def wrapped(text: str, inches: float, points: float) -> list[str]:
    """A text in lines that are at most so wide; no word is broken, nor a number taken from what it counts."""
    lines: list[str] = []
    for word in re.split(r" (?!\d|= )", text):
        longer = f"{lines[-1]} {word}" if lines else word
        if lines and text_inches(longer, points) <= _SLACK * inches:
            lines[-1] = longer
        else:
            lines.append(word)
    return lines


def _legend_shape(entries: Sequence[Entry], width: float) -> tuple[int, int]:
    """Columns and rows of the legend; (0, 0) where there is none."""
    if not entries:
        return 0, 0
    longest = max(len(entry.label) for entry in entries)
    columns = max(1, min(len(entries), int((width - 0.2) / (longest * _LETTER_INCHES + 0.45))))
    return columns, -(-len(entries) // columns)


def _add_legend(figure: Any, entries: Sequence[Entry], num_columns: int, top: float) -> None:
    """One legend above all panels."""
    from matplotlib.lines import Line2D

    handles = [Line2D([], [], label=entry.label, **entry.look.drawn()) for entry in entries]
    figure.legend(
        handles=handles,
        loc="upper left",
        bbox_to_anchor=(0.008, top),
        ncols=num_columns,
        fontsize=LEGEND_POINTS,
        frameon=False,
        handletextpad=0.4,
        columnspacing=1.2,
        handlelength=2.2,
        labelspacing=0.35,
        borderaxespad=0.0,
    )
