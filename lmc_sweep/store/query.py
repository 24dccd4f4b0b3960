"""The guard of ``lmc-sweep query``: one SELECT over the store's tables, and nothing else.

DuckDB's own parser is asked twice, because once does not suffice: the statement's type refuses COPY,
ATTACH, PRAGMA, SET and the like, and the parse tree refuses what DuckDB 2.0 still counts as SELECT:
data-changing CTEs (``WITH x AS (COPY ... TO 'file') FROM x`` writes the file) and table functions that
open files or run SQL given as text. The connection, besides, can open the record files alone.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from lmc_sweep.errors import StoreError
from lmc_sweep.store.schema import TABLES

_READING_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}
_TABLE_FUNCTIONS = {
    "duckdb_columns",
    "duckdb_functions",
    "duckdb_settings",
    "duckdb_tables",
    "duckdb_types",
    "duckdb_views",
    "generate_series",
    "json_each",
    "json_tree",
    "pragma_table_info",
    "pragma_version",
    "range",
    "repeat",
    "repeat_row",
    "summary",
    "unnest",
}
_NAMES = {
    "MULTI": "several in one, as PIVOT is (write it with GROUP BY and FILTER)",
    "LOAD": "INSTALL or LOAD",
}


def guarded(connection: Any, query: str) -> Any:
    """The relation of one SELECT; StoreError says what else the text is, or what is wrong with it."""
    import duckdb

    try:
        statements = connection.extract_statements(query)
    except duckdb.Error as error:
        raise StoreError(f"query: {_first_lines(error)}") from error
    if len(statements) != 1:
        raise StoreError(f"query: one SELECT statement is expected, and the text holds {len(statements)}")
    kind = statements[0].type.name
    if kind != "SELECT":
        raise _only_select(f"this is {_NAMES.get(kind, kind)}")
    tree = _parse_tree(connection, query)
    _check(tree)
    try:
        return connection.sql(query)
    except duckdb.Error as error:
        raise StoreError(f"query: {_explained(error, tree)}") from error


def answer(connection: Any, query: str) -> Any:
    """The Arrow table that one SELECT answers; StoreError also for what fails while it runs."""
    import duckdb

    relation = guarded(connection, query)
    try:
        return relation.to_arrow_table()
    except duckdb.Error as error:
        raise StoreError(f"query: {_first_lines(error)}") from error


def _parse_tree(connection: Any, query: str) -> Any:
    """DuckDB's parse tree of a SELECT, as plain values."""
    tree = json.loads(connection.execute("SELECT json_serialize_sql(?)", [query]).fetchall()[0][0])
    if tree["error"]:
        raise _only_select(f"of this DuckDB says: {tree['error_message']}")
    return tree


def _check(tree: Any) -> None:
    """Raises StoreError where a part of a parse tree could do more than read the tables."""
    for node in _nodes(tree):
        kind = node["type"]
        if kind.endswith("_NODE") and kind not in _READING_NODES:
            raise _only_select(f"a part of this is {kind.split('_')[0]}")
        if (
            kind == "TABLE_FUNCTION"
            and (name := node["function"]["function_name"].lower()) not in _TABLE_FUNCTIONS
        ):
            raise StoreError(
                f"query: {name}() is not allowed: a query reads the store's own tables. "
                f"Tables: {', '.join(TABLES)}. Functions: {', '.join(sorted(_TABLE_FUNCTIONS))}."
            )


def _nodes(tree: Any) -> Iterator[dict[str, Any]]:
    """Every typed node of a parse tree."""
    if isinstance(tree, dict):
        if isinstance(tree.get("type"), str):
            yield tree
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)


def _only_select(what: str) -> StoreError:
    """The refusal of a statement."""
    return StoreError(f"query: only SELECT is allowed, and {what}. The store is read-only here.")


def _explained(error: Exception, tree: Any) -> str:
    """The first lines of DuckDB's error, and what the user could have named instead."""
    import duckdb

    text = _first_lines(error)
    if isinstance(error, duckdb.CatalogException | duckdb.PermissionException):
        return f"{text}\nTables: {', '.join(TABLES)}"
    if isinstance(error, duckdb.BinderException):
        read = {node["table_name"].lower() for node in _nodes(tree) if node["type"] == "BASE_TABLE"}
        known = (f"Columns of {name}: {', '.join(TABLES[name].by_name)}" for name in TABLES if name in read)
        return "\n".join([text, *known])
    return text


def _first_lines(error: Exception) -> str:
    """DuckDB's message up to the copy of the query that it appends."""
    lines: list[str] = []
    for line in str(error).splitlines():
        if line.startswith("LINE ") or (lines and not line):
            break
        lines.append(line.strip())
    return " ".join(lines)
