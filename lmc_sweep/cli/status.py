"""``lmc-sweep status``."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Annotated

import typer

from lmc_sweep.cli.arguments import AsJson, StorePath, SweepName
from lmc_sweep.errors import SweepError

if TYPE_CHECKING:
    from rich.console import Console

    from lmc_sweep.analysis.progress import SweepStatus
    from lmc_sweep.store.store import Store

WATCH_SECONDS = 2.0


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("status")(status_command)


def status_command(
    store: StorePath,
    watch: Annotated[
        bool, typer.Option("--watch", help="Show it again every two seconds until complete.")
    ] = False,
    sweep: SweepName = None,
    as_json: AsJson = False,
) -> None:
    """Show how far the sweeps of a store are: items done, failures by cause, rate, ETA.

    Read from the store itself, so it works from any machine that reads the store, with the driver alive
    or dead.
    """
    from lmc_sweep.cli.console import console
    from lmc_sweep.store.store import Store

    out = console()
    while True:
        opened = Store(store)
        statuses = _statuses(opened, sweep)
        if as_json:
            typer.echo(json.dumps([status.as_json() for status in statuses], indent=2))
        else:
            if watch and out.is_terminal:
                out.clear()
            _show(out, opened, statuses)
        if not watch or all(status.state == "complete" for status in statuses):
            return
        time.sleep(WATCH_SECONDS)


def _statuses(store: Store, sweep: str | None) -> list[SweepStatus]:
    from lmc_sweep.analysis.progress import sweep_status

    names = store.sweeps()
    if sweep is not None and sweep not in names:
        raise SweepError(f"{store.path}: no sweep {sweep!r} here. Known sweeps: {', '.join(names) or 'none'}")
    return [sweep_status(store, name) for name in names if sweep in (None, name)]


def _show(out: Console, store: Store, statuses: list[SweepStatus]) -> None:
    from lmc_sweep.cli.console import KIND_NAMES, duration, say, table

    for status in statuses:
        rows = [
            [KIND_NAMES[kind], f"{k['done']}/{k['total']}", k["failed"] or ""]
            for kind, k in status.kinds.items()
        ]
        say(out, f"Sweep {status.sweep}: {status.state}")
        out.print(table("", ["", "done", "failed"], rows))
        if status.state == "running":
            rate = f"{status.rate_per_second:.2g} items/s, " if status.rate_per_second else ""
            say(out, f"{rate}ETA {duration(status.eta_seconds)}")
        if status.estimate_error is not None:
            say(
                out,
                f"Last run: estimated {duration(status.estimated_seconds)} of worker time for what it did, "
                f"took {duration(status.measured_seconds)} (estimate off by {status.estimate_error:+.0%}).",
            )
        for cause in status.failures:
            count = f"{cause['num_items']} {cause['kind']} items failed"
            text = f"{count}: {cause['error_type']}: {cause['message']}"
            say(out, text)
    if not statuses:
        say(out, f"{store.path} holds no sweep yet.")
    for problem in store.problems():
        say(out, f"set aside: {problem.path}: {problem.reason}")
    for finding in store.nondeterminism():
        say(out, f"nondeterminism: {finding}")
