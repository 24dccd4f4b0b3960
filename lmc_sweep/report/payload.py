"""The numbers of a report as JSON that stands inside a page: column by column, texts once."""

from __future__ import annotations

import json
import math
from collections.abc import Iterable, Sequence
from typing import Any

from lmc_sweep.report.model import Cell, Column, DensityPlot, ReportData, Table, Value

NUM_DIGITS = 6
"""Significant digits of numbers in the page: more than it shows, so that sorting tells close ones apart."""

_TEXT_KINDS = ("text", "choice", "id")


def payload(data: ReportData) -> str:
    """JSON of all cells, tables and plots, written so that no text in it can end the element it stands in."""
    blocks = [block for section in data.sections for block in section.blocks]
    made = {
        "cells": [_cell(cell) for cell in data.cells],
        "tables": {block.name: _table(block) for block in blocks if isinstance(block, Table)},
        "plots": {block.name: _plot(block) for block in blocks if isinstance(block, DensityPlot)},
    }
    text = json.dumps(made, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    for sign in "<>&":
        text = text.replace(sign, f"\\u{ord(sign):04x}")
    return text.encode("utf-8", "backslashreplace").decode()


def _cell(cell: Cell) -> dict[str, Any]:
    settings = {name.replace("_", " "): value for name, value in cell.settings if value is not None}
    return {"label": cell.label, "settings": settings}


def _table(table: Table) -> dict[str, Any]:
    """Columns with their values; a column of texts holds each of them once, and places among them."""
    return {
        "empty": table.empty,
        "columns": [
            {
                "heading": column.heading,
                "kind": column.kind,
                **_values(column, [row[place] for row in table.rows]),
            }
            for place, column in enumerate(table.columns)
        ],
    }


def _values(column: Column, values: Sequence[Value]) -> dict[str, Any]:
    """Numbers as they are; texts by their place."""
    if column.kind not in _TEXT_KINDS:
        return {"values": [plain(value) for value in values]}
    places: dict[str, int] = {}
    found = [None if value is None else places.setdefault(str(value), len(places)) for value in values]
    if 2 * len(places) > len(values):  # hardly any repeats, as among ids
        return {"values": [None if value is None else str(value) for value in values]}
    return {"texts": list(places), "values": found}


def plain(value: Value) -> Value:
    """A number with NUM_DIGITS digits, whole ones without a point; None for what is not finite."""
    if not isinstance(value, float):
        return value
    if not math.isfinite(value):
        return None
    rounded = float(f"{value:.{NUM_DIGITS}g}")
    return int(rounded) if rounded.is_integer() and abs(rounded) < 1e15 else rounded


def _plot(plot: DensityPlot) -> dict[str, Any]:
    return {
        "linearBelow": plot.linear_below,
        "controls": [{"label": label, "choices": list(choices)} for label, choices in plot.controls],
        "looks": [
            {"label": look.label, "symbol": look.symbol, "color": look.color, "filled": look.is_filled}
            for look in plot.looks
        ],
        "views": [
            {
                "choices": list(view.choices),
                "unit": view.unit,
                "axis": view.axis,
                "notes": list(view.notes),
                "clouds": [
                    {
                        "look": cloud.look,
                        "cells": list(cloud.cells),
                        "real": _plain_all(cloud.real),
                        "model": _plain_all(cloud.model),
                    }
                    for cloud in view.clouds
                ],
            }
            for view in plot.views
        ],
    }


def _plain_all(values: Iterable[float]) -> list[Value]:
    return [plain(value) for value in values]
