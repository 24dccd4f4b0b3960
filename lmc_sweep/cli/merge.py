"""``lmc-sweep merge``."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated

import typer

from lmc_sweep.cli.arguments import AsJson, StorePath

if TYPE_CHECKING:
    from lmc_sweep.store.merging import Merged

SHOWN = 20
TOLD_SECONDS = 5.0


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("merge")(merge_command)


def merge_command(
    store: StorePath,
    other: Annotated[
        str,
        typer.Argument(metavar="STORE_B", help="The store to bring in; it is only read.", show_default=False),
    ],
    as_json: AsJson = False,
) -> None:
    """Bring everything of STORE_B into STORE, each result once.

    Files are copied after comparison with the hashes in their names. Results of one id that differ are
    kept and reported as nondeterminism. A sweep of the same name with another text comes in under a new
    name. Safe to interrupt, and beside running sweeps: the same command carries on. Exit code 1 if something
    of STORE_B was left out because it is damaged.

      lmc-sweep merge runs/small /mnt/other/runs/small
    """
    from lmc_sweep.store.merging import merge
    from lmc_sweep.store.store import Store

    source = Store(other)
    found = merge(Store(store), source, _Watch())
    if as_json:
        typer.echo(json.dumps(_told(found), indent=2))
    else:
        _show(found, other)
    if found.problems:
        raise typer.Exit(1)


class _Watch:
    """Says how far a merge is, every few seconds of a long one."""

    def __init__(self) -> None:
        self._last = time.monotonic()

    def __call__(self, table: str, num_rows: int) -> None:
        from lmc_sweep.cli.console import console, say

        if time.monotonic() - self._last > TOLD_SECONDS:
            self._last = time.monotonic()
            say(console(), f"{table}: {num_rows} rows looked at")


def _told(found: Merged) -> dict[str, object]:
    """What ``--json`` prints."""
    return {
        "copied": dict(found.copied),
        "held": dict(found.held),
        "differing": dict(found.differing),
        "num_artifacts": found.num_artifacts,
        "num_bytes": found.num_bytes,
        "sweeps": found.sweeps,
        "problems": [{"path": path, "reason": reason} for path, reason in found.problems],
    }


def _show(found: Merged, other: str) -> None:
    """Counts by table, and what is worth knowing."""
    from lmc_sweep.cli.console import console, say, size, table
    from lmc_sweep.store.schema import TABLES

    out = console()
    rows = [
        [name, found.copied[name], found.held[name], found.differing[name] or ""]
        for name in TABLES
        if found.copied[name] or found.held[name]
    ]
    out.print(table("", ["", "brought in", "already there", "of other numbers"], rows))
    say(out, f"{found.num_artifacts} files of tensors were copied, {size(found.num_bytes)}.")
    for name, given in found.sweeps.items():
        if name != given:
            say(out, f"Sweep {name} is another one here: that of {other} is {given} now.")
    for path, reason in found.problems[:SHOWN]:
        say(out, f"left out: {path}: {reason}")
    if len(found.problems) > SHOWN:
        say(out, f"... and {len(found.problems) - SHOWN} more; --json lists all")
    if sum(found.differing.values()):
        say(out, "lmc-sweep status lists the results that differ.")
