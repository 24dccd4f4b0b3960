"""A store as it was at one instant, its tables in memory: a report asks them a hundred times.

A store that was never compacted lies in thousands of files, which every query would open anew; and a sweep
that runs meanwhile would show different sections different stores.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lmc_sweep.store.schema import TABLES
from lmc_sweep.store.store import Store

MOST_ROWS = 1_000_000
"""Rows of all tables beyond which they stay in their files: memory is not without end."""


class Snapshot(Store):
    """The store at a path, read once. Only what concerns its files, such as problems, is looked up again."""

    def __init__(self, uri: str | Path) -> None:
        super().__init__(uri)
        self._tables: Any = None

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels between processes as its address alone, and is read again there."""
        return Snapshot, (self.files.address,)

    def _connect(self) -> Any:
        """The connection with the tables in memory, made by the first question."""
        if self._tables is None:
            self._tables = _in_memory(super()._connect())
        return self._tables


def _in_memory(source: Any) -> Any:
    """A connection with copies of a connection's tables; itself where they are too large."""
    import duckdb

    counts = " + ".join(f"(SELECT count(*) FROM {name})" for name in TABLES)
    ((rows,),) = source.execute(f"SELECT {counts}").fetchall()
    if rows > MOST_ROWS:
        return source
    made = duckdb.connect()
    for name in TABLES:
        made.register("copied", source.table(name).to_arrow_table())
        made.execute(f"CREATE TABLE {name} AS SELECT * FROM copied")
        made.unregister("copied")
    made.execute("SET enable_external_access = false")
    made.execute("SET lock_configuration = true")
    return made
