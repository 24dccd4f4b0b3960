"""``lmc-sweep plan``."""

from __future__ import annotations

import json

import typer

from lmc_sweep.cli.arguments import AsJson, Overrides, StoreOption, SweepFile


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("plan")(plan_command)


def plan_command(
    sweep_file: SweepFile, store: StoreOption = None, overrides: Overrides = None, as_json: AsJson = False
) -> None:
    """Show what a run would do: items, what is done, what is left and why, batches, estimated cost.

    Starts nothing and writes nothing. Estimates come from what the store has measured, else from a short
    matrix product; networks are counted at max_epochs until some of their cell have stopped.
    """
    from lmc_sweep.execution import preflight
    from lmc_sweep.execution.run import num_local_slots
    from lmc_sweep.planning.plan import make_plan
    from lmc_sweep.planning.sweep_files import load
    from lmc_sweep.store.store import open_if_exists

    sweep = load(sweep_file, overrides or ())
    preflight.check(sweep, lambda text: typer.echo(text, err=True))
    made = make_plan(sweep, open_if_exists(store or sweep.store), num_local_slots(sweep, inline=False))
    if as_json:
        from lmc_sweep.cli.plan_totals import totals, totals_json

        told = {**made.summary(), "store": store or sweep.store, "totals": totals_json(totals(made))}
        typer.echo(json.dumps(told, indent=2))
        return
    from lmc_sweep.cli.plan_lines import print_plan

    print_plan(made, store or sweep.store)
