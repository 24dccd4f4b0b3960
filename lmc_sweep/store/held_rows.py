"""Which rows a store holds already, and whether others of the same ids agree with them."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from typing import Any, Literal

import pyarrow.parquet as pq

from lmc_sweep.store import layout
from lmc_sweep.store.directory import Stamp
from lmc_sweep.store.files import Files
from lmc_sweep.store.inspection import BadRecord, read_table
from lmc_sweep.store.listing import artifact_problem
from lmc_sweep.store.nondeterminism import compared_columns, differences
from lmc_sweep.store.schema import Table

Agreement = Literal["new", "same", "differs"]
_ATTEMPTS = 3
_KEPT_FILES = 8
_ITEMS = ("sweep", "kind", "item_id", "plan_id", "created_at")
"""What tells one row of sweep_items, which has no key, from another: a plan may be recorded again later."""


class HeldRows:
    """The rows of one table of a store, as they were when this was made, and what was added since.

    Rows whose file of tensors is missing or torn do not count: another store may have it.

    Numbers are read again when they are to be compared, few files kept, so that a large store takes no
    more memory than its ids.
    """

    def __init__(self, files: Files, table: Table) -> None:
        self._source, self._table = files, table
        self._columns = [column.name for column in compared_columns(table)]
        self._added: dict[tuple[Any, ...], list[dict[str, Any]]] = {}
        self._waiting: list[tuple[Any, ...]] = []
        self._usable: dict[str, bool] = {}
        self._list()

    def expect(self, rows: Sequence[Mapping[str, Any]]) -> None:
        """Reads at once what these rows, of which ``agreement`` will be asked, are to be compared with."""
        for attempt in range(_ATTEMPTS if self._columns else 0):
            try:
                self._read({place for row in rows for place in self._places.get(self._key(row), ())})
                return
            except FileNotFoundError:  # compaction moved rows to another file
                if attempt == _ATTEMPTS - 1:
                    raise
                self._list()

    def agreement(self, row: Mapping[str, Any]) -> Agreement:
        """Whether some row of the same id has the same numbers, all have others, or there is none."""
        key = self._key(row)
        places, added = self._places.get(key, []), self._added.get(key, [])
        if not places and not added:
            return "new"
        if self._table.key is None or not self._columns:
            return "same"
        numbers = {name: row[name] for name in self._columns}
        for held in (*added, *(self._values[place] for place in places)):
            pair = [("held", held), ("other", numbers)]
            if held == numbers or not any(differences(self._table, "", pair)):
                return "same"
        return "differs"

    def add(self, row: Mapping[str, Any]) -> None:
        """Counts a row that is about to be written."""
        key = self._key(row)
        self._waiting.append(key)
        self._added.setdefault(key, []).append({name: row[name] for name in self._columns})

    def written(self, path: str) -> None:
        """Takes in that the rows that were added since stand in this file, in that order."""
        for k, key in enumerate(self._waiting):
            self._places.setdefault(key, []).append((path, k))
        self._waiting.clear()
        self._added.clear()

    def _list(self) -> None:
        """Looks at the store: where the rows of each id stand."""
        table, names = self._table, self._names()
        self._places: dict[tuple[Any, ...], list[tuple[str, int]]] = {}
        self._files: OrderedDict[str, Any] = OrderedDict()
        self._values: dict[tuple[str, int], dict[str, Any]] = {}
        lying = self._source.artifacts(layout.ARTIFACT_FOLDERS) if table.artifact is not None else {}
        for found in read_table(self._source, table, lambda num_bytes: None):
            if isinstance(found, BadRecord):
                continue
            usable = [True] * found.num_rows
            if table.artifact is not None:
                usable = [self._is_usable(named, lying) for named in found.column(table.artifact)]
            for k, key in enumerate(zip(*(found.column(name) for name in names), strict=True)):
                if usable[k]:
                    self._places.setdefault(key, []).append((found.path, k))

    def _names(self) -> list[str]:
        """The columns that tell one row from another."""
        return [self._table.key] if self._table.key is not None else list(_ITEMS)

    def _is_usable(self, path: str | None, lying: Mapping[str, Stamp]) -> bool:
        """Whether a listing would show a row of this file of tensors."""
        if path is None:
            return True
        if path not in self._usable:
            self._usable[path] = artifact_problem(self._source, path, lying.get(path)) is None
        return self._usable[path]

    def _key(self, row: Mapping[str, Any]) -> tuple[Any, ...]:
        return tuple(row[name] for name in self._names())

    def _read(self, places: set[tuple[str, int]]) -> None:
        """The compared columns of some rows; null where their file is of an older schema version."""
        by_file: dict[str, list[int]] = {}
        for path, k in sorted(places):
            by_file.setdefault(path, []).append(k)
        self._values = {}
        for path, indices in by_file.items():
            found = self._open(path).take(indices).to_pylist()
            for k, values in zip(indices, found, strict=True):
                self._values[path, k] = {name: values.get(name) for name in self._columns}

    def _open(self, path: str) -> Any:
        """The compared columns of a file, kept for the next row."""
        if path not in self._files:
            with pq.ParquetFile(self._source.root / path) as parquet:
                key = self._table.key  # read in any case: without a column Arrow forgets the number of rows
                held = set(parquet.schema_arrow.names)
                self._files[path] = parquet.read([name for name in (key, *self._columns) if name in held])
            if len(self._files) > _KEPT_FILES:
                self._files.popitem(last=False)
        self._files.move_to_end(path)
        return self._files[path]
