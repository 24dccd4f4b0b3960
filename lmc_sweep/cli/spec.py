"""``lmc-sweep spec``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from lmc_sweep.cli.arguments import AsJson, Overrides
from lmc_sweep.errors import SweepError

if TYPE_CHECKING:
    from workers.specs import ArchitectureSpec


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("spec")(spec_command)


def spec_command(
    architecture: Annotated[
        str | None, typer.Option("--architecture", metavar="NAME", help="A known architecture, such as mlp.")
    ] = None,
    overrides: Overrides = None,
    dataset: Annotated[
        str,
        typer.Option("--dataset", metavar="NAME", help="Whose input shape and classes the network takes."),
    ] = "digits",
    as_json: AsJson = False,
) -> None:
    """Show which axes of which parameters each group of hidden units permutes.

    lmc-sweep spec --architecture mlp --set architecture.width=64 --set architecture.depth=3
    """
    asked = _architecture(architecture, dataset, overrides or ())
    import torch

    from workers.architectures import build
    from workers.datasets.definitions import DATASETS
    from workers.permutation.derive import derive_permutation_spec

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


def _architecture(name: str | None, dataset: str, overrides: Sequence[str]) -> ArchitectureSpec:
    """The architecture asked for, checked by the rules of a sweep file that asks for nothing else."""
    from lmc_sweep.config import parse_sweep
    from workers.specs import ARCHITECTURES

    if name is None:
        raise SweepError(f"lmc-sweep spec: --architecture NAME is missing. Known: {', '.join(ARCHITECTURES)}")
    entry = f"{{dataset: {dataset}, architecture: {{name: {name}}}, seeds: 1}}"
    for change in overrides:
        if not change.startswith("architecture."):
            raise SweepError(
                f"lmc-sweep spec: --set {change} has no effect on what can be permuted; "
                "give keys of the architecture, such as architecture.width=64"
            )
    changes = [f"networks[0].{change}" for change in overrides]
    sweep = parse_sweep(f"{{name: spec, store: none, networks: [{entry}]}}", "lmc-sweep spec", changes)
    if len(sweep.networks) != 1:
        raise SweepError("lmc-sweep spec: one architecture at a time; give single values, not lists")
    return sweep.networks[0].architecture
