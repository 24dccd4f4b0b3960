"""``lmc-sweep spec``."""

from __future__ import annotations

from typing import Annotated

import typer

from lmc_sweep.cli.arguments import AsJson, Overrides
from lmc_sweep.errors import SweepError


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("spec")(spec_command)


def spec_command(
    architecture: Annotated[
        str | None, typer.Option("--architecture", metavar="NAME", help="A known architecture, such as mlp.")
    ] = None,
    overrides: Overrides = None,
    dataset: Annotated[
        str, typer.Option("--dataset", metavar="NAME", help="Whose input shape and classes the network takes.")
    ] = "digits",
    as_json: AsJson = False,
) -> None:
    """Show which axes of which parameters each group of hidden units permutes.

      lmc-sweep spec --architecture mlp --set architecture.width=64 --set architecture.depth=3
    """
    from lmc_sweep.config import load_architecture

    if architecture is None:
        raise SweepError("lmc-sweep spec: give --architecture NAME; known: mlp")
    asked = load_architecture(architecture, overrides or ())
    import torch

    from workers.architectures import build
    from workers.datasets.definitions import DATASETS
    from workers.permutation.derive import derive_permutation_spec

    if dataset not in DATASETS:
        raise SweepError(f"--dataset {dataset}: unknown data set. Known: {', '.join(DATASETS)}")
    definition = DATASETS[dataset]
    program = build(asked, definition)
    example = program.prepare(torch.zeros(1, *definition.shape, device="meta"))
    derived = derive_permutation_spec(program.module, example)
    if as_json:
        typer.echo(derived.to_json())
        return
    from lmc_sweep.cli.console import console, table

    shapes = {name: tuple(tensor.shape) for name, tensor in program.module.state_dict().items()}
    rows = [
        [parameter, str(shapes[parameter]), axis, ", ".join(s.group or "pinned" for s in segments)]
        for (parameter, axis), segments in derived.axes.items()
    ]
    out = console()
    out.print(table("Axes that move", ["parameter", "shape", "axis", "group"], rows))
    out.print(table("Groups", ["group", "units"], [[name, units] for name, units in derived.groups.items()]))
