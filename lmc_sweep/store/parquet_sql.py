"""Pieces of SQL that read record files of any schema version in the columns and types of today's."""

from __future__ import annotations

from collections.abc import Collection

from lmc_sweep.store.schema import TIME, Column, Table


def todays_columns(table: Table, present: Collection[str]) -> list[str]:
    """The table's columns as a SELECT list over files that hold the columns ``present``."""
    return [_shown(column) if column.name in present else null_column(column) for column in table.columns]


def null_column(column: Column) -> str:
    """A column that no file has yet."""
    return f"NULL::{column.sql_type} AS {column.name}"


def _shown(column: Column) -> str:
    """A column as the views show it."""
    if column.type == TIME:  # a TIMESTAMP in UTC: DuckDB's zoned type needs pytz to reach Python
        return f"make_timestamp(epoch_us({column.name})) AS {column.name}"
    return column.name
