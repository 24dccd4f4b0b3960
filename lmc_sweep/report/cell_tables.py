"""The cells: networks of each, and mean barriers of each by method."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from lmc_sweep.report.model import Column, Section, Table, Value
from lmc_sweep.report.scope import Scope, natural

TITLE = "Cells"
LEAD = (
    "A cell is all that a group of networks share: everything but the seed. The name of a cell filters the "
    "plot and the tables; the same name again, or the button at the top, shows everything."
)
_SETTINGS = (
    Column("Cell", "cell"),
    Column("Data set", "choice"),
    Column("Architecture", "choice"),
    Column("Width", "count"),
    Column("Depth", "count"),
    Column("Label noise", "number"),
)
_NETWORKS = (
    *_SETTINGS,
    Column("Saved at", "count", "epoch after which the networks were saved; empty: the end of training"),
    Column("Networks", "count"),
    Column("Diverged", "count"),
    Column("Epochs", "number", "mean of the epochs trained"),
    Column("Train loss", "number", "mean, nats"),
    Column("Train error", "number", "mean, fraction"),
    Column("Test loss", "number", "mean, nats"),
    Column("Test error", "number", "mean, fraction"),
    Column("Seconds", "number", "of training per network"),
)
_BARRIERS = (
    *_SETTINGS,
    Column("Method", "choice"),
    Column("Examples", "choice"),
    Column("Correction", "choice"),
)
_MEANS = (
    Column("Pairs", "count"),
    Column("Loss barrier", "number", "mean, nats"),
    Column("Error barrier", "number", "mean, fraction"),
)
_MAY_BE_SHARED = (
    "Data set",
    "Architecture",
    "Width",
    "Depth",
    "Label noise",
    "Correction",
    "Drawn",
    "Examples",
    "World",
    "Saved at",
    "Activation",
    "Widths",
)


def cell_tables(scope: Scope) -> Section:
    """Networks cell by cell, and one row per cell and method with the means of both worlds."""
    return Section("cells", TITLE, (_barriers(scope), _networks(scope)), LEAD)


def _networks(scope: Scope) -> Table:
    """One row per cell: its networks."""
    rows = scope.ask(f"""
        SELECT cell_id, save_at, count(*) AS networks, count(*) FILTER (stop_reason = 'diverged') AS diverged,
            avg(epochs_trained) AS epochs, avg(train_loss) AS a, avg(train_error) AS b, avg(test_loss) AS c,
            avg(test_error) AS d, avg(train_seconds) AS seconds
        FROM networks WHERE {scope.of_sweep("network")} GROUP BY ALL""")
    made = [
        (*_settings(scope, row["cell_id"]), *(row[name] for name in list(row)[1:]))
        for row in sorted(rows, key=lambda row: (scope.places[row["cell_id"]], row["save_at"] or 0))
    ]
    return trimmed(Table("networks", "Networks by cell", _NETWORKS, made, "No network is trained yet."))


def _barriers(scope: Scope) -> Table:
    """One row per cell, method, split and correction: pairs and means of each world."""
    world = "CASE world WHEN 'planted' THEN 'planted ' || planted_noise ELSE world END"
    rows = scope.ask(f"""
        SELECT cell_id, method_json, split, correction, {world} AS of_world, count(loss_barrier) AS pairs,
            avg(loss_barrier) AS loss, avg(error_barrier) AS error
        FROM barriers WHERE layers IS NULL AND {scope.of_sweep("barrier")} GROUP BY ALL""")
    worlds = sorted(
        {row["of_world"] for row in rows}, key=lambda name: (name != "real", name != "model", natural(name))
    )
    grouped: dict[tuple[Any, ...], dict[str, dict[str, Any]]] = {}
    order = list(scope.methods)
    for row in rows:
        key = (
            scope.places[row["cell_id"]],
            order.index(row["method_json"]),
            row["split"] != "train",
            row["split"],
            row["correction"],
        )
        grouped.setdefault(key, {})[row["of_world"]] = row
    columns = tuple(replace(one, heading=f"{one.heading}, {world}") for one in _MEANS for world in worlds)
    made = [
        (
            *_settings(scope, scope.cells[place].cell_id),
            scope.methods[order[method]],
            split,
            correction,
            *(found.get(world, {}).get(name) for name in ("pairs", "loss", "error") for world in worlds),
        )
        for (place, method, _, split, correction), found in sorted(grouped.items())
    ]
    caption = "Mean barriers by cell and method"
    return trimmed(
        Table("cell-barriers", caption, (*_BARRIERS, *columns), made, "No barrier is measured yet.")
    )


def _settings(scope: Scope, cell_id: str) -> tuple[Value, ...]:
    """Under _SETTINGS."""
    place = scope.places[cell_id]
    return place, *(value for _, value in scope.cells[place].settings)


def _plainly(value: Value) -> str:
    """A setting without needless zeros."""
    return f"{value:g}" if isinstance(value, float) else str(value)


def trimmed(table: Table) -> Table:
    """The table without columns that say nothing: empty ones, and those that are alike in every row.

    What is alike is told above the table. Numbers that were measured are shown in any case.
    """
    if not table.rows:
        return table
    kept, shared = [], []
    for place, column in enumerate(table.columns):
        values = {row[place] for row in table.rows}
        if column.heading in _MAY_BE_SHARED and len(values) == 1 and len(table.rows) > 1:
            (value,) = values
            shared += [] if value is None else [f"{column.heading.lower()} {_plainly(value)}"]
        elif values != {None}:
            kept.append(place)
    return replace(
        table,
        columns=tuple(table.columns[place] for place in kept),
        rows=[tuple(row[place] for place in kept) for row in table.rows],
        note=f"The same in every row: {', '.join(shared)}." if shared else "",
    )
