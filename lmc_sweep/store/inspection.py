"""Every record of a store, read in full: what its rows name, what they build on, what is wrong with a file.

A listing reads what the index needs; this reads all of it, checksums of pages included.
"""

from __future__ import annotations

import errno
import json
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lmc_sweep.store import layout, records
from lmc_sweep.store.files import Files
from lmc_sweep.store.further_rows import FURTHER_ROWS
from lmc_sweep.store.schema import SCHEMA_VERSION, TABLES, VERSION_KEY, Table

Progress = Callable[[int], None]
"""Told how many more bytes have been read."""

_MOST_SCANS = 20


@dataclass(frozen=True)
class BadRecord:
    """A record file that no result is read from; ``is_damaged`` where its content is not what was written."""

    path: str
    reason: str
    is_damaged: bool


@dataclass(frozen=True)
class GoodRecord:
    """A good record file, all of it decoded, as an Arrow table in the columns that it has."""

    path: str
    table: Table
    data: Any

    @property
    def num_rows(self) -> int:
        """Its rows."""
        return int(self.data.num_rows)

    def column(self, name: str) -> list[Any]:
        """The values of a column, null where the file is of a schema version without it."""
        if name not in self.data.column_names:
            return [None] * self.num_rows
        values: list[Any] = self.data.column(name).to_pylist()
        return values


@dataclass
class Held:
    """What the good records of a store say.

    Attributes:
        bad: Record files that are left out.
        num_rows: Rows by table.
        rows: Per table with artifacts, all its rows: id, artifact, row, record file.
        ids: Ids by table, of tables without artifacts.
        records: Per table of ``FURTHER_ROWS``, the record files of each id.
        inputs: Per artifact that rows say they read: per record file, how many do, and the last row named.
        environments: Per environment_id, how many rows it computed.
        unreadable_inputs: Rows by table whose ``inputs_json`` says nothing.
    """

    bad: list[BadRecord] = field(default_factory=list)
    num_rows: Counter[str] = field(default_factory=Counter)
    rows: dict[str, list[tuple[str, str | None, int | None, str]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    ids: dict[str, set[str]] = field(default_factory=lambda: defaultdict(set))
    records: dict[str, dict[str, list[str]]] = field(
        default_factory=lambda: {name: defaultdict(list) for name in FURTHER_ROWS}
    )
    inputs: dict[str, dict[str, tuple[int, int]]] = field(default_factory=lambda: defaultdict(dict))
    environments: Counter[str] = field(default_factory=Counter)
    unreadable_inputs: Counter[str] = field(default_factory=Counter)

    def named(self) -> set[str]:
        """Every artifact that a row names as its own or as what it read."""
        own = {path for rows in self.rows.values() for _, path, _, _ in rows if path is not None}
        return own | self.inputs.keys()


def inspect(files: Files, progress: Progress) -> Held:
    """All records of a store, read in full: its own files, not copies."""
    held = Held()
    for table in TABLES.values():
        for found in read_table(files, table, progress, anew=True):
            if isinstance(found, BadRecord):
                held.bad.append(found)
            else:
                _take(held, found)
    return held


def read_table(
    files: Files, table: Table, progress: Progress, anew: bool = False
) -> Iterator[GoodRecord | BadRecord]:
    """The record files of a table, one by one, until no new ones have appeared; unfinished ones left out.

    Args:
        anew: Of a store whose files are copied here, copy them again.
    """
    seen: set[str] = set()
    for _ in range(_MOST_SCANS):  # compaction may put rows into another file while this reads
        fresh = [path for path in record_paths(files, table) if path not in seen]
        if not fresh:
            return
        if anew:
            files.renew([path for path in fresh if path.endswith(".parquet")])
        for path in fresh:
            seen.add(path)
            found = read_record(files.root, table, path)
            if found is not None:
                progress(file_size(files.root / path))
                yield found


def record_paths(files: Files, table: Table) -> list[str]:
    """Paths, relative to the store, of what stands among the records of a table."""
    folder = f"{layout.RECORDS}/{table.name}"
    return [f"{folder}/{name}" for name in sorted(files.records(folder))]


def read_record(root: Path, table: Table, path: str) -> GoodRecord | BadRecord | None:
    """A record file read in full; None where it has vanished, as compaction makes files do."""
    file = root / path
    if file.suffix != ".parquet" or file.is_symlink() or (file.exists() and not file.is_file()):
        return BadRecord(path, "foreign: records are regular Parquet files", is_damaged=False)
    try:
        content = file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        return BadRecord(path, f"cannot be read: {error.strerror}", is_damaged=error.errno == errno.EIO)
    reason = records.content_problem(file.name, content)
    if reason is not None:
        return BadRecord(path, reason, is_damaged=True)
    try:
        parquet = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
        reason = records.schema_problem(table, parquet.schema_arrow)
        if reason is not None:
            return BadRecord(path, reason, is_damaged=not _is_newer(parquet.schema_arrow))
        data = parquet.read()
    except (pa.ArrowException, OSError, ValueError, OverflowError) as error:
        told = (str(error).splitlines() or [type(error).__name__])[0]
        return BadRecord(path, f"torn or foreign: {told}", is_damaged=True)
    for name, column in table.by_name.items():
        if not column.nullable and data.column(name).null_count:
            return BadRecord(path, f"torn or foreign: nulls in {name}", is_damaged=True)
    return GoodRecord(path, table, data)


def inputs_of(text: Any) -> list[tuple[str, int]] | None:
    """Files and rows that ``inputs_json`` says were read; None where it says nothing that can be read."""
    try:
        told = json.loads(text)
        places = [*told["networks"], *([told["permutations"]] if "permutations" in told else [])]
        found = [(path, row) for path, row in places if path is not None]
    except (TypeError, ValueError, LookupError, RecursionError):
        return None
    good = all(isinstance(path, str) and type(row) is int for path, row in found)
    return found if good else None


def _take(held: Held, record: GoodRecord) -> None:
    """Adds what a record says."""
    table = record.table
    held.num_rows[table.name] += record.num_rows
    if table.artifact is not None and table.key is not None:
        parts = (record.column(name) for name in (table.key, table.artifact, "row"))
        held.rows[table.name] += [(*row, record.path) for row in zip(*parts, strict=True)]
    elif table.key is not None:
        held.ids[table.name].update(record.column(table.key))
    if table.key is not None and table.name in held.records:
        for key in record.column(table.key):
            held.records[table.name][key].append(record.path)
    held.environments.update(record.column("environment_id"))
    for text in record.column("inputs_json") if "inputs_json" in table.by_name else ():
        places = [] if text is None else inputs_of(text)
        if places is None:
            held.unreadable_inputs[table.name] += 1
        for path, row in places or ():
            count, last = held.inputs[path].get(record.path, (0, 0))
            held.inputs[path][record.path] = (count + 1, max(last, row) if row >= 0 else 2**63)


def _is_newer(schema: Any) -> bool:
    """Whether a later program wrote the file."""
    version = (schema.metadata or {}).get(VERSION_KEY, b"").decode(errors="replace")
    return version.isdigit() and len(version) < 10 and int(version) > SCHEMA_VERSION


def file_size(path: Path) -> int:
    """Bytes of a file; 0 where it has gone."""
    try:
        return path.lstat().st_size
    except OSError:
        return 0
