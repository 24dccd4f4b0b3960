"""``lmc-sweep compact``."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Annotated

import typer

from lmc_sweep.cli.arguments import AsJson, StorePath


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("compact")(compact_command)


def compact_command(
    store: StorePath,
    grace: Annotated[
        float,
        typer.Option(
            "--grace", min=0.0, metavar="SECONDS", help="How long replaced files stay for running queries."
        ),
    ] = 5.0,
    as_json: AsJson = False,
) -> None:
    """Merge a store's small record files into few large ones, sorted so that queries skip most of them.

    Results stay the same. Safe to interrupt, safe beside running sweeps and queries; running it again
    finishes what was cut short, and does little where there is little to gain.

      lmc-sweep compact runs/small
    """
    from lmc_sweep.cli.console import console, say, size, table
    from lmc_sweep.store.compaction import compact
    from lmc_sweep.store.store import Store

    out = console()
    opened = Store(store)
    report = compact(opened, grace_seconds=grace, tell=lambda line: say(out, line))
    if as_json:
        typer.echo(json.dumps(asdict(report), indent=2))
        return
    if report.yielded:
        say(out, f"Another compaction of {opened.uri} is at work; this one leaves it to that.")
        return
    rows = [
        [
            one.table,
            f"{one.files_before} -> {one.files_after}",
            f"{size(one.bytes_before)} -> {size(one.bytes_after)}",
            one.rows,
            one.duplicates_dropped or "",
        ]
        for one in report.tables
    ]
    if rows:
        out.print(table("", ["", "files", "size", "rows", "repetitions dropped"], rows))
    before, after = (
        sum(getattr(one, name) for one in report.tables) for name in ("files_before", "files_after")
    )
    cleared = f", {report.temporaries_removed} abandoned files removed" if report.temporaries_removed else ""
    say(out, f"{before} record files before, {after} now{cleared}, in {report.seconds:.1f} s.")
