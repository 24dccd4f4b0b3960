"""The points of the density plot with the cell that each belongs to: what somebody points at."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from lmc_sweep.analysis.density_rows import (
    CONTROLS,
    DensityQuestion,
    asked_and_found,
    not_shown,
    values_by_method,
)
from lmc_sweep.analysis.pairing import paired


@dataclass(frozen=True)
class CellPoints:
    """The points of one method: of point k its ``cell_id``, and the barriers of the two worlds.

    Attributes:
        method: The method's name.
        label: Its label among those shown.
        searches: Whether it searches, or is a control.
        cells: Of each point, the cell.
        points: Barriers of the real world and of our model.
    """

    method: str
    label: str
    searches: bool
    cells: tuple[str, ...]
    points: Float64[ndarray, "points 2"]


def cell_points(
    rows: Iterable[Sequence[Any]], question: DensityQuestion
) -> tuple[tuple[CellPoints, ...], tuple[str, ...]]:
    """The same points as ``density`` finds, and sentences on what cannot be shown.

    Args:
        rows: Of the table ``barriers``: ``density.COLUMNS``, then the column that ``question`` asks for.
        question: What to show.
    """
    asked, found = asked_and_found(rows, question)
    by_method = values_by_method(found, question)
    cells = sorted({row["cell_id"] for row in asked})
    notes = tuple(not_shown(question, asked, len(asked) - len(found), by_method))
    return tuple(_points(named, cells, values, question) for named, values in by_method.items()), notes


def _points(
    named: tuple[str, str],
    cells: Sequence[str],
    values: dict[tuple[str, str], ndarray],
    question: DensityQuestion,
) -> CellPoints:
    """The points of one method, cell by cell."""
    none = np.empty(0)
    of_cells = [
        paired(values.get((cell, "real"), none), values.get((cell, "model"), none), question.points)
        for cell in cells
    ]
    return CellPoints(
        method=named[0],
        label=named[1],
        searches=named[0] not in CONTROLS,
        cells=tuple(cell for cell, points in zip(cells, of_cells, strict=True) for _ in points),
        points=np.concatenate([np.empty((0, 2)), *of_cells]),
    )
