"""Which rows a store holds already, and whether others of the same ids agree with them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pyarrow.parquet as pq

from lmc_sweep.store import artifacts, layout
from lmc_sweep.store.inspection import BadRecord, read_table
from lmc_sweep.store.nondeterminism import compared_columns, differences
from lmc_sweep.store.schema import Table

Agreement = Literal["new", "same", "differs"]
_ATTEMPTS = 3
_KEPT_FILES = 8
_ITEMS = ("sweep", "kind", "item_id", "plan_id")
"""What tells one row of sweep_items, which has no key, from another."""


class HeldRows:
    """The rows of one table of a store, as they were when this was made, and what was added since.

    Rows whose file of tensors is missing or torn do not count: another store may have it.

    Numbers are read again when they are to be compared, few files kept, so that a large store takes no
    more memory than its ids.
    """

    def __init__(self, root: Path, table: Table) -> None:
        self._root, self._table = root, table
        self._columns = [column.name for column in compared_columns(table)]
        self._added: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        self._usable: dict[str, bool] = {}
        self._list()

    def agreement(self, row: Mapping[str, Any]) -> Agreement:
        """Whether some row of the same id has the same numbers, all have others, or there is none."""
        for attempt in range(_ATTEMPTS):
            try:
                return self._agreement(row)
            except FileNotFoundError:  # compaction moved rows to another file
                if attempt == _ATTEMPTS - 1:
                    raise
                self._list()
        raise AssertionError("unreachable")

    def add(self, row: Mapping[str, Any]) -> None:
        """Counts a row that is about to be written."""
        kept = {name: row[name] for name in self._columns}
        self._added.setdefault(self._key(row), []).append(kept)

    def _list(self) -> None:
        """Looks at the store: where the rows of each id stand."""
        table, names = self._table, self._names()
        self._places: dict[tuple[Any, ...], list[tuple[str, int]]] = {}
        self._files: OrderedDict[str, Any] = OrderedDict()
        for found in read_table(self._root, table, lambda num_bytes: None):
            if isinstance(found, BadRecord):
                continue
            usable = [True] * found.num_rows
            if table.artifact is not None:
                usable = [self._is_usable(named) for named in found.column(table.artifact)]
            for k, key in enumerate(zip(*(found.column(name) for name in names), strict=True)):
                if usable[k]:
                    self._places.setdefault(key, []).append((found.path, k))

    def _agreement(self, row: Mapping[str, Any]) -> Agreement:
        key = self._key(row)
        places, added = self._places.get(key, []), self._added.get(key, [])
        if not places and not added:
            return "new"
        if self._table.key is None or not self._columns:
            return "same"
        numbers = {name: row[name] for name in self._columns}
        for held in (*added, *(self._read(*place) for place in places)):
            if not any(differences(self._table, "", [("held", held), ("other", numbers)])):
                return "same"
        return "differs"

    def _names(self) -> list[str]:
        """The columns that tell one row from another."""
        return [self._table.key] if self._table.key is not None else list(_ITEMS)

    def _is_usable(self, path: str | None) -> bool:
        """Whether a listing would show a row of this file of tensors."""
        if path is None:
            return True
        if path not in self._usable:
            self._usable[path] = layout.inside(path) and artifacts.size_problem(self._root / path) is None
        return self._usable[path]

    def _key(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(row[name] for name in self._names())

    def _read(self, path: str, k: int) -> dict[str, Any]:
        """The compared columns of one row; null where its file is of an older schema version."""
        data = self._open(path)
        found = data.slice(k, 1).to_pylist()[0]
        return {name: found.get(name) for name in self._columns}

    def _open(self, path: str) -> Any:
        """The compared columns of a file, kept for the next row."""
        if path not in self._files:
            with pq.ParquetFile(self._root / path) as parquet:
                key = self._table.key  # read in any case: without a column Arrow forgets the number of rows
                held = set(parquet.schema_arrow.names)
                self._files[path] = parquet.read([name for name in (key, *self._columns) if name in held])
            if len(self._files) > _KEPT_FILES:
                self._files.popitem(last=False)
        self._files.move_to_end(path)
        return self._files[path]
