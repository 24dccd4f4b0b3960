"""What a store holds right now: which record files are good, which ids they hold, what is set aside.

Every file is read once and checked by the hash in its name; what was learned is kept by (path, size,
mtime), so that listing again costs one directory scan. Files that appear are added, and a file that
vanished or changed makes the index be built anew.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from stat import S_ISREG
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lmc_sweep.errors import StoreError
from lmc_sweep.store import artifacts, layout, records
from lmc_sweep.store.schema import Table

Stamp = tuple[int, int, int]
_UNREAD: Stamp = (-1, -1, -1)  # of no file: what could not be read is tried again at the next look


@dataclass(frozen=True)
class Problem:
    """A file that is left out of every result, and why. Its items count as missing and are computed again."""

    path: str
    reason: str


@dataclass(frozen=True)
class RecordFile:
    """A good record file: the names of its columns, and per row the id, the time and the artifact."""

    path: str
    columns: tuple[str, ...]
    ids: tuple[str, ...]
    created_at: tuple[int, ...]
    artifacts: tuple[str | None, ...]


@dataclass(frozen=True, order=True)
class Place:
    """Where a row stands; of the rows of one id the smallest is the one that counts.

    ``created_at`` is in microseconds since 1970, UTC.
    """

    created_at: int
    path: str
    row: int


@dataclass
class Listing:
    """The known state of one table's files; in ``places`` the row that counts comes first."""

    root: Path
    table: Table
    files: dict[str, RecordFile] = field(default_factory=dict)
    problems: dict[str, Problem] = field(default_factory=dict)
    broken: dict[str, Problem] = field(default_factory=dict)
    places: dict[str, list[Place]] = field(default_factory=dict)
    has_duplicates: bool = False
    version: int = 0
    _stamps: dict[str, Stamp] = field(default_factory=dict)
    _artifact_stamps: dict[str, tuple[Stamp | None, str | None]] = field(default_factory=dict)

    def refresh(self) -> None:
        """Looks at the directory again and takes in what has changed."""
        now = dict(_scan(self.root / layout.RECORDS / self.table.name))
        stale = [path for path, stamp in self._stamps.items() if now.get(path) != stamp]
        for path in stale:
            self._stamps.pop(path)
            self.files.pop(path, None)
            self.problems.pop(path, None)
        fresh = [path for path in now if path not in self._stamps]
        for path in sorted(fresh):
            learned = _read(self.root, self.table, path)
            if learned is None:  # it vanished since the scan
                continue
            self._stamps[path] = _UNREAD if _may_pass(learned) else now[path]
            if isinstance(learned, Problem):
                self.problems[path] = learned
            else:
                self.files[path] = learned
        broken = self._broken_artifacts()
        if stale or broken != self.broken:
            self.broken = broken
            self.places, self.has_duplicates = {}, False
            self._index(self.files.values())
        else:
            self._index(self.files[path] for path in fresh if path in self.files)
        if stale or fresh:
            self.version += 1

    def ids(self) -> set[str]:
        """The ids that count as present."""
        return set(self.places)

    def _index(self, files: Iterable[RecordFile]) -> None:
        """Adds rows to ``places``, except those whose artifact is broken."""
        for file in files:
            for row, (key, created_at) in enumerate(zip(file.ids, file.created_at, strict=True)):
                if self.broken and file.artifacts and file.artifacts[row] in self.broken:
                    continue
                place = Place(created_at, file.path, row)
                known = self.places.get(key)
                if known is None:
                    self.places[key] = [place]
                else:
                    known.append(place)
                    known.sort()
                    self.has_duplicates = True

    def _broken_artifacts(self) -> dict[str, Problem]:
        """Artifacts named by good records that are missing or cannot be whole."""
        broken = {}
        named = {path for file in self.files.values() for path in file.artifacts if path is not None}
        for relative in named:
            path = self.root / relative
            stamp = _stamp(path)
            known = self._artifact_stamps.get(relative)
            if known is None or known[0] != stamp:
                known = (stamp, _artifact_problem(path, relative, stamp))
                if known[1] is None or not known[1].startswith(artifacts.UNREADABLE):
                    self._artifact_stamps[relative] = known
            if known[1] is not None:
                broken[relative] = Problem(relative, known[1])
        return broken


