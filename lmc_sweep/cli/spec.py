"""``lmc-sweep spec``."""

from __future__ import annotations

from typing import Annotated

import typer

from lmc_sweep.cli.arguments import AsJson, InputShape, Module

COMMAND = "lmc-sweep spec"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("spec")(spec_command)


def spec_command(
    module: Module = None,
    architecture: Annotated[
        str | None, typer.Option("--architecture", metavar="NAME", help="A known family, such as mlp.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="KEY=VALUE",
            help="Options of the architecture, the module's function or the data set; repeatable: "
            "architecture.width=64, module.width=64, dataset.input_size=32.",
        ),
    ] = None,
    dataset: Annotated[
        str | None,
        typer.Option("--dataset", metavar="NAME", help="Whose input shape and classes the network takes."),
    ] = None,
    input_shape: InputShape = None,
    as_json: AsJson = False,
) -> None:
    """Show which axes of which parameters and buffers each group of hidden units permutes.

    lmc-sweep spec --architecture mlp --set architecture.width=64 --set architecture.depth=3

    lmc-sweep spec --module my.models:resnet --input-shape 3,32,32

    The spec is derived from the module's forward pass, and proved by permuting it at random.
    """
    from lmc_sweep.cli import asked

    with asked.refusing(COMMAND):
        allowed = {
            "architecture": "" if architecture else "--architecture",
            "module": "" if module else "--module",
            "dataset": "" if dataset else "--dataset",
        }
        wanted = asked.asked(
            module, architecture, dataset, input_shape, asked.sections(changes or (), allowed)
        )

    from lmc_sweep.cli.console import console, say, table
    from lmc_sweep.cli.subject import derived, limit, subject

    with asked.refusing(COMMAND):
        of = subject(wanted)
        derivation = derived(of)
    spec, out = derivation.spec, console()
    if as_json:
        typer.echo(spec.to_json())
    else:
        shapes = {name: "x".join(map(str, tensor.shape)) for name, tensor in of.module.state_dict().items()}
        rows = [
            [
                parameter,
                shapes.get(parameter, "-"),
                axis,
                ", ".join(
                    (s.group or "pinned") + (f" ({s.block} entries each)" if s.block > 1 else "")
                    for s in along
                ),
            ]
            for (parameter, axis), along in spec.axes.items()
        ]
        out.print(table("Axes that move", ["parameter or buffer", "shape", "axis", "groups"], rows))
        groups = [[name, units] for name, units in spec.groups.items()]
        out.print(table("Groups", ["group", "units"], groups))
    for pinned in derivation.pinned_operations:
        say(out, f"Note: {limit(pinned)}")
