"""What is known of one record file after reading it once: that it is good, and what it holds.

Its content must have the hash in its name, its footer must mark it as a record of its table. Ids and
times of small files are kept at once; of compacted ones they are read when somebody asks.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from stat import S_ISREG
from typing import Any, TypeVar

import pyarrow as pa
import pyarrow.parquet as pq

from lmc_sweep.store import layout, records
from lmc_sweep.store.directory import Stamp
from lmc_sweep.store.schema import Table

COMPACTION_KEY = b"lmc_sweep.compaction"
T = TypeVar("T")

IDS, TIMES = "id", "created_at"

_SMALL_BYTES = 4 << 20


@dataclass(frozen=True)
class Problem:
    """A file that is left out of every result, and why. Its items count as missing and are computed again.

    ``may_pass`` tells that the system could not read it just now: it is tried again at the next look.
    """

    path: str
    reason: str
    may_pass: bool = False


@dataclass(frozen=True)
class Generation:
    """What a compacted file says of the files that were written together with it.

    Attributes:
        id: The same in all of them.
        distinct: Whether no identity stands in them twice.
        parts: In the last of them, the names of the others; None elsewhere.
        replaces: In the last of them, the digests of the files whose rows they hold between them.
    """

    id: str
    distinct: bool
    parts: tuple[str, ...] | None = None
    replaces: frozenset[str] = frozenset()


@dataclass(frozen=True)
class RecordFile:
    """A good record file.

    ``facts`` holds the id and the time (microseconds since 1970, UTC) of every row, or None if they have
    not been read yet; ``artifacts`` are the paths that its rows name, each once.
    """

    path: str
    columns: tuple[str, ...]
    num_rows: int
    num_bytes: int
    artifacts: tuple[str, ...]
    generation: Generation | None
    facts: Any

    @property
    def digest(self) -> str | None:
        """What its name promises of its content."""
        return layout.record_digest(self.path.rpartition("/")[2])


def learn(root: Path, table: Table, path: str, stamp: Stamp) -> RecordFile | Problem | None:
    """What the file holds, or why it is set aside; None when it is gone."""
    if not path.endswith(".parquet"):
        return Problem(path, "foreign: records are Parquet files")
    if not S_ISREG(stamp[2]):
        return Problem(path, "foreign: not a regular file")
    try:
        return _believed(path, lambda: _read(root / path, table, path, stamp[0]))
    except FileNotFoundError:
        return None


def read_facts(root: Path, table: Table, path: str) -> Any:
    """Id and time of every row of a good file whose name carries its hash, or why they cannot be read."""

    def read() -> Any:
        with pq.ParquetFile(root / path) as parquet:
            return _facts(table, parquet)

    return _believed(path, read)


def read_artifacts(root: Path, table: Table, path: str) -> Any:
    """The artifact that every row of a good file names."""
    assert table.artifact is not None
    with pq.ParquetFile(root / path) as parquet:
        return parquet.read([table.artifact]).column(table.artifact)


def generation_metadata(generation: Generation) -> dict[bytes, str]:
    """The metadata of a compacted file, which ``learn`` reads back."""
    told: dict[str, Any] = {"generation": generation.id, "distinct": generation.distinct}
    if generation.parts is not None:
        told |= {"parts": list(generation.parts), "replaces": sorted(generation.replaces)}
    return {COMPACTION_KEY: json.dumps(told, separators=(",", ":"))}


def _believed(path: str, read: Callable[[], T]) -> T | Problem:
    """What reading a file gives, or why it is set aside; FileNotFoundError when it is gone."""
    try:
        return read()
    except FileNotFoundError:
        raise
    except (pa.ArrowException, ValueError, KeyError, RecursionError) as error:
        return Problem(path, f"torn or foreign: {_first_line(error)}")
    except OSError as error:
        if error.errno is None:  # Arrow reports a torn file so
            return Problem(path, f"torn or foreign: {_first_line(error)}")
        return Problem(path, f"cannot be read: {error.strerror}", may_pass=True)


def _read(file: Path, table: Table, path: str, size: int) -> RecordFile | Problem:
    """What a regular file holds, or why it is set aside."""
    hashed = layout.record_digest(file.name) is not None
    source: Any
    if size > _SMALL_BYTES and hashed:
        with file.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        reason, source = records.digest_problem(file.name, digest), file
    else:
        content = file.read_bytes()
        reason, source = records.content_problem(file.name, content), pa.BufferReader(content)
    if reason is not None:
        return Problem(path, reason)
    # pages carry checksums of their own, which add nothing where all of the file was hashed
    with pq.ParquetFile(source, page_checksum_verification=not hashed) as parquet:
        schema = parquet.schema_arrow
        reason = records.schema_problem(table, schema)
        if reason is not None:
            return Problem(path, reason)
        if not hashed:  # it is believed only after all of it could be decoded
            parquet.read()
        generation = _generation(parquet.metadata.metadata) if layout.is_compacted(file.name) else None
        return RecordFile(
            path,
            _shared(tuple(schema.names)),
            parquet.metadata.num_rows,
            size,
            _artifacts(table, parquet),
            generation,
            None if generation is not None else _facts(table, parquet),
        )


@lru_cache(maxsize=64)
def _shared(columns: tuple[str, ...]) -> tuple[str, ...]:
    """The same object for the same names: ten thousand files have the same columns."""
    return columns


def _facts(table: Table, parquet: Any) -> Any:
    """What is needed of the rows to find them again."""
    if table.key is None:
        return None
    data = parquet.read([table.key, TIMES], use_threads=False)
    for name in (table.key, TIMES):
        if data.column(name).null_count:
            raise ValueError(f"nulls in {name}")
    return pa.table({IDS: data.column(table.key), TIMES: data.column(TIMES).cast(pa.int64())})


def _artifacts(table: Table, parquet: Any) -> tuple[str, ...]:
    """The artifacts that the rows name, each once."""
    if table.artifact is None:
        return ()
    named = parquet.read([table.artifact], use_threads=False).column(0).unique().to_pylist()
    return tuple(path for path in named if path is not None)


def _generation(metadata: Any) -> Generation:
    """What compaction wrote into the metadata; ValueError where that cannot be."""
    told = json.loads((metadata or {}).get(COMPACTION_KEY, b""))
    if not isinstance(told, dict) or not isinstance(told.get("generation"), str):
        raise ValueError("it does not say with which files it was compacted")
    parts, replaces = told.get("parts"), told.get("replaces", [])
    if not _is_names(replaces) or not (parts is None or _is_names(parts)):
        raise ValueError("what it says of the files it was compacted with is not a list of names")
    return Generation(
        told["generation"],
        told.get("distinct") is True,
        None if parts is None else tuple(parts),
        frozenset(replaces),
    )


def _is_names(value: object) -> bool:
    """Whether a value from a file is a list of names."""
    return isinstance(value, list) and all(isinstance(name, str) for name in value)


def _first_line(error: Exception) -> str:
    """What an error says first."""
    return (str(error).splitlines() or [type(error).__name__])[0]
