"""``lmc-sweep datasets``."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from lmc_sweep.cli.arguments import AsJson

app = typer.Typer(help="List the data sets known and which are present; fetch one.", rich_markup_mode=None)


@app.callback(invoke_without_command=True)
def datasets_command(context: typer.Context, as_json: AsJson = False) -> None:
    """List the data sets known, which are present, and where.

    They lie under LMC_SWEEP_DATA, laid out as torchvision does, or in the user's cache directory.
    digits ships with scikit-learn and is always there; imagenet is never fetched, and lies in
    imagenet/train/CLASS/*.JPEG and imagenet/val/CLASS/*.JPEG.
    """
    if context.invoked_subcommand is not None:
        return
    from lmc_sweep.data import data_root, known

    entries = known()
    if as_json:
        listed = [
            {"name": e.name, "present": e.present, "location": str(e.location), "problem": e.problem}
            for e in entries
        ]
        typer.echo(json.dumps(listed, indent=2))
        return
    from lmc_sweep.cli.console import console, say, table

    rows = [[e.name, "yes" if e.present else "no", e.location] for e in entries]
    console().print(table("", ["data set", "present", "where"], rows))
    say(console(), f"Root: {data_root()}. Fetch one with: lmc-sweep datasets fetch NAME")


@app.command("fetch")
def fetch_command(
    name: Annotated[str, typer.Argument(metavar="NAME", help="A data set that `lmc-sweep datasets` lists.")],
) -> None:
    """Download a data set into the data root."""
    from lmc_sweep.data import fetch

    typer.echo(f"{name} is at {fetch(name)}", err=True)
