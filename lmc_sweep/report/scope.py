"""What a report is about: a store, one sweep of it or all, and the names of its cells and methods."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lmc_sweep.analysis.density import CONTROLS
from lmc_sweep.analysis.method_labels import method_labels
from lmc_sweep.analysis.summary import cell_labels
from lmc_sweep.errors import SweepError
from lmc_sweep.report.model import Cell
from lmc_sweep.store.schema import TABLE_OF_KIND
from lmc_sweep.store.sql_text import literal

if TYPE_CHECKING:
    from pathlib import Path

    from lmc_sweep.store.store import Store

WHOLE = "layers IS NULL AND save_at IS NULL"
"""Curves of whole networks at the end of training."""

_SETTINGS = ("dataset", "architecture", "width", "depth", "label_noise")


@dataclass(frozen=True)
class Scope:
    """A store as one report sees it.

    Attributes:
        store: What is read.
        named: The store as the user named it: what commands in the report call it.
        sweep: The one sweep that is reported; None for all of the store.
        claims: The file of claims; None where there is none.
        cells: In the order of their labels.
        places: Of each cell's id, its place among the cells.
        methods: Labels by JSON, in the order in which methods are told: what searches nothing first.
        trouble: What could not be read so far, in words.
    """

    store: Store
    named: str
    sweep: str | None
    claims: Path | None
    cells: tuple[Cell, ...]
    places: Mapping[str, int]
    methods: Mapping[str, str]
    trouble: tuple[str, ...] = field(default=())

    @property
    def sweeps(self) -> list[str]:
        """The sweeps that are reported."""
        return self.store.sweeps() if self.sweep is None else [self.sweep]

    def of_sweep(self, kind: str) -> str:
        """A condition of SQL: that the sweep asks for the row; true of all rows where there is no sweep."""
        return asked_by(self.sweep, kind)

    def concerns(self, kind: str) -> bool:
        """Whether there are items of a kind, or might be: not where sweeps ask for others alone."""
        of_sweep = "" if self.sweep is None else f" WHERE sweep = {literal(self.sweep)}"
        try:
            kinds = {row["kind"] for row in self.ask(f"SELECT DISTINCT kind FROM sweep_items{of_sweep}")}
            rows = f"SELECT count(*) AS num FROM {TABLE_OF_KIND[kind].name} WHERE {self.of_sweep(kind)}"
            return not kinds or kind in kinds or self.ask(rows)[0]["num"] > 0
        except SweepError:  # what cannot be read is told where it would stand
            return True

    def ask(self, query: str) -> list[dict[str, Any]]:
        """Rows that one SELECT answers."""
        rows: list[dict[str, Any]] = self.store.answer(query).to_pylist()
        return rows


def asked_by(sweep: str | None, kind: str) -> str:
    """A condition of SQL: that a sweep asks for the item."""
    if sweep is None:
        return "true"
    asked = f"SELECT item_id FROM sweep_items WHERE sweep = {literal(sweep)} AND kind = '{kind}'"
    return f"{TABLE_OF_KIND[kind].key} IN ({asked})"


def make_scope(store: Store, named: str, sweep: str | None, claims: Path | None) -> Scope:
    """The scope of a report; what cannot be read is told in ``trouble``."""
    trouble: list[str] = []
    cells: tuple[Cell, ...] = ()
    methods: dict[str, str] = {}
    try:
        cells = _cells(store, sweep)
        methods = _methods(store, sweep)
    except SweepError as error:
        trouble.append(f"names of cells and methods cannot be read: {error}")
    places = {cell.cell_id: place for place, cell in enumerate(cells)}
    return Scope(store, named, sweep, claims, cells, places, methods, tuple(trouble))


def _cells(store: Store, sweep: str | None) -> tuple[Cell, ...]:
    """Cells of networks and of barriers, whose networks may be missing."""
    columns = ", ".join(("cell_id", *_SETTINGS))
    asked = {"barriers": asked_by(sweep, "barrier"), "networks": asked_by(sweep, "network")}
    found: dict[str, dict[str, Any]] = {
        table: {
            row["cell_id"]: row
            for row in store.answer(f"SELECT DISTINCT {columns} FROM {table} WHERE {of}").to_pylist()
        }
        for table, of in asked.items()
    }
    rows = {**found["barriers"], **found["networks"]}
    labels = {key: _plain_label(row) for key, row in rows.items()}
    labels |= cell_labels(store, set(found["networks"]))
    cells = [
        Cell(key, labels[key], tuple((name, row[name]) for name in _SETTINGS)) for key, row in rows.items()
    ]
    return tuple(sorted(cells, key=lambda cell: (natural(cell.label), cell.cell_id)))


def _plain_label(row: Mapping[str, Any]) -> str:
    """A cell in words, from its columns alone."""
    sizes = [f"{name} {row[name]}" for name in ("depth", "width") if row[name] is not None]
    noise = [f"label_noise {row['label_noise']:g}"] if row["label_noise"] else []
    return " ".join([row["dataset"], row["architecture"], *sizes, *noise])


def _methods(store: Store, sweep: str | None) -> dict[str, str]:
    """Labels of the methods by JSON, controls first."""
    query = f"SELECT DISTINCT method_json FROM barriers WHERE {asked_by(sweep, 'barrier')}"
    labels = method_labels(row["method_json"] for row in store.answer(query).to_pylist())
    names = {text: json.loads(text)["method"] for text in labels}
    order = sorted(labels, key=lambda text: (names[text] not in CONTROLS, natural(labels[text]), text))
    return {text: labels[text] for text in order}


def natural(text: str) -> tuple[tuple[int, float, str], ...]:
    """What texts are sorted by: words in order, numbers by value."""
    parts = re.split(r"(\d[\d,]*(?:\.\d+)?)", text)
    return tuple(
        (0, float(part.replace(",", "")), "") if place % 2 else (1, 0.0, part)
        for place, part in enumerate(parts)
    )
