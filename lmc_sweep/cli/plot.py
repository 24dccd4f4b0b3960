"""``lmc-sweep plot``."""

from __future__ import annotations

import textwrap
from pathlib import Path
from typing import Annotated

import typer

from lmc_sweep.cli.arguments import StorePath, SweepName
from lmc_sweep.errors import SweepError

_WIDTH = 110


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("plot")(plot_command)


def plot_command(
    store: StorePath,
    figure: Annotated[
        str | None,
        typer.Argument(metavar="FIGURE", help="Without it, the figures are listed with their options."),
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            "--output", metavar="FILE", help="A .png, .svg or .pdf; default FIGURE.png in this folder."
        ),
    ] = None,
    sweep: SweepName = None,
    options: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="OPTION=VALUE", help="An option of the figure; repeatable."),
    ] = None,
    explain: Annotated[
        bool, typer.Option("--options", help="Tell what the options of FIGURE mean, and draw nothing.")
    ] = False,
) -> None:
    """Draw a figure from a store; without FIGURE, list the figures.

    lmc-sweep plot runs/quickstart density --options

    lmc-sweep plot runs/quickstart density --output density.pdf --set quantity=error
    """
    from lmc_sweep.cli.console import console, say
    from lmc_sweep.store.store import Store

    opened = Store(store)
    if explain:
        _explain(figure)
        return
    if figure is None:
        _list_figures(store)
        return
    if sweep is not None and sweep not in opened.sweeps():
        known = ", ".join(opened.sweeps()) or "none"
        raise SweepError(f"{store}: no sweep {sweep!r} here. Known sweeps: {known}")
    from lmc_sweep.figures.registry import draw
    from lmc_sweep.figures.saving import check_output, save
    from lmc_sweep.figures.sheet import shows_nothing

    target = output or Path(f"{figure}.png")
    check_output(target)
    made = draw(figure, opened, sweep, _options(options or []))
    save(made, target)
    reason = shows_nothing(made)
    say(console(), f"Wrote {target}" + (f", which has nothing to show. {reason}" if reason else ""))


def _list_figures(store: str) -> None:
    """Figures, each with the names and values of its options; the default stands first."""
    from lmc_sweep.figures.registry import FIGURES

    for known in FIGURES.values():
        typer.echo(f"{known.name}: {known.summary}")
        told = []
        for option in known.options:
            others = [choice for choice in option.choices or () if choice != option.default]
            told.append(f"{option.name}={'|'.join([option.default, *others])}")
        typer.echo(textwrap.fill("  ".join(told), _WIDTH, initial_indent="  ", subsequent_indent="  "))
    typer.echo(
        f"Defaults stand first; --set OPTION=VALUE. What they mean: lmc-sweep plot {store} FIGURE --options"
    )


def _explain(figure: str | None) -> None:
    """What every option of a figure means, or of all."""
    from lmc_sweep.figures.registry import FIGURES, named

    for known in FIGURES.values() if figure is None else [named(figure)]:
        typer.echo(f"{known.name}: {known.summary}")
        for option in known.options:
            choices = f" ({', '.join(option.choices)})" if option.choices else ""
            typer.echo(f"  --set {option.name}={option.default}{choices}  {option.summary}")


def _options(given: list[str]) -> dict[str, str]:
    """``name=value`` pairs as a mapping."""
    pairs = [text.partition("=") for text in given]
    for text, (_, equals, _) in zip(given, pairs, strict=True):
        if not equals:
            raise SweepError(f"--set {text}: give OPTION=VALUE")
    return {name: value for name, _, value in pairs}
