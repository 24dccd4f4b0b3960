"""The rows of a merge in their order, a piece at a time, however many there are.

A cell's rows lie together. The first column of the order is counted first, and divides the rows into
passes of half a million at most, each of which DuckDB sorts in memory.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa

from lmc_sweep.store.parquet_sql import todays_columns
from lmc_sweep.store.schema import Table
from lmc_sweep.store.sql_text import literal, literals
from lmc_sweep.store.tiers import Merge

HASHES = 1 << 64
PASS_ROWS = 500_000

_LEAST_MEMORY_BYTES, _MOST_MEMORY_BYTES = 512_000_000, 2_000_000_000
_MOST_THREADS = 4


@dataclass
class Sums:
    """What has been read: rows, and the sum of their hashes modulo 2^64."""

    num_rows: int = 0
    total: int = 0


def connected(spill: Path) -> Any:
    """A DuckDB in memory with a quarter of this machine's, within limits, that spills into a folder."""
    import duckdb

    quarter = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 4
    memory_bytes = max(_LEAST_MEMORY_BYTES, min(quarter, _MOST_MEMORY_BYTES))
    return duckdb.connect(
        config={
            "temp_directory": str(spill),
            "memory_limit": f"{memory_bytes}B",
            "threads": min(_MOST_THREADS, os.cpu_count() or 1),
        }
    )


def sorted_rows(
    connection: Any,
    root: Path,
    table: Table,
    merge: Merge,
    rows_at_once: int,
    sums: Sums,
    tell: Callable[[int], None],
) -> Iterator[Any]:
    """The rows that stay, as Arrow tables of ``rows_at_once`` rows, the last one of fewer.

    Args:
        sums: What was read so far is added here.
        tell: Called with the number of rows read so far.
    """
    source = _source(connection, root, table, merge)
    names = ", ".join(table.by_name)
    order = [*_order(table), "created_at", "_file", "_row"]
    waiting: list[Any] = []
    for first, last in _passes(connection, source, order[0], merge.num_rows):
        relation = connection.sql(
            f"SELECT {names}, hash({names}) AS _hash FROM {source} "
            f"WHERE {order[0]} BETWEEN {literal(first)} AND {literal(last)} ORDER BY {', '.join(order)}"
        )
        for batch in relation.to_arrow_reader(rows_at_once):
            waiting.append(_in_schema(table, batch))
            hashes = batch.column(batch.schema.get_field_index("_hash")).to_numpy(zero_copy_only=False)
            sums.num_rows += batch.num_rows
            sums.total = (sums.total + int(hashes.astype(np.uint64).sum(dtype=np.uint64))) % HASHES
            while sum(piece.num_rows for piece in waiting) >= rows_at_once:
                joined = pa.concat_tables(waiting)
                yield joined.slice(0, rows_at_once).combine_chunks()
                waiting = [joined.slice(rows_at_once)]
            tell(sums.num_rows)
    rest = pa.concat_tables(waiting).combine_chunks()
    if rest.num_rows:
        yield rest


def _source(connection: Any, root: Path, table: Table, merge: Merge) -> str:
    """What stands behind FROM: all rows that stay, in today's columns, each with its file and row."""
    dropped = [(str(root / path), row) for path, rows in merge.dropped.items() for row in rows]
    files, numbers = [file for file, _ in dropped], [row for _, row in dropped]
    connection.register(
        "dropped", pa.table({"_file": pa.array(files, pa.string()), "_row": pa.array(numbers, pa.int64())})
    )
    alike: dict[tuple[str, ...], list[str]] = {}
    for file in merge.files:
        alike.setdefault(file.columns, []).append(str(root / file.path))
    rows = " UNION ALL ".join(
        f"""SELECT {", ".join(todays_columns(table, present))}, _file, file_row_number AS _row
        FROM read_parquet({literals(paths)}, filename = '_file', file_row_number = true)"""
        for present, paths in alike.items()
    )
    return f"({rows})" + (" ANTI JOIN dropped USING (_file, _row)" if dropped else "")


def _passes(connection: Any, source: str, column: str, num_rows: int) -> list[tuple[Any, Any]]:
    """Ranges of the column, first and last value, that divide the rows into passes, in order."""
    if num_rows <= PASS_ROWS:
        return connection.execute(f"SELECT min({column}), max({column}) FROM {source}").fetchall()  # type: ignore[no-any-return]
    counted = connection.execute(
        f"SELECT {column}, count(*) FROM {source} GROUP BY {column} ORDER BY {column}"
    ).fetchall()
    passes: list[tuple[Any, Any]] = []
    waiting: list[Any] = []
    size = 0
    for value, count in counted:
        if waiting and size + count > PASS_ROWS:
            passes.append((waiting[0], waiting[-1]))
            waiting, size = [], 0
        waiting.append(value)
        size += count
    return [*passes, (waiting[0], waiting[-1])]


def _order(table: Table) -> list[str]:
    """The columns that rows are sorted by, so that queries by cell skip the rest."""
    if table.key is None:
        return ["sweep", "plan_id", "kind", "item_id"]
    names = ("cell_id", "world", "method", table.key)
    return [name for name in names if name in table.by_name]


def _in_schema(table: Table, batch: Any) -> Any:
    """A batch in the types of the table's own schema; ArrowInvalid where a value is missing."""
    columns = [batch.column(index).cast(field.type) for index, field in enumerate(table.schema)]
    for column, field in zip(columns, table.schema, strict=True):
        if column.null_count and not field.nullable:  # Arrow's own writer lets nulls of lists pass
            raise pa.ArrowInvalid(f"nulls in {field.name}, where a value is required")
    return pa.Table.from_arrays(columns, schema=table.schema)
