"""A store as it was at one instant, its tables in memory: a report asks them a hundred times.

A store that was never compacted lies in thousands of files, which every query would open anew; and a sweep
that runs meanwhile would show different sections different stores.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable
from pathlib import Path
from typing import Any, TypeVar

from lmc_sweep.store.schema import TABLES
from lmc_sweep.store.store import Store

T = TypeVar("T")

MOST_ROWS = 1_000_000
"""Rows of all tables beyond which they stay in their files: memory is not without end."""


class Snapshot(Store):
    """The store at a path, read once. Only what concerns its files, such as problems, is looked up again."""

    def __init__(self, uri: str | Path) -> None:
        super().__init__(uri)
        self._tables: Any = None
        self._kept: dict[Hashable, Any] = {}

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels between processes as its address alone, and is read again there."""
        return Snapshot, (self.files.address,)

    def kept(self, question: Hashable, ask: Callable[[], T]) -> T:
        """What ``ask`` returned the first time: these tables do not change."""
        if question not in self._kept:
            self._kept[question] = ask()
        answer: T = self._kept[question]
        return answer

    def _connect(self) -> Any:
        """The connection with the tables in memory, made by the first question."""
        if self._tables is None:
            source = super()._connect()
            num_rows = sum(
                file.num_rows for listing in self._listings.values() for file in listing.files.values()
            )
            self._tables = _in_memory(source) if num_rows <= MOST_ROWS else source
        return self._tables


def _in_memory(source: Any) -> Any:
    """A connection to copies of the tables of another one."""
    import duckdb

    made = duckdb.connect()
    for name in TABLES:
        made.register(name, source.table(name).to_arrow_table())
    made.execute("SET enable_external_access = false")
    made.execute("SET lock_configuration = true")
    return made
