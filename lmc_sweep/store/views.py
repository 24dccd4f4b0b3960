"""DuckDB views over the good record files: one per table, each id once.

The connection can open those files and nothing else: every path but theirs is closed before the first
query, and the configuration is locked.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lmc_sweep.store.listing import Listing
from lmc_sweep.store.parquet_sql import null_column, todays_columns
from lmc_sweep.store.schema import TABLE_OF_KIND, TABLES, Table
from lmc_sweep.store.sql_text import literals

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
    connection.execute("SET http_proxy = ''")  # else the variable HTTP_PROXY, and what password it holds
    paths = [str(root / path) for listing in listings.values() for path in sorted(listing.files)]
    connection.execute(f"SET allowed_paths = {literals(paths)}")
    for name, listing in listings.items():
        _hide(connection, root, name, listing.hidden())
    for name, table in TABLES.items():
        connection.execute(f"CREATE VIEW {name} AS {_view(root, table, listings)}")
    connection.execute("SET enable_external_access = false")
    connection.execute("SET lock_configuration = true")
    return connection


def _hide(connection: Any, root: Path, name: str, hidden: Mapping[str, list[int]]) -> None:
    """Makes the table of the rows that a view leaves out, if there are any."""
    if not hidden:
        return
    import pyarrow as pa

    files = [str(root / path) for path, rows in hidden.items() for _ in rows]
    numbers = [row for rows in hidden.values() for row in rows]
    connection.register("hidden_rows", pa.table({"_file": files, "_row": pa.array(numbers, pa.int64())}))
    connection.execute(f"CREATE TABLE {_hidden_name(name)} AS SELECT * FROM hidden_rows")
    connection.unregister("hidden_rows")


def _hidden_name(table: str) -> str:
    """Name of the table of the rows that a view leaves out."""
    return f"hidden_{table}"


def _view(root: Path, table: Table, listings: Mapping[str, Listing]) -> str:
    """The SELECT behind one table's view."""
    rows = _rows(root, listings[table.name])
    names = ", ".join(table.by_name)
    if table.name == "sweep_items":
        return f"""
            WITH listed AS ({rows}),
            newest AS (SELECT sweep, min(plan_id) AS plan_id FROM listed
                JOIN (SELECT sweep, max(created_at) AS created_at FROM listed GROUP BY sweep)
                USING (sweep, created_at) GROUP BY sweep)
            SELECT sweep, kind, item_id, plan_id, max(created_at) AS created_at,
                arg_max(environment_id, created_at) AS environment_id
            FROM listed SEMI JOIN newest USING (sweep, plan_id) GROUP BY sweep, kind, item_id, plan_id"""
    if table.name == "failures":
        return _open_failures(root, rows, names, listings)
    return f"SELECT {names} FROM ({rows})"


def _rows(root: Path, listing: Listing) -> str:
    """SELECT of every row that counts, in the columns and types of today's schema.

    Files of one schema version are read together, for DuckDB need not open each of them to learn its
    columns then.
    """
    columns = listing.table.columns
    if not listing.files:
        return f"SELECT {', '.join(map(null_column, columns))} WHERE false"
    alike: dict[tuple[str, ...], list[str]] = {}
    for path, file in listing.files.items():
        alike.setdefault(file.columns, []).append(path)
    hidden = listing.hidden()
    return " UNION ALL ".join(
        _rows_of(root, listing.table, present, paths, not hidden.keys().isdisjoint(paths))
        for present, paths in alike.items()
    )


def _rows_of(root: Path, table: Table, present: tuple[str, ...], paths: list[str], hides: bool) -> str:
    """SELECT of the rows of files that have the same columns."""
    chosen = ", ".join(todays_columns(table, present))
    source = f"read_parquet({literals([str(root / path) for path in sorted(paths)])}"
    if not hides:
        return f"SELECT {chosen} FROM {source})"
    return f"""SELECT {chosen} FROM {source}, filename = '_file', file_row_number = true) AS found
        WHERE NOT EXISTS (SELECT 1 FROM {_hidden_name(table.name)} AS hidden
            WHERE hidden._file = found._file AND hidden._row = found.file_row_number)"""


def _open_failures(root: Path, rows: str, names: str, listings: Mapping[str, Listing]) -> str:
    """Failures with those of their items that still have no result, and none without such items."""
    if not listings["failures"].files:
        return f"SELECT {names} FROM ({rows})"
    done = " UNION ALL ".join(
        f"SELECT '{kind}' AS kind, {table.key} AS item_id FROM ({_rows(root, listings[table.name])})"
        for kind, table in TABLE_OF_KIND.items()
    )
    shown = names.replace("item_ids", "open_ids AS item_ids")
    return f"""
        WITH failed AS ({rows}),
        items AS (
            SELECT failure_id, kind, unnest(item_ids) AS item_id, generate_subscripts(item_ids, 1) AS position
            FROM failed
        ),
        missing AS (
            SELECT failure_id, list(item_id ORDER BY position) AS open_ids
            FROM items ANTI JOIN ({done}) USING (kind, item_id) GROUP BY failure_id
        )
        SELECT {shown} FROM failed JOIN missing USING (failure_id)"""
