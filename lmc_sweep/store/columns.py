"""What columns and tables of a store are made of: types, units, and how a table becomes a Parquet schema."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import pyarrow as pa

SCHEMA_VERSION = 6
VERSION_KEY = b"lmc_sweep.schema_version"
TABLE_KEY = b"lmc_sweep.table"

TEXT = pa.string()
COUNT = pa.int64()
REAL = pa.float64()
FLAG = pa.bool_()
TIME = pa.timestamp("us", tz="UTC")
TEXTS = pa.list_(TEXT)
REALS = pa.list_(REAL)
COUNTS = pa.list_(COUNT)

SQL_TYPES: dict[Any, str] = {
    TEXT: "VARCHAR",
    COUNT: "BIGINT",
    REAL: "DOUBLE",
    FLAG: "BOOLEAN",
    TIME: "TIMESTAMP",
    TEXTS: "VARCHAR[]",
    REALS: "DOUBLE[]",
    COUNTS: "BIGINT[]",
}


@dataclass(frozen=True)
class Column:
    """One column; ``unit`` is empty for names and other text."""

    name: str
    type: Any
    meaning: str
    unit: str = ""
    nullable: bool = False

    @property
    def sql_type(self) -> str:
        """The type that a DuckDB view shows."""
        return SQL_TYPES[self.type]


@dataclass(frozen=True)
class Table:
    """One table: its columns in order, which of them identifies a row, which of them names an artifact."""

    name: str
    columns: tuple[Column, ...]
    key: str | None = None
    artifact: str | None = None
    kind: str | None = None

    @cached_property
    def by_name(self) -> Mapping[str, Column]:
        """The columns by name, in order."""
        return {column.name: column for column in self.columns}

    @cached_property
    def schema(self) -> Any:
        """The schema of this table's files: units in the fields' metadata, version in the file's."""
        fields = [
            pa.field(column.name, column.type, nullable=column.nullable, metadata={"unit": column.unit})
            for column in self.columns
        ]
        return pa.schema(fields, metadata={VERSION_KEY: str(SCHEMA_VERSION), TABLE_KEY: self.name})


def text(name: str, meaning: str, *, nullable: bool = False) -> Column:
    """A name, a path, a piece of JSON."""
    return Column(name, TEXT, meaning, nullable=nullable)


def count(name: str, meaning: str, unit: str = "1", *, nullable: bool = False) -> Column:
    """A whole number."""
    return Column(name, COUNT, meaning, unit, nullable)


def real(name: str, meaning: str, unit: str = "1", *, nullable: bool = True) -> Column:
    """A number; null where it could not be measured."""
    return Column(name, REAL, meaning, unit, nullable)


def flag(name: str, meaning: str, *, nullable: bool = False) -> Column:
    """Whether something is so; null where that could not be told."""
    return Column(name, FLAG, meaning, "", nullable)


CREATED_AT = Column("created_at", TIME, "when the record was written", "UTC")
ENVIRONMENT = text("environment_id", "environments/<id>.json: code, packages, hardware that computed it")
"""The two that every table has."""
