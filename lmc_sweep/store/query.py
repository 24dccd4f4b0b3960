"""The guard of ``lmc-sweep query``: one SELECT over the store's tables, and nothing else.

Two checks on what DuckDB itself parsed, because one does not suffice: the statement's type refuses COPY,
ATTACH, PRAGMA, SET and the like, and the parse tree refuses data-changing CTEs, which DuckDB 2.0 counts
as SELECT (``WITH x AS (COPY ... TO 'file') FROM x`` writes the file). Files are closed by the connection.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from lmc_sweep.errors import StoreError
from lmc_sweep.store.schema import TABLES

_READING_NODES = {"SELECT_NODE", "SET_OPERATION_NODE", "RECURSIVE_CTE_NODE", "CTE_NODE"}


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
        raise StoreError(
            f"query: only SELECT is allowed, and this is {_ARTICLE.get(kind, kind)}. The store is read-only"
        )
    try:
        tree = json.loads(connection.execute("SELECT json_serialize_sql(?)", [query]).fetchall()[0][0])
        changing = sorted(set(_nodes(tree)) - _READING_NODES)
        if tree.get("error") or changing:
            what = changing[0].split("_")[0] if changing else str(tree.get("error_message"))
            raise StoreError(
                f"query: only SELECT is allowed, and a part of this is {what}. The store is read-only"
            )
        return connection.sql(query)
    except duckdb.Error as error:
        raise StoreError(f"query: {_explained(connection, query, error)}") from error


_ARTICLE = {
    "MULTI": "several in one, such as PIVOT; write it with GROUP BY and FILTER",
    "LOAD": "INSTALL or LOAD",
    "EXTENSION": "an extension's statement",
}


def _nodes(tree: Any) -> Iterator[str]:
    """The type of every query node in a parse tree."""
    if isinstance(tree, dict):
        node = tree.get("type")
        if isinstance(node, str) and node.endswith("_NODE"):
            yield node
        for value in tree.values():
            yield from _nodes(value)
    elif isinstance(tree, list):
        for value in tree:
            yield from _nodes(value)


def _explained(connection: Any, query: str, error: Exception) -> str:
    """The first lines of DuckDB's error and what the user could have named instead."""
    import duckdb

    text = _first_lines(error)
    if isinstance(error, duckdb.PermissionException):
        return f"{text}\nA query reads the store's tables alone: {', '.join(TABLES)}"
    if isinstance(error, duckdb.CatalogException):
        return f"{text}\nTables: {', '.join(TABLES)}"
    if isinstance(error, duckdb.BinderException):
        used = [name for name in TABLES if name in connection.get_table_names(query)]
        return "\n".join([text, *(f"Columns of {name}: {', '.join(TABLES[name].by_name)}" for name in used)])
    return text


def _first_lines(error: Exception) -> str:
    """DuckDB's message up to the copy of the query that it appends."""
    lines: list[str] = []
    for line in str(error).splitlines():
        if line.startswith("LINE ") or (lines and not line):
            break
        lines.append(line.strip())
    return " ".join(lines)
