"""``lmc-sweep compare``."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lmc_sweep.cli.arguments import At, Quantity, StorePath, SweepName, TableFormat
from lmc_sweep.errors import SweepError

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

SHOWN_CELLS = 30
# Curves of whole networks at the end of training, in the two worlds that are compared.
COMPARED = "layers IS NULL AND save_at IS NULL AND world IN ('real', 'model')"
WATCH = "lmc-sweep status tells what is still to run"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("compare")(compare_command)


def compare_command(
    store: StorePath,
    sweep: SweepName = None,
    quantity: Annotated[
        Quantity, typer.Option("--quantity", help="Barriers of the loss (nats) or of the error (fraction).")
    ] = Quantity.loss,
    at: Annotated[
        At, typer.Option("--at", help="The largest height over all alphas, or the height at 1/2.")
    ] = At.supremum,
    split: Annotated[
        str | None, typer.Option("--split", metavar="NAME", help="Examples that were measured; default: all.")
    ] = None,
    margin: Annotated[
        str,
        typer.Option(
            "--margin",
            metavar="SIZE",
            help="Largest difference of means that counts as none: 0.02, in units of the barrier, or 10%, of "
            "the mean barrier before search.",
        ),
    ] = "10%",
    seed: Annotated[int, typer.Option("--seed", help="Of the draws of intervals and p-values.")] = 0,
    format_: Annotated[
        TableFormat, typer.Option("--format", help="How the result is written.")
    ] = TableFormat.table,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write there instead of standard output.")
    ] = None,
) -> None:
    """Compare barriers of the real world with those of our model, with intervals and tests.

      lmc-sweep compare runs/quickstart --quantity error --at midpoint

    One row for each method, split and correction over all cells, and one for each cell: difference of means,
    equivalence, distances of distributions, correlations over cells, beside what they are between halves of
    the real world. What the numbers mean, and what they cannot show: docs/statistics.md.
    """
    from lmc_sweep.analysis.margins import margin_from
    from lmc_sweep.cli.console import console, say
    from lmc_sweep.store.store import Store

    allowed = margin_from(margin)
    opened = Store(store)
    rows, unfinished = _rows(opened, sweep, quantity, at, split)

    from lmc_sweep.analysis.similarity import similarity

    found = similarity(rows, allowed, seed, quantity=quantity.value)
    out = console()
    for problem in opened.problems():
        say(out, f"left out: {problem.path}: {problem.reason}")
    for note in (*unfinished, *found.missing):
        say(out, note)
    if not any(one.num_cells or one.num_solved_cells for one in found.overall):
        raise SweepError(
            f"{store}: nothing to compare: no cell has two independent pairs in each world. {WATCH}"
        )
    text = _text(found, format_, None if output else SHOWN_CELLS)
    if format_ is TableFormat.table:
        unit = "nats" if quantity is Quantity.loss else "fraction"
        height = "largest over all alphas" if at is At.supremum else "at alpha 1/2"
        text = f"Barriers of the {quantity} ({unit}), {height}; margin {margin}\n\n{text}"
    _write(text, output)


def _rows(
    store: Store, sweep: str | None, quantity: Quantity, at: At, split: str | None
) -> tuple[list[Any], list[str]]:
    """Rows as ``similarity`` takes them, and what of the sweep has not been measured."""
    from lmc_sweep.analysis.world_pairs import COLUMNS

    if sweep is not None and sweep not in store.sweeps():
        known = ", ".join(store.sweeps()) or "none"
        raise SweepError(f"{store.uri}: no sweep {sweep!r} here. Known sweeps: {known}")
    column = f"{quantity}_barrier" if at is At.supremum else f"{quantity}_midpoint_barrier"
    asked = ", ".join(("barrier_id", *COLUMNS, f"{column} AS compared"))
    rows = store.barriers().filter(COMPARED).project(asked).fetchall()
    if not rows:
        raise SweepError(f"{store.uri}: no barriers of worlds real and model. {WATCH}")
    unfinished = []
    if sweep is not None:
        items = store.item_ids(sweep, "barrier")
        measured = items & store.ids("barrier")
        if len(measured) < len(items):
            unfinished.append(
                f"{len(items) - len(measured)} of the sweep's {len(items)} barriers are not measured yet"
            )
        rows = [row for row in rows if row[0] in items]
        if not rows:
            raise SweepError(f"{store.uri}: no barriers of sweep {sweep} in worlds real and model. {WATCH}")
    place = 1 + COLUMNS.index("split")
    if split is not None:
        known = ", ".join(sorted({row[place] for row in rows}))
        rows = [row for row in rows if row[place] == split]
        if not rows:
            raise SweepError(f"{store.uri}: no barrier has split {split!r}. Here: {known}")
    return [row[1:] for row in rows], unfinished


def _text(found: Any, format_: TableFormat, limit: int | None) -> str:
    """The result as text."""
    import csv
    import io
    import json

    from lmc_sweep.analysis.similarity_table import similarity_rows

    if format_ is TableFormat.table:
        from lmc_sweep.cli.compare_lines import compare_lines

        return compare_lines(found, limit)
    rows = similarity_rows([*found.overall, *found.cells])
    if format_ is TableFormat.json:
        return json.dumps(rows, indent=1, allow_nan=False) + "\n"
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


def _write(text: str, output: Path | None) -> None:
    """To standard output, or into a file that is replaced atomically."""
    if output is None:
        sys.stdout.write(text)
        sys.stdout.flush()
        return
    from lmc_sweep.store.publish import publish

    publish(output, [text.encode()], replace=True)
