"""``lmc-sweep cancel``."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Annotated

import typer

from lmc_sweep.cli.arguments import StorePath, SweepName

if TYPE_CHECKING:
    from rich.console import Console

    from lmc_sweep.analysis.run_advice import RunAdvice
    from lmc_sweep.store.store import Store

LOOK_SECONDS = 1.0


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("cancel")(cancel_command)


def cancel_command(
    store: StorePath,
    sweep: SweepName = None,
    wait: Annotated[bool, typer.Option("--wait", help="Return only when they have stopped.")] = False,
) -> None:
    """Ask the runs of a store to stop in order: what runs is finished and stored, nothing new starts.

    Works from any machine that writes the store. The same run command carries on later.
    """
    from lmc_sweep.cli.console import console, say
    from lmc_sweep.cli.status import sweep_names
    from lmc_sweep.store.store import Store

    opened, out = Store(store), console()
    asked: list[tuple[str, str]] = []
    for name in sweep_names(opened, sweep):
        for run in _alive_runs(opened, name):
            opened.request_cancel(name, run.run_id)
            asked.append((name, run.run_id))
            say(out, f"Sweep {name}: asked run {run.run_id[:8]} to stop ({_heard(run)}).")
    if not asked:
        say(
            out,
            "No run is alive. Nothing to cancel. A job whose run has not begun yet ends by ray job stop.",
        )
        return
    say(out, "What runs is finished and stored, and nothing new starts. The same run command carries on.")
    if wait:
        _wait(out, opened, asked)


def _alive_runs(store: Store, sweep: str) -> list[RunAdvice]:
    """Runs that have not said that they ended; a silent one may only be cut off, and is asked, too."""
    return [run for run in _runs(store, sweep) if run.claims_to_be_alive]


def _runs(store: Store, sweep: str) -> list[RunAdvice]:
    """All runs of a sweep that left advice."""
    from lmc_sweep.analysis.run_advice import read_advice

    return [read_advice(told) for told in store.read_runs(sweep)]


def _heard(run: RunAdvice) -> str:
    """When a run was last heard of, and what that means."""
    from lmc_sweep.cli.console import duration

    silent = run.silent_seconds(time.time())
    if silent is None:
        return "it does not say since when it is there"
    heard = f"last heard of {duration(silent)} ago"
    return heard if run.is_alive(time.time()) else f"{heard}: it is probably gone, and stops if it is not"


def _wait(out: Console, store: Store, asked: list[tuple[str, str]]) -> None:
    """Returns when every run that was asked has said that it ended, or has fallen silent."""
    from lmc_sweep.analysis.heartbeats import Heartbeats
    from lmc_sweep.cli.console import duration, say

    start = time.monotonic()
    seen = {name: Heartbeats() for name, _ in asked}
    left = list(asked)
    while left:
        for name, beats in seen.items():
            beats.look(_alive_runs(store, name), time.time(), time.monotonic())
        for name, run_id in tuple(left):
            told = {run.run_id: run for run in _runs(store, name)}
            claims = run_id in told and told[run_id].claims_to_be_alive
            if claims and (run_id in seen[name].alive or run_id in seen[name].undecided):
                continue
            is_killed = run_id in told and told[run_id].is_gone
            ended = "was killed or crashed" if is_killed else "has stopped"
            ending = "has not been heard of any more: it is gone" if claims else ended
            say(out, f"Sweep {name}: run {run_id[:8]} {ending} ({duration(time.monotonic() - start)}).")
            left.remove((name, run_id))
        if left:
            time.sleep(LOOK_SECONDS)
