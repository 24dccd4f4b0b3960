"""Rows of the table ``initialization`` as lines: deviations against width."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lmc_sweep.analysis.slopes import Slope, slope
from workers.initialization.specs import exponent_of_bound

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

MATCHING_ORDER = ("identity", "grid", "hungarian")
COLUMNS = (
    "initialization_id",
    "activation",
    "input_dim",
    "width",
    "matching",
    "grid_cells",
    "seed",
    "num_inputs",
    "num_draws",
    "delta",
    "alphas",
    "deviation_mean",
    "deviation_midpoint",
    "deviation_quantile",
    "deviation_max",
    "output_rms",
    "matching_distance",
    "cells_per_axis",
    "num_unmatched",
    "proof_bound",
)


@dataclass(frozen=True)
class Line:
    """Pairs of random networks that differ in width and seed alone.

    Attributes:
        activation, input_dim, matching, grid_cells: As the columns of the table say.
        rows: Columns of the table by name, by width and seed.
    """

    activation: str
    input_dim: int
    matching: str
    grid_cells: str | None
    rows: tuple[dict[str, Any], ...]

    @property
    def widths(self) -> list[int]:
        """Widths, ascending."""
        return sorted({row["width"] for row in self.rows})

    @property
    def exponent_of_bound(self) -> float:
        """-1/(2d+4)."""
        return exponent_of_bound(self.input_dim)

    def values(self, column: str) -> dict[int, list[float]]:
        """What is known of a column, by width."""
        found: dict[int, list[float]] = defaultdict(list)
        for row in self.rows:
            if row[column] is not None:
                found[row["width"]].append(float(row[column]))
        return dict(sorted(found.items()))

    def slope(self, column: str, least_width: int = 1) -> Slope | None:
        """Of a column, over the widths from one on."""
        return slope(
            (row["seed"], row["width"], row[column]) for row in self.rows if row["width"] >= least_width
        )


def read(store: Store, sweep: str | None) -> tuple[list[Line], int]:
    """The lines of a store, or of one sweep in it, and how many rows are left out.

    Figures taken on other inputs, draws or positions are not comparable: of each activation and input
    dimension, those settings stay of which there are the most rows.
    """
    asked = None if sweep is None else store.item_ids(sweep, "initialization")
    found = store.initialization().project(", ".join(COLUMNS)).fetchall()
    rows = [dict(zip(COLUMNS, row, strict=True)) for row in found if asked is None or row[0] in asked]
    return lines(rows)


def lines(rows: Sequence[dict[str, Any]]) -> tuple[list[Line], int]:
    """Rows as lines, in order of activation, input dimension and matching, and how many are left out."""
    counts: dict[tuple[Any, ...], Counter[tuple[Any, ...]]] = defaultdict(Counter)
    for row in rows:
        counts[_panel(row)][_settings(row)] += 1
    chosen = {panel: max(counted, key=lambda one: (counted[one], one)) for panel, counted in counts.items()}
    kept = [row for row in rows if chosen[_panel(row)] == _settings(row)]
    by_line: dict[tuple[Any, ...], list[dict[str, Any]]] = defaultdict(list)
    for row in sorted(kept, key=lambda row: (row["width"], row["seed"])):
        by_line[(*_panel(row), row["matching"], row["grid_cells"])].append(row)
    found = [
        Line(of[0]["activation"], of[0]["input_dim"], of[0]["matching"], of[0]["grid_cells"], tuple(of))
        for of in by_line.values()
    ]
    return sorted(found, key=_order), len(rows) - len(kept)


def line_labels(found: Iterable[Line]) -> dict[tuple[str, str | None], str]:
    """What each matching is called in a legend: the grid with its cells where there are several."""
    keys = list(dict.fromkeys((line.matching, line.grid_cells) for line in found))
    several = len({cells for _, cells in keys if cells is not None}) > 1
    return {key: key[0] + (f", {_cells(key[1])}" if several and key[1] else "") for key in keys}


def _cells(asked: str) -> str:
    """Cells of a grid in words."""
    return f"{asked} cells" if asked.isdigit() else asked.replace("_", " ")


def _panel(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["activation"], row["input_dim"]


def _settings(row: dict[str, Any]) -> tuple[Any, ...]:
    return row["num_inputs"], row["num_draws"], row["delta"], tuple(row["alphas"])


def _order(line: Line) -> tuple[Any, ...]:
    return line.activation, line.input_dim, MATCHING_ORDER.index(line.matching), line.grid_cells or ""
