"""``lmc-sweep repro``."""

from __future__ import annotations

import json
import math
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lmc_sweep.cli.arguments import AsJson, StorePath
from lmc_sweep.cli.found_item import find_item
from lmc_sweep.errors import StoreError
from lmc_sweep.kinds import in_singular
from lmc_sweep.redaction import redact

if TYPE_CHECKING:
    from lmc_sweep.execution.agreement import Compared
    from lmc_sweep.planning.items import Item
    from lmc_sweep.store.store import Store

UserCode = Annotated[
    bool,
    typer.Option(
        "--user-code",
        help="Import the modules that the store names, from the working directory. Not unasked: a store may "
        "come from a stranger, and importing runs code.",
    ),
]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("repro")(repro_command)


def repro_command(
    store: StorePath,
    item_id: Annotated[
        str,
        typer.Argument(
            metavar="ID", help="Of an item of any kind: a network, a barrier; a unique beginning does."
        ),
    ],
    user_code: UserCode = False,
    as_json: AsJson = False,
) -> None:
    """Compute one stored result again, or run a failed item again, and compare.

    The inputs are those that the result read. Nothing is written to the store. Exit code 0 if every number
    is reproduced, bit for bit or within the store's tolerance; 1 if one differs, or the item fails.

      lmc-sweep repro runs/quickstart 1f3a9c
    """
    from lmc_sweep.execution.failed_items import failed_item
    from lmc_sweep.execution.recomputation import (
        recompute,
        require_allowed,
        require_importable,
        scratch_store,
    )
    from lmc_sweep.planning.reconstruction import items_of
    from lmc_sweep.store.store import Store

    opened = Store(store)
    kind, key = find_item(opened, item_id)
    if kind is None:
        item = failed_item(opened, key, user_code_allowed=user_code)
    else:
        (item,) = items_of(opened, kind, [key])
    require_allowed(item, user_code)
    with scratch_store() as scratch:
        start = time.perf_counter()
        _announce(item, as_json)
        try:
            recompute(opened, scratch, item, user_code=user_code, device=_device(opened, item, kind))
        except KeyboardInterrupt as stop:
            _show_interruption(item, stop, time.perf_counter() - start)
            raise typer.Exit(130) from None
        except Exception as error:  # the task boundary: what a failed item raises is what is asked for
            if kind is not None and isinstance(error, StoreError):
                raise
            require_importable(item, error)
            _show_failure(item, error, as_json)
            raise typer.Exit(1) from None
        seconds = time.perf_counter() - start
        if kind is None:
            _show_success(item, seconds, as_json)
            return
        told = _compared(opened, scratch, item, seconds)
    if as_json:
        typer.echo(json.dumps(told, indent=2))
    else:
        _show(told)
    if told["verdict"] == "differs":
        raise typer.Exit(1)


def _announce(item: Item, as_json: bool) -> None:
    """What is run now, for people: it may take long, or hang."""
    if as_json:
        return
    from lmc_sweep.cli.console import console, say
    from lmc_sweep.execution.tally import words

    say(
        console(),
        f"Running {in_singular(item.kind)} {item.id} here ({words(item)}). "
        "Ctrl-C ends it and says where it was.",
    )


def _show_interruption(item: Item, stop: KeyboardInterrupt, seconds: float) -> None:
    """Where an item was when it was interrupted: the innermost line that is not of an installed package."""
    import traceback

    from lmc_sweep.cli.console import console, duration, say
    from lmc_sweep.execution.causes import is_installed

    frames = traceback.extract_tb(stop.__traceback__)
    chosen = [frame for frame in frames if not is_installed(frame.filename)] or frames
    where = f"{chosen[-1].filename}, line {chosen[-1].lineno}, in {chosen[-1].name}: {chosen[-1].line}"
    say(console(), f"{in_singular(item.kind)} {item.id}: interrupted after {duration(seconds)} at {where}")


