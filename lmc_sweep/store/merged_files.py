"""Many record files written anew as few: sorted, checked row by row, and revealed together.

DuckDB sorts, on disk where the rows outgrow its memory; the files are written by the same hands as any
record. Nothing is revealed before it is certain that the new files hold exactly the rows of the old:
the sum of a hash over every row is taken while they are written and again from the files.
"""

from __future__ import annotations

import hashlib
import os
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lmc_sweep.errors import StoreError
from lmc_sweep.store import layout, records
from lmc_sweep.store.files import Files
from lmc_sweep.store.parquet_sql import todays_columns
from lmc_sweep.store.publish import reveal, stage
from lmc_sweep.store.record_files import Generation, generation_metadata
from lmc_sweep.store.schema import Table
from lmc_sweep.store.sorted_rows import HASHES, Sums, connected, sorted_rows
from lmc_sweep.store.sql_text import literals
from lmc_sweep.store.terms import Terms
from lmc_sweep.store.tiers import FULL_BYTES, FULL_ROWS, Merge

ROW_GROUP_ROWS = 25_000


def write(
    terms: Terms,
    table: Table,
    merge: Merge,
    replaces: frozenset[str],
    folder: Path,
    tell: Callable[[int], None],
) -> list[str]:
    """Paths, relative to the store, of the revealed files that hold the rows of the merge.

    Args:
        replaces: Digests of all files whose rows the new ones hold.
        folder: Where unfinished files may lie, inside the store: no reader looks there.
        tell: Called with the number of rows written so far.
    """
    terms.files.make_folder(folder)
    with _sorting(terms.files, table, merge, folder) as connection:
        sums = Sums()
        groups = sorted_rows(connection, terms.root, table, merge, ROW_GROUP_ROWS, sums, tell)
        staged = _stage(terms, table, merge, replaces, folder, groups)
        written = (sums.num_rows, sums.total)
        if sums.num_rows != merge.num_rows or _read_back(connection, table, staged) != written:
            raise StoreError(
                f"{table.name}: the merged files do not hold the rows of the {len(merge.files)} files that "
                "they were made of. Nothing was changed. Run lmc-sweep verify on the store, and report this."
            )
    _require_unchanged(terms.root, merge)
    for path, relative in staged.items():
        reveal(path, terms.root / relative, terms)
        if (terms.root / relative).exists():  # what is only a copy is not made here
            _forget(terms.root / relative)
    return list(staged.values())


@contextmanager
def _sorting(files: Files, table: Table, merge: Merge, folder: Path) -> Iterator[Any]:
    """A connection to a DuckDB that may spill into the folder; what goes wrong is told in one line."""
    import duckdb

    try:
        with connected(folder / "spill") as connection:
            yield connection
    except (duckdb.Error, pa.ArrowException) as error:
        if isinstance(error, duckdb.IOException):
            _require_unchanged(files.root, merge)
        told = (str(error).splitlines() or [type(error).__name__])[0]
        remedy = f"Free some memory, and space on the disk of {files.root}, then run the same command again"
        if isinstance(error, pa.ArrowException):  # rows that no writer of ours made
            remedy = f"lmc-sweep verify {files.uri} --repair sets the file aside that holds such rows"
        raise StoreError(
            f"{table.name}: its files cannot be merged: {told}. Nothing was changed. {remedy}."
        ) from error


def _stage(
    terms: Terms, table: Table, merge: Merge, replaces: frozenset[str], folder: Path, groups: Iterator[Any]
) -> dict[Path, str]:
    """The unfinished files, each with the path that it will have; the last tells of all."""
    generation, now = uuid.uuid4().hex, datetime.now(UTC)
    num_parts = -(-merge.num_rows // FULL_ROWS)
    rows_per_part = -(-merge.num_rows // num_parts)
    staged: dict[Path, str] = {}
    num_written = 0
    group = next(groups, None)
    while group is not None:
        sink = pa.BufferOutputStream()
        rows_here = 0
        with pq.ParquetWriter(sink, table.schema, compression="zstd", write_page_checksum=True) as writer:
            while group is not None and rows_here < rows_per_part and sink.tell() < FULL_BYTES:
                writer.write_table(group, row_group_size=ROW_GROUP_ROWS)
                rows_here += group.num_rows
                group = next(groups, None)
            parts = None if group is not None else tuple(Path(path).name for path in staged.values())
            told = Generation(generation, merge.distinct, parts, replaces)
            writer.add_key_value_metadata(generation_metadata(told))
        content = memoryview(sink.getvalue())
        digest = hashlib.sha256(content).hexdigest()
        # names sort as the parts do, so that of rows of one id and time the same one counts as before
        stamp = (now + timedelta(microseconds=len(staged))).strftime("%Y%m%dT%H%M%S%fZ")
        path = folder / f"part-{len(staged)}"
        relative = layout.record_path(table.name, stamp, digest, uuid.uuid4().hex[:8], compacted=True)
        stage(path, [content], terms)
        staged[path] = relative
        num_written += rows_here
    return staged


def _read_back(connection: Any, table: Table, staged: dict[Path, str]) -> tuple[int, int]:
    """Number of rows of the unfinished files, and the sum of their hashes, from the files."""
    for path, relative in staged.items():
        _forget(path)
        with path.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256").hexdigest()
        if records.digest_problem(Path(relative).name, digest) is not None:
            return -1, 0
    columns, names = ", ".join(todays_columns(table, table.by_name)), ", ".join(table.by_name)
    counted = connection.execute(
        f"SELECT count(*), sum(hash({names})::HUGEINT) % {HASHES} "
        f"FROM (SELECT {columns} FROM read_parquet({literals(map(str, staged))}))"
    ).fetchall()
    return counted[0][0], int(counted[0][1] or 0)


def _require_unchanged(root: Path, merge: Merge) -> None:
    """FileNotFoundError unless every merged file still has the content that its name promises.

    A file that was damaged since it was listed must not lend its rows a new and valid hash.
    """
    for file in merge.files:
        path = root / file.path
        with path.open("rb") as opened:
            digest = hashlib.file_digest(opened, "sha256").hexdigest()
        if records.digest_problem(path.name, digest) is not None:
            raise FileNotFoundError(f"{path}: was altered while it was merged")


def _forget(path: Path) -> None:
    """Lets the system drop its copy of a synced file, so that the next reader asks the disk."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_DONTNEED)
    except (OSError, AttributeError):
        pass  # advice
    finally:
        os.close(descriptor)
