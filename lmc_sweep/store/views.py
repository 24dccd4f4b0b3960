"""DuckDB views over the good record files: one per table, each id once.

The connection can open those files and nothing else: every path but theirs is closed before the first
query, and the configuration is locked.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmc_sweep.store.listing import Listing
from lmc_sweep.store.schema import TABLE_OF_KIND, TABLES, TIME, Column, Table

_SETTINGS: dict[str, Any] = {
    "autoinstall_known_extensions": False,
    "autoload_known_extensions": False,
    "python_enable_replacements": False,  # a name in a query never means a variable of the caller
    "temp_directory": "",  # the default would be a directory that queries may read and write
}


def connect(root: Path, listings: Mapping[str, Listing]) -> Any:
    """An in-memory DuckDB connection with a view per table, closed to all files but the listed ones."""
    import duckdb

    connection = duckdb.connect(config=_SETTINGS)
    paths = [str(root / path) for listing in listings.values() for path in sorted(listing.files)]
    connection.execute(f"SET allowed_paths = {_literals(paths)}")
    for name, table in TABLES.items():
        connection.execute(f"CREATE VIEW {name} AS {_view(root, table, listings)}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _view(root: Path, table: Table, listings: Mapping[str, Listing]) -> str:
    """The SELECT behind one table's view."""
    rows = _rows(root, listings[table.name])
    names = ", ".join(table.by_name)
    if table.name == "sweep_items":
        return f"""
            SELECT {names} FROM ({rows})
            QUALIFY plan_id = first_value(plan_id) OVER (PARTITION BY sweep ORDER BY created_at DESC, plan_id)
            AND row_number() OVER (PARTITION BY sweep, kind, item_id, plan_id ORDER BY created_at) = 1"""
    if table.name == "failures":
        return _open_failures(root, rows, names, listings)
    return f"SELECT {names} FROM ({_each_id_once(table, rows, listings[table.name])})"


def _rows(root: Path, listing: Listing) -> str:
    """SELECT of every row of the good files, with ``_file``, in the columns and types of today's schema."""
    columns = listing.table.columns
    if not listing.files:
        return f"SELECT {', '.join(map(_null, columns))}, NULL::VARCHAR AS _file WHERE false"
    present = set().union(*(file.columns for file in listing.files.values()))
    mixed = len({file.columns for file in listing.files.values()}) > 1
    chosen = ", ".join(_read(column) if column.name in present else _null(column) for column in columns)
    paths = _literals([str(root / path) for path in sorted(listing.files)])
    source = f"read_parquet({paths}, union_by_name = {str(mixed).lower()}, filename = '_file')"
    return f"SELECT {chosen}, _file FROM {source}{_without_broken(listing)}"


def _each_id_once(table: Table, rows: str, listing: Listing) -> str:
    """The rows, or where ids repeat the smallest (created_at, file) of each."""
    if (
        not listing.has_duplicates
    ):  # known from the index; the window would cost more than the rest of a query
        return rows
    return f"{rows} QUALIFY row_number() OVER (PARTITION BY {table.key} ORDER BY created_at, _file) = 1"


def _without_broken(listing: Listing) -> str:
    """A WHERE clause that leaves out rows whose artifact is missing or torn."""
    if not listing.broken:
        return ""
    artifact = listing.table.artifact
    return f" WHERE {artifact} IS NULL OR NOT list_contains({_literals(sorted(listing.broken))}, {artifact})"


def _open_failures(root: Path, rows: str, names: str, listings: Mapping[str, Listing]) -> str:
    """Failures with those of their items that still have no result, and none without such items."""
    done = " UNION ALL ".join(
        f"SELECT '{kind}' AS kind, {table.key} AS item_id FROM ({_rows(root, listings[table.name])})"
        for kind, table in TABLE_OF_KIND.items()
    )
    shown = names.replace("item_ids", "open_ids AS item_ids")
    return f"""
        WITH failed AS ({_each_id_once(TABLES["failures"], rows, listings["failures"])}),
        items AS (
            SELECT failure_id, kind, unnest(item_ids) AS item_id, generate_subscripts(item_ids, 1) AS position
            FROM failed
        ),
        missing AS (
            SELECT failure_id, list(item_id ORDER BY position) AS open_ids
            FROM items ANTI JOIN ({done}) USING (kind, item_id) GROUP BY failure_id
        )
        SELECT {shown} FROM failed JOIN missing USING (failure_id)"""


def _read(column: Column) -> str:
    """A column as the views show it."""
    if column.type == TIME:  # a TIMESTAMP in UTC: DuckDB's zoned type needs pytz to reach Python
        return f"make_timestamp(epoch_us({column.name})) AS {column.name}"
    return column.name


def _null(column: Column) -> str:
    """A column that no file has yet."""
    return f"NULL::{column.sql_type} AS {column.name}"


def _literals(values: list[str]) -> str:
    """A list of SQL string literals."""
    quoted = ("'" + value.replace("'", "''") + "'" for value in values)
    return f"[{', '.join(quoted)}]" if values else "[]::VARCHAR[]"
