"""``lmc-sweep retry``."""

from __future__ import annotations

import shlex
from typing import Annotated, Any

import typer
from typer.core import TyperCommand

from lmc_sweep.cli.arguments import StorePath, SweepName


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("retry", cls=_WithoutType)(retry_command)


class _WithoutType(TyperCommand):
    """The command whose help shows ``[ID]...`` without ``<list[str]>``, which tells people nothing."""

    def __init__(self, *arguments: Any, **named: Any) -> None:
        super().__init__(*arguments, **named)
        for parameter in self.params:
            if parameter.name == "ids":
                parameter.display_type_rich = lambda ctx: None  # type: ignore[attr-defined]


def retry_command(
    store: StorePath,
    ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID",
            help="Items or failures, or how their ids begin (4 characters or more); without, all.",
        ),
    ] = None,
    sweep: SweepName = None,
) -> None:
    """Release failures of your own code, so that the next run tries their items again.

    A run tries lost workers, full memory and the like again by itself. An exception of a module or function
    of your own would only be raised again: once you have changed it, release its failures here.

      lmc-sweep retry runs/small
    """
    from lmc_sweep.analysis.failures import grouped
    from lmc_sweep.cli.console import clipped, console, counted, say
    from lmc_sweep.cli.status import sweep_names
    from lmc_sweep.execution.release import release
    from lmc_sweep.store.store import Store

    opened, out = Store(store), console()
    names = sweep_names(opened, sweep)
    released = release(opened, sweep, ids or ())
    if not released:
        say(out, "Nothing to release: no failure waits for it. What else failed, the next run tries again.")
        return
    for name in names:
        for group in grouped([failure for failure in released if failure.sweep == name]):
            cause = f"{group.error_type}: {clipped(group.message, 200)}"
            say(out, f"Released {counted(len(group.item_ids), group.kind)} of sweep {name}: {cause}")
    for name in sorted({failure.sweep for failure in released}):
        file = shlex.quote(opened.sweep_file(name))
        command = f"lmc-sweep run {file} --store {shlex.quote(opened.uri)}"
        say(out, f"Tried again, in the directory of your module, by: {command}")