def _may_pass(learned: RecordFile | Problem) -> bool:
    """Whether a file is set aside only because the system would not read it this time."""
    return isinstance(learned, Problem) and learned.reason.startswith(artifacts.UNREADABLE)


def _stamp(path: Path) -> Stamp | None:
    """Size, modification time and kind of a file; None where there is none."""
    try:
        status = path.stat(follow_symlinks=False)
    except OSError:
        return None
    return status.st_size, status.st_mtime_ns, status.st_mode


def _artifact_problem(path: Path, relative: str, stamp: Stamp | None) -> str | None:
    """Why the file of tensors cannot be used; None when nothing speaks against it."""
    if not layout.inside(relative):
        return "recorded outside the store's folders of artifacts"
    if stamp is not None and not S_ISREG(stamp[2]):
        return "is not a regular file"
    return artifacts.size_problem(path)


def _scan(directory: Path) -> Iterator[tuple[str, Stamp]]:
    """Path relative to the store and stamp of every entry but the unfinished ones."""
    try:
        entries = os.scandir(directory)
    except FileNotFoundError:
        return
    except OSError as error:
        raise StoreError(
            f"{directory}: cannot be listed: {error.strerror}. Check the disk or mount that holds it, then "
            "run the same command again."
        ) from error
    with entries:
        for entry in entries:
            if entry.name.startswith("."):
                continue
            try:
                status = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            stamp = (status.st_size, status.st_mtime_ns, status.st_mode)
            yield f"{layout.RECORDS}/{directory.name}/{entry.name}", stamp


def _read(root: Path, table: Table, path: str) -> RecordFile | Problem | None:
    """What the file holds, or why it is set aside; None when it is gone."""
    if not path.endswith(".parquet"):
        return Problem(path, "foreign: records are Parquet files")
    file = root / path
    try:
        if file.is_symlink() or not file.is_file():
            return Problem(path, "foreign: not a regular file") if os.path.lexists(file) else None
        content = file.read_bytes()
    except FileNotFoundError:
        return None
    except OSError as error:
        return Problem(path, f"{artifacts.UNREADABLE}: {error.strerror}")
    reason = records.content_problem(file.name, content)
    if reason is not None:
        return Problem(path, reason)
    try:
        parquet = pq.ParquetFile(pa.BufferReader(content), page_checksum_verification=True)
        reason = records.schema_problem(table, parquet.schema_arrow)
        if reason is not None:
            return Problem(path, reason)
        columns = tuple(parquet.schema_arrow.names)
        hashed = layout.record_digest(file.name) is not None
        # a file that carries no hash in its name is believed only after all of it could be decoded
        return _facts(table, path, columns, parquet.read(None if not hashed else _wanted(table)))
    except (pa.ArrowException, OSError, ValueError) as error:
        return Problem(path, f"torn or foreign: {str(error).splitlines()[0]}")


def _wanted(table: Table) -> list[str]:
    """The columns that the index needs."""
    return [name for name in (table.key, "created_at", table.artifact) if name is not None]


def _facts(table: Table, path: str, columns: tuple[str, ...], data: Any) -> RecordFile:
    """What the index needs of a record file's rows."""
    if table.key is None:
        return RecordFile(path, columns, (), (), ())
    missing = [name for name in (table.key, "created_at") if data.column(name).null_count]
    if missing:
        raise ValueError(f"nulls in {missing[0]}")
    return RecordFile(
        path,
        columns,
        tuple(data.column(table.key).to_pylist()),
        tuple(data.column("created_at").cast(pa.int64()).to_pylist()),
        tuple(data.column(table.artifact).to_pylist()) if table.artifact else (),
    )
