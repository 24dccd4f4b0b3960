"""``lmc-sweep export``."""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lmc_sweep.cli.arguments import StorePath
from lmc_sweep.errors import SweepError

if TYPE_CHECKING:
    from torch import Tensor


class Ends(StrEnum):
    """Ends of a line."""

    first = "first"
    second = "second"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("export")(export_command)


def export_command(
    store: StorePath,
    network_id: Annotated[
        str,
        typer.Argument(
            metavar="NETWORK_ID", help="As in the table networks; with --end, an ensemble_id of ensembles."
        ),
    ],
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Default: NETWORK_ID.safetensors here.")
    ] = None,
    end: Annotated[
        Ends | None,
        typer.Option(
            "--end", help="Of a line that an ensemble learned: its end at alpha 0 (first) or 1 (second)."
        ),
    ] = None,
    user_code: Annotated[
        bool,
        typer.Option(
            "--user-code",
            help="Import the module that the network's spec names, and check that it loads the weights.",
        ),
    ] = False,
) -> None:
    """Write one network's weights as a plain PyTorch state dict in .safetensors.

    With --end, those of one end of a line of the study ensembles.

    A module with load_state_dict(strict=True) takes it. Nothing that the store names is imported, unless
    --user-code allows it.
    """
    from lmc_sweep.store.export import export_end, export_network
    from lmc_sweep.store.store import Store

    if end is None:
        target = output or Path(f"{network_id}.safetensors")
        export_network(Store(store), network_id, target, _loads if user_code else None)
    elif user_code:
        raise SweepError("--user-code has no effect on lines, whose ends are MLPs. Leave it out")
    else:
        target = output or Path(f"{network_id}.{end.value}.safetensors")
        export_end(Store(store), network_id, end.value, target)
    typer.echo(f"Wrote {target}", err=True)


def _loads(spec: Mapping[str, Any], state: Mapping[str, Tensor]) -> None:
    """Refuses weights that the module of a user's own, as it is now, does not load strictly."""
    from lmc_sweep.config.user_code import search_working_directory
    from workers.architectures.build import user_module
    from workers.specs import ModuleSpec
    from workers.user_code import is_name

    described = spec["architecture"]
    name = described["name"]
    if not is_name(name):
        raise SweepError(f"--user-code has no effect: {name} is an architecture of the program. Leave it out")
    search_working_directory()
    arguments = tuple((key, value) for key, value in described.get("arguments", ()))
    module = ModuleSpec(name=name, arguments=arguments, source_sha256=described["source_sha256"])
    try:
        user_module(module).load_state_dict(state, strict=True)
    except (ValueError, RuntimeError) as error:
        told = " ".join(str(error).split())
        raise SweepError(
            f"{name} does not load the network: {told[:400]}. Export it without --user-code, or restore the "
            "module as it was"
        ) from error
