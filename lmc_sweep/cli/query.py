"""``lmc-sweep query``."""

from __future__ import annotations

import math
import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lmc_sweep.cli.arguments import StorePath
from lmc_sweep.errors import SweepError

if TYPE_CHECKING:
    import pyarrow as pa

SHOWN_ROWS = 200


class Format(StrEnum):
    """How a result is written."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("query")(query_command)


def query_command(
    store: StorePath,
    sql: Annotated[str | None, typer.Argument(metavar="SQL", help="One SELECT statement.")] = None,
    format_: Annotated[Format, typer.Option("--format", help="How the result is written.")] = Format.table,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write there instead of standard output.")
    ] = None,
) -> None:
    """Query the tables of a store with SQL (DuckDB, read-only); without SQL, list tables and columns.

    The store may be in use: a query sees every result that was finished when it started.

      lmc-sweep query runs/quickstart "SELECT width, world, method, avg(loss_barrier) AS barrier
      FROM barriers WHERE split = 'train' GROUP BY ALL ORDER BY ALL"
    """
    from lmc_sweep.cli.console import console, say
    from lmc_sweep.store.store import Store

    opened = Store(store)
    for problem in opened.problems():
        say(console(), f"left out: {problem.path}: {problem.reason}")
    if sql is None:
        _list_tables()
        return
    _write(opened.answer(sql), format_, output)


def _list_tables() -> None:
    from lmc_sweep.store.schema import TABLES

    for name, listed in TABLES.items():
        typer.echo(name)
        for column in listed.columns:
            unit = f", {column.unit}" if column.unit not in ("", "1") else ""
            typer.echo(f"  {column.name:24} {column.sql_type:12} {column.meaning}{unit}")


def _write(result: pa.Table, format_: Format, output: Path | None) -> None:
    """Writes the result; files are replaced atomically."""
    import io

    if format_ is Format.parquet and output is None:
        raise SweepError("--format parquet: give --output FILE; it is not text")
    buffer = io.BytesIO()
    if format_ is Format.parquet:
        import pyarrow.parquet as pq

        pq.write_table(result, buffer)
    elif format_ is Format.csv:
        buffer.write(_csv(result).encode())
    elif format_ is Format.json:
        buffer.write(_json(result).encode())
    else:
        buffer.write(_table(result, None if output else SHOWN_ROWS).encode())
    if output is None:
        sys.stdout.buffer.write(buffer.getvalue())
        sys.stdout.buffer.flush()
        return
    from lmc_sweep.store.publish import publish

    publish(output, [buffer.getvalue()], replace=True)


def _rows(result: pa.Table) -> list[list[Any]]:
    columns = [column.to_pylist() for column in result.columns]
    return [list(row) for row in zip(*columns, strict=True)]


def _csv(result: pa.Table) -> str:
    import csv
    import io
    import json

    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(result.column_names)
    for row in _rows(result):
        writer.writerow(json.dumps(v, default=str) if isinstance(v, list | dict) else v for v in row)
    return text.getvalue()


def _json(result: pa.Table) -> str:
    import json

    named = [dict(zip(result.column_names, row, strict=True)) for row in _rows(result)]
    return json.dumps([_without_nan(row) for row in named], default=str, indent=1, allow_nan=False) + "\n"


def _without_nan(value: Any) -> Any:
    """The value with null for numbers that JSON does not know."""
    if isinstance(value, dict):
        return {key: _without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [_without_nan(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _table(result: pa.Table, limit: int | None) -> str:
    """Aligned columns, numbers to six digits."""
    from rich.console import Console

    from lmc_sweep.cli.console import table

    rows = _rows(result.slice(0, limit) if limit else result)
    made = table("", result.column_names, [[_cell(value) for value in row] for row in rows])
    out = Console(width=10_000, highlight=False, no_color=True)
    with out.capture() as captured:
        out.print(made)
    text = "\n".join(line.rstrip() for line in captured.get().splitlines()) + "\n"
    if limit and result.num_rows > limit:
        text += f"... {result.num_rows - limit} more rows; --format csv writes all\n"
    return text


def _cell(value: Any) -> str:
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list):
        return "[" + ", ".join(_cell(entry) for entry in value) + "]"
    return "" if value is None else str(value)
