"""Rows for any table of a store, made from its schema, so that a new column needs no new test data."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

from lmc_sweep.store.columns import FLAG
from lmc_sweep.store.schema import COUNT, COUNTS, REAL, REALS, TABLES, TEXT, TEXTS, TIME

NOON = datetime(2026, 1, 2, 12, tzinfo=UTC)
_VALUES = {
    TEXT: "text",
    COUNT: 1,
    REAL: 0.5,
    FLAG: True,
    REALS: [0.0, 0.5, 1.0],
    COUNTS: [1, 2, 3],
    TEXTS: ["one", "two"],
    TIME: NOON,
}


def row(table: str, key: str | None = None, minutes: int = 0, **values: Any) -> dict[str, Any]:
    """A complete row of a table, ``minutes`` after noon; artifacts are null or missing unless named."""
    described = TABLES[table]
    found = {name: _VALUES[column.type] for name, column in described.by_name.items()}
    found["created_at"] = NOON + timedelta(minutes=minutes)
    if key is not None and described.key is not None:
        found[described.key] = key
    if described.artifact is not None and described.by_name[described.artifact].nullable:
        found |= {described.artifact: None, "row": None}
    return {**found, **values}


def ids_of(relation: Any, column: str) -> list[str]:
    """One column of a relation, sorted."""
    return sorted(value for (value,) in relation.project(column).fetchall())
