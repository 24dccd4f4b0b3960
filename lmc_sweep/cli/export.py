"""``lmc-sweep export``."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lmc_sweep.cli.arguments import StorePath


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("export")(export_command)


def export_command(
    store: StorePath,
    network_id: Annotated[str, typer.Argument(metavar="NETWORK_ID", help="As in the table networks.")],
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Default: NETWORK_ID.safetensors here.")
    ] = None,
) -> None:
    """Write one network's weights as a plain PyTorch state dict in .safetensors."""
    from lmc_sweep.store.export import export_network
    from lmc_sweep.store.store import Store

    target = output or Path(f"{network_id}.safetensors")
    export_network(Store(store), network_id, target)
    typer.echo(f"Wrote {target}", err=True)
