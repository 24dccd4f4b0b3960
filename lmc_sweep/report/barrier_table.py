"""Every barrier as a row."""

from __future__ import annotations

from lmc_sweep.report.cell_tables import trimmed
from lmc_sweep.report.model import Block, Column, Note, Section, Table
from lmc_sweep.report.scope import Scope

TITLE = "Barriers"
LEAD = (
    "One row per pair, method, split and correction. lmc-sweep repro STORE ID computes a row again and "
    "compares; the curves along the segment are in the store's table barriers."
)
MOST_ROWS = 40_000
"""Rows beyond which the page would be slow to open; lmc-sweep query gives them all."""

_COLUMNS = (
    Column("Cell", "cell"),
    Column("Method", "choice"),
    Column("World", "choice"),
    Column("Noise", "number", "of world planted, in standard deviations"),
    Column("Saved at", "count", "epoch after which the networks were saved; empty: the end of training"),
    Column("Layers", "choice", "that move along the segment; empty: all"),
    Column("Examples", "choice"),
    Column("Correction", "choice"),
    Column("Seed a", "count"),
    Column("Seed b", "count"),
    Column("Loss barrier", "number", "nats"),
    Column("Loss at 1/2", "number", "nats"),
    Column("Error barrier", "number", "fraction"),
    Column("Error at 1/2", "number", "fraction"),
    Column("Disagreement", "number", "share of examples that the endpoints classify differently"),
    Column("ID", "id", "barrier_id"),
)


def barrier_table(scope: Scope) -> Section:
    """The rows of the table ``barriers``, cell by cell."""
    found = scope.ask(f"""
        SELECT cell_id, method_json, world, planted_noise, save_at, layers, split, correction, seed_a, seed_b,
            loss_barrier, loss_midpoint_barrier, error_barrier, error_midpoint_barrier, endpoint_disagreement,
            barrier_id
        FROM barriers WHERE {scope.of_sweep("barrier")}
        ORDER BY cell_id, world DESC, pair_id, method, split DESC, barrier_id LIMIT {MOST_ROWS + 1}""")
    rows = [
        (scope.places[row["cell_id"]], scope.methods[row["method_json"]], *list(row.values())[2:])
        for row in found[:MOST_ROWS]
    ]
    rows.sort(key=lambda row: row[0])
    table = trimmed(Table("barriers", "Barriers", _COLUMNS, rows, "No barrier is measured yet."))
    blocks: list[Block] = [table]
    if len(found) > MOST_ROWS:
        told = f"The first {MOST_ROWS:,} rows: lmc-sweep query STORE 'SELECT * FROM barriers' gives all."
        blocks.insert(0, Note(told, is_warning=True))
    return Section("barriers", TITLE, tuple(blocks), LEAD)
