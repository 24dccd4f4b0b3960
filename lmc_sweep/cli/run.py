"""``lmc-sweep run``."""

from __future__ import annotations

from typing import Annotated

import typer

from lmc_sweep.cli.arguments import MaxFailures, Overrides, StoreOption, SweepFile


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("run")(run_command)


def run_command(
    sweep_file: SweepFile,
    store: StoreOption = None,
    address: Annotated[
        str,
        typer.Option(
            "--address",
            metavar="local|auto|HOST:PORT",
            help="local starts Ray on this machine; auto or HOST:PORT joins a cluster that runs.",
        ),
    ] = "local",
    inline: Annotated[
        bool, typer.Option("--inline", help="No Ray: one batch after another in this process, for debugging.")
    ] = False,
    overrides: Overrides = None,
    max_failures: MaxFailures = None,
) -> None:
    """Run a sweep: plan it, execute what the store does not hold, print a summary.

    The same command again carries on where the last one stopped. Ctrl-C stops in order: what runs is
    finished and stored; a second Ctrl-C cancels what runs, a third ends everything at once. What had
    finished is never lost. `lmc-sweep cancel` stops it in order from elsewhere, `lmc-sweep status --watch`
    shows it there.
    """
    from lmc_sweep.cli.console import console
    from lmc_sweep.cli.progress import ConsoleReporter
    from lmc_sweep.cli.run_lines import print_summary
    from lmc_sweep.execution.run import run
    from lmc_sweep.planning.sweep_files import load

    sweep = load(sweep_file, overrides or ())
    with ConsoleReporter(console()) as reporter:
        result = run(
            sweep, store=store, address=address, inline=inline, max_failures=max_failures, reporter=reporter
        )
    print_summary(result)
    raise typer.Exit(result.exit_code)
