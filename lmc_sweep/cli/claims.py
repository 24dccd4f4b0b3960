"""``lmc-sweep claims``."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lmc_sweep.cli.arguments import At, Quantity, StorePath, SweepName, TableFormat
from lmc_sweep.errors import SweepError

if TYPE_CHECKING:
    from lmc_sweep.analysis.claims import Claim, ClaimsFile

PAPER = Path("configs/entezari/claims.yaml")
CHECKOUT = Path(__file__).resolve().parents[2]


class Split(StrEnum):
    """On which examples."""

    train = "train"
    test = "test"


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("claims")(claims_command)


def claims_command(
    store: StorePath,
    claims: Annotated[
        Path, typer.Option("--claims", metavar="FILE", help="The claims, and what measures them.")
    ] = PAPER,
    only: Annotated[
        list[str] | None, typer.Option("--only", metavar="NAME", help="This claim alone; repeatable.")
    ] = None,
    sweep: SweepName = None,
    quantity: Annotated[
        Quantity, typer.Option("--quantity", help="Whose barrier, where a claim does not say.")
    ] = Quantity.error,
    at: Annotated[At, typer.Option("--at", help="At alpha 1/2, or the largest, likewise.")] = At.midpoint,
    split: Annotated[Split, typer.Option("--split", help="On which examples, likewise.")] = Split.train,
    show_query: Annotated[
        bool, typer.Option("--show-query", help="Print the query of each claim under it.")
    ] = False,
    format_: Annotated[
        TableFormat, typer.Option("--format", help="How cards are written.")
    ] = TableFormat.table,
    output: Annotated[
        Path | None, typer.Option("--output", metavar="FILE", help="Write there instead of standard output.")
    ] = None,
) -> None:
    """Hold a paper's claims against a store: what it prints, what was measured, and whether the claim holds.

    A claim holds where the whole 95 % interval over pairs lies within its bounds, and fails where it lies
    outside. The paper's scripts report the error at alpha 1/2; its text defines the supremum of the loss:

      lmc-sweep claims runs/entezari --quantity loss --at supremum
    """
    from lmc_sweep.analysis import claims as told
    from lmc_sweep.analysis.cards import View, card, training_examples
    from lmc_sweep.cli import claims_lines
    from lmc_sweep.cli.console import console, say
    from lmc_sweep.store.store import Store

    path = claims if claims != PAPER or PAPER.is_file() else CHECKOUT / PAPER
    file = told.load_claims(path)
    asked = _asked(file, only or [], path)
    opened = Store(store)
    if sweep is not None and sweep not in opened.sweeps():
        known = ", ".join(opened.sweeps()) or "none"
        raise SweepError(f"{store}: no sweep {sweep!r} here. Known sweeps: {known}")
    for problem in opened.problems():
        say(console(), f"left out: {problem.path}: {problem.reason}")
    view = View(quantity.value, at.value, split.value)
    cards = [card(opened, claim, view, sweep) for claim in asked]
    if format_ is TableFormat.json:
        text = claims_lines.as_json(file.source, cards)
    elif format_ is TableFormat.csv:
        text = claims_lines.as_csv(cards)
    else:
        text = claims_lines.as_text(file.source, cards, show_query, training_examples(opened, sweep))
    if output is None:
        sys.stdout.write(text)
        return
    from lmc_sweep.store.publish import publish

    publish(output, [text.encode()], replace=True)


def _asked(file: ClaimsFile, only: list[str], path: Path) -> list[Claim]:
    """The claims to be measured, in the file's order."""
    known = [claim.name for claim in file.claims]
    for name in only:
        if name not in known:
            raise SweepError(f"{path}: no claim {name!r} here. Known claims: {', '.join(known)}")
    return [claim for claim in file.claims if not only or claim.name in only]
