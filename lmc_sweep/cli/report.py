"""``lmc-sweep report``."""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from lmc_sweep.cli.arguments import StorePath, SweepName
from lmc_sweep.cli.claims import CHECKOUT, PAPER
from lmc_sweep.errors import SweepError

ENDINGS = (".html", ".htm")


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("report")(report_command)


def report_command(
    store: StorePath,
    sweep: SweepName = None,
    output: Annotated[
        Path,
        typer.Option("--output", metavar="FILE", help="An .html file; an old one is replaced."),
    ] = Path("report.html"),
    claims: Annotated[
        Path, typer.Option("--claims", metavar="FILE", help="The claims to hold against the store.")
    ] = PAPER,
) -> None:
    """Write everything that a store has to say into one HTML file: figures, tables, failures, provenance.

    The file holds all that it needs and asks no network for anything: it can be sent and kept. A store that
    is empty, unfinished or damaged has a report, too: it says what is missing.

      lmc-sweep report runs/quickstart --output quickstart.html
    """
    from lmc_sweep.cli.console import console, say, size
    from lmc_sweep.store.store import Store

    opened = Store(store)
    _check_output(output, opened.path)
    if sweep is not None and sweep not in opened.sweeps():
        known = ", ".join(opened.sweeps()) or "none"
        raise SweepError(f"{store}: no sweep {sweep!r} here. Known sweeps: {known}")

    from lmc_sweep.report.gathering import gather
    from lmc_sweep.report.page import render
    from lmc_sweep.store.publish import publish

    with _without_collection():
        page = render(gather(opened, store, sweep, _claims_file(claims))).encode()
    publish(output, [page], replace=True)
    say(console(), f"Wrote {output} ({size(len(page))})")


@contextmanager
def _without_collection() -> Iterator[None]:
    """Rows by the ten thousand are no cycles: looking for some takes a third as long again."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def _check_output(output: Path, store: Path) -> None:
    """Refuses a file that is no page, is a directory, or lies where the store keeps its own files."""
    from lmc_sweep.store.layout import COMPACTING, FOLDERS

    if output.suffix.lower() not in ENDINGS:
        raise SweepError(
            f"--output {output}: a report is an HTML file. Name it {output.stem or 'report'}.html"
        )
    if output.is_dir():
        raise SweepError(f"--output {output}: is a directory. Name a file: {output / 'report.html'}")
    if not output.absolute().parent.is_dir():
        raise SweepError(
            f"--output {output}: there is no directory {output.parent}. Make it, or name another"
        )
    folder, root = output.resolve().parent, store.resolve()
    if any(folder.is_relative_to(root / own) for own in (*FOLDERS, COMPACTING)):
        raise SweepError(
            f"--output {output}: lies among the store's own files. Name a file outside of {store}"
        )


def _claims_file(named: Path) -> Path | None:
    """The file of claims: the one that was named, else the paper's where this checkout has it."""
    if named != PAPER:
        if not named.is_file():
            raise SweepError(f"--claims {named}: there is no such file. Name a file of claims")
        return named
    return next((path for path in (PAPER, CHECKOUT / PAPER) if path.is_file()), None)
