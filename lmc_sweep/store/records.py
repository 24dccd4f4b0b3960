"""Rows become one record file, checked against the schema; a record file becomes rows again.

The name of a record file carries the hash of its content, so that a reader knows a torn or altered
file by reading it once, before a single value is believed.
"""

from __future__ import annotations

import hashlib
import math
import uuid
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from lmc_sweep.errors import StoreError
from lmc_sweep.store import layout
from lmc_sweep.store.publish import publish
from lmc_sweep.store.schema import (
    REAL,
    REALS,
    SCHEMA_VERSION,
    TABLE_KEY,
    TEXT,
    TEXTS,
    VERSION_KEY,
    Column,
    Table,
)
from lmc_sweep.store.terms import Terms

Row = Mapping[str, Any]


def write(table: Table, rows: Sequence[Row], now: datetime, terms: Terms) -> str:
    """Path, relative to the store, of the one file that makes these rows exist."""
    content = encode(table, rows)
    digest = hashlib.sha256(content).hexdigest()
    stamp = now.astimezone(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    relative = layout.record_path(table.name, stamp, digest, uuid.uuid4().hex[:8])
    publish(terms.root / relative, [content], terms=terms)
    return relative


def encode(table: Table, rows: Sequence[Row]) -> bytes:
    """The rows as a Parquet file in memory; StoreError names the column that does not fit the schema.

    Numbers that are not finite become null: SQL then leaves them out of averages and comparisons.
    """
    if not rows:
        raise StoreError(f"{table.name}: a commit needs at least one row")
    unknown = {name for row in rows for name in row} - set(table.by_name)
    if unknown:
        raise StoreError(
            f"{table.name}: unknown columns {sorted(unknown)}. Known columns: {list(table.by_name)}"
        )
    arrays = [_array(table, column, [row.get(column.name) for row in rows]) for column in table.columns]
    sink = pa.BufferOutputStream()
    pq.write_table(
        pa.Table.from_arrays(arrays, schema=table.schema), sink, compression="zstd", write_page_checksum=True
    )
    return sink.getvalue().to_pybytes()  # type: ignore[no-any-return]


def _array(table: Table, column: Column, values: list[Any]) -> Any:
    """One column of the batch; StoreError where a value is missing or has another type."""
    if column.type == REAL:
        values = [_finite(value) for value in values]
    elif column.type == REALS:
        values = [None if value is None else [_finite(entry) for entry in value] for value in values]
    elif column.name == table.artifact:
        outside = [value for value in values if value is not None and not layout.inside(value)]
        if outside:
            raise StoreError(
                f"{table.name}.{column.name}: {outside[0]!r} is not the path of an artifact in the store"
            )
    if not column.nullable and any(value is None for value in values):
        row = next(index for index, value in enumerate(values) if value is None)
        raise StoreError(
            f"{table.name}.{column.name}: null in row {row} of the commit, where a value is required"
        )
    try:
        array = pa.array(values, type=column.type)
    except (pa.ArrowException, TypeError, ValueError, OverflowError) as error:
        raise StoreError(f"{table.name}.{column.name}: values must be {column.sql_type}: {error}") from error
    if column.type in (TEXT, TEXTS) and any(isinstance(value, bytes) for value in values):
        raise StoreError(f"{table.name}.{column.name}: values must be text, not bytes")
    return array


def _finite(value: Any) -> Any:
    """The number, or None for NaN and infinities."""
    return None if isinstance(value, float) and not math.isfinite(value) else value


def content_problem(name: str, content: bytes) -> str | None:
    """Why a file's bytes are not those written under this name; None when they are, or no hash tells."""
    if not content:
        return "is empty"
    return digest_problem(name, hashlib.sha256(content).hexdigest())


def digest_problem(name: str, digest: str) -> str | None:
    """Why a content with this SHA-256 in hex is not the one written under this name; None when it may be."""
    promised = layout.record_digest(name)
    if promised is None or digest[:32] == promised:
        return None
    return "torn or altered: its content does not have the hash in its name"


def schema_problem(table: Table, schema: Any) -> str | None:
    """Why a Parquet file with this schema is no record of the table; None when it is one."""
    metadata = schema.metadata or {}
    version = metadata.get(VERSION_KEY, b"").decode(errors="replace")
    if not version.isdigit() or metadata.get(TABLE_KEY) != table.name.encode():
        return f"foreign: it is not marked as a record of table {table.name}"
    if int(version) > SCHEMA_VERSION:
        return f"schema version {version}; this program reads up to {SCHEMA_VERSION}: update the program"
    found = {field.name: field.type for field in schema}
    wrong = [name for name, column in table.by_name.items() if found.get(name, column.type) != column.type]
    if int(version) == SCHEMA_VERSION:
        wrong += sorted(found.keys() ^ table.by_name.keys())
    else:  # later versions only added columns that may be null
        wrong += [name for name, column in table.by_name.items() if name not in found and not column.nullable]
    if len(found) != len(schema):
        wrong += sorted({name for name in schema.names if schema.names.count(name) > 1})
    return f"foreign: columns {wrong} are not those of table {table.name}" if wrong else None