def _device(store: Store, item: Item, kind: str | None) -> str:
    """The device that computed a result, where this machine has one of its kind; else the CPU."""
    from lmc_sweep.store.provenance import read_environment
    from lmc_sweep.store.schema import TABLE_OF_KIND

    if kind is None:
        return "cpu"
    (row,) = store.fetch(TABLE_OF_KIND[kind].name, [item.id], ["environment_id"])
    described = read_environment(store.files, row["environment_id"]) or {}
    if described.get("gpu") is None:
        return "cpu"
    import torch

    return "cuda" if torch.cuda.is_available() else "cpu"


def _compared(store: Store, scratch: Store, item: Item, seconds: float) -> dict[str, Any]:
    """What ``--json`` prints of a result that was computed twice."""
    from lmc_sweep.execution import agreement
    from lmc_sweep.store import environment, provenance
    from lmc_sweep.store.schema import TABLE_OF_KIND

    compared = agreement.compare(store, scratch, item)
    (row,) = store.fetch(TABLE_OF_KIND[item.kind].name, [item.id], ["environment_id"])
    stored = provenance.read_environment(store.files, row["environment_id"])
    fields = provenance.compared(stored or {}, environment.describe())
    return {
        "kind": item.kind,
        "id": item.id,
        "verdict": agreement.worst(compared),
        "seconds": seconds,
        "columns": [_column(one) for one in compared],
        "environment_id": row["environment_id"],
        "environment_known": stored is not None,
        "environment": [
            {"field": name, "stored": one, "here": two, "same": same} for name, one, two, same in fields
        ],
    }


def _column(one: Compared) -> dict[str, Any]:
    return {
        "column": one.name,
        "verdict": one.verdict,
        "difference": one.difference if math.isfinite(one.difference) else None,
        "stored": one.stored,
        "recomputed": one.recomputed,
    }


def _show(told: dict[str, Any]) -> None:
    """The verdict, the columns that are not equal, and the two environments."""
    from lmc_sweep.cli.console import console, duration, say, table

    out = console()
    say(out, f"{in_singular(told['kind'])} {told['id']}: {told['verdict']} in {duration(told['seconds'])}")
    unequal = [one for one in told["columns"] if one["verdict"] != "reproduced bit for bit"]
    if unequal:
        rows = [[one["column"], one["verdict"], _shown(one["difference"])] for one in unequal]
        out.print(table("", ["column", "", "largest difference"], rows))
    say(
        out, f"{len(told['columns']) - len(unequal)} of {len(told['columns'])} columns and tensors are equal."
    )
    if not told["environment_known"]:
        say(out, f"The store does not tell environment {told['environment_id']}, which computed it.")
    rows = [
        ["" if one["same"] else "differs", one["field"], one["stored"], one["here"]]
        for one in told["environment"]
    ]
    out.print(table("Computed by", ["", "field", f"store ({told['environment_id']})", "here"], rows))


def _shown(value: float | None) -> str:
    return "none of two" if value is None else f"{value:.3g}"


def _show_failure(item: Item, error: Exception, as_json: bool) -> None:
    """The error of an item and where it was raised, without secrets: output is copied into reports."""
    import traceback

    told, message = redact("".join(traceback.format_exception(error))), redact(str(error))
    if as_json:
        described = {"error_type": type(error).__name__, "message": message, "traceback": told}
        typer.echo(json.dumps({"kind": item.kind, "id": item.id, "verdict": "failed", **described}, indent=2))
        return
    typer.echo(told, err=True)
    typer.echo(f"{in_singular(item.kind)} {item.id} fails: {type(error).__name__}: {message}", err=True)


def _show_success(item: Item, seconds: float, as_json: bool) -> None:
    """Word of an item that failed before and does not now."""
    if as_json:
        told = {"kind": item.kind, "id": item.id, "verdict": "succeeds", "seconds": seconds}
        typer.echo(json.dumps(told, indent=2))
        return
    from lmc_sweep.cli.console import console, say

    say(
        console(),
        f"{in_singular(item.kind)} {item.id} failed before and succeeds now. "
        "Nothing was stored: run the sweep.",
    )
