"""A table of numbers drawn as colors, each with its number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from lmc_sweep.figures.sheet import TICK_POINTS, text_inches, wrapped

_ROW_INCHES = 0.3
_NAME_INCHES = 0.95
_NAME_POINTS = 6.3
_DARK = 0.55
"""Share of the scale above which numbers are white."""


def row_inches(num_rows: int) -> tuple[float, float]:
    """Least and most height of a heat map of so many rows."""
    return max(2, num_rows) * _ROW_INCHES, max(2, num_rows) * 2 * _ROW_INCHES


def name_inches(columns: Sequence[str]) -> float:
    """Height of the names of columns, beyond that of a line."""
    return 0.62 * max(text_inches(name, TICK_POINTS) for name in columns) if _slanted(columns) else 0.0


def draw_heat_map(
    axes: Any, table: Sequence[Sequence[float | None]], rows: Sequence[str] | None, columns: Sequence[str]
) -> None:
    """Colors from white at 0 to blue at the largest number, with the numbers; nothing where there is none.

    Args:
        axes: Where.
        table: Numbers by row and column.
        rows: Names of rows, from the top; None leaves them out, as beside another map of the same rows.
        columns: Names of columns.
    """
    numbers = np.array([[np.nan if value is None else value for value in row] for row in table])
    highest = max(float(np.nanmax(numbers)), 1e-12) if not np.isnan(numbers).all() else 1.0
    axes.imshow(numbers, cmap="Blues", vmin=0.0, vmax=highest * 1.15, aspect="auto")
    for (row, column), value in np.ndenumerate(numbers):
        if np.isnan(value):
            axes.text(column, row, "no cell", ha="center", va="center", fontsize=5.5, color="#777777")
            continue
        color = "white" if value > _DARK * highest * 1.15 else "#222222"
        axes.text(column, row, f"{value:.2g}", ha="center", va="center", fontsize=TICK_POINTS, color=color)
    names = [] if rows is None else ["\n".join(wrapped(name, _NAME_INCHES, _NAME_POINTS)) for name in rows]
    axes.set_yticks(range(len(names)), names, fontsize=_NAME_POINTS)
    slanted = _slanted(columns)
    axes.set_xticks(
        range(len(columns)),
        columns,
        rotation=35 if slanted else 0,
        ha="right" if slanted else "center",
        rotation_mode="anchor",
    )
    axes.tick_params(length=0)
    for side in ("left", "bottom"):
        axes.spines[side].set_visible(False)


def _slanted(columns: Sequence[str]) -> bool:
    """Whether names of columns would touch side by side."""
    return len(columns) > 3 or max(map(len, columns)) * len(columns) > 24
