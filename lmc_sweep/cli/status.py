"""``lmc-sweep status``."""

from __future__ import annotations

import json
import time
from contextlib import nullcontext
from dataclasses import replace
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lmc_sweep.cli.arguments import AsJson, StorePath, SweepName
from lmc_sweep.errors import SweepError

if TYPE_CHECKING:
    from rich.console import Console

    from lmc_sweep.analysis.heartbeats import Heartbeats
    from lmc_sweep.analysis.progress import SweepStatus
    from lmc_sweep.cli.status_lines import Part
    from lmc_sweep.store.store import Store

WATCH_SECONDS = 2.0
LINE_SECONDS = 10.0  # between the lines of --watch where there is no terminal
LIFELESS_SECONDS = 30.0
"""Watching ends after so long without a run at work: one that starts its cluster says nothing meanwhile."""


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("status")(status_command)


def status_command(
    store: StorePath,
    watch: Annotated[
        bool,
        typer.Option("--watch", help="Look every two seconds until all is done, or nothing runs for 30 s."),
    ] = False,
    sweep: SweepName = None,
    as_json: AsJson = False,
) -> None:
    """Show how far the sweeps of a store are: items done, rate, ETA, what runs, what failed and why.

    Those at work stand first, those that are complete last; --watch has a line for each of these.

    Read from the store itself, so it works from any machine that reads the store, with the driver alive
    or dead.

    done: has a result; failed: has none, and an error is recorded; blocked: waits for one that failed.
    A heartbeat is the sign of life that a run leaves in the store every second.

    A failed item runs again, here, by lmc-sweep repro; what is held back is released by lmc-sweep retry; a
    run is stopped by lmc-sweep cancel.

      lmc-sweep status runs/small --watch
    """
    from lmc_sweep.cli.console import console, say
    from lmc_sweep.store.store import Store

    out = console()
    if watch:
        _watch(out, _awaited(out, store, sweep), store, sweep, as_json)
        return
    opened = Store(store)
    statuses = _statuses(opened, sweep)
    if as_json:
        typer.echo(json.dumps(_as_json(opened, store, statuses), indent=2))
        return
    for part in _parts(opened, store, _in_order(statuses)):
        if isinstance(part, str):
            say(out, part)
        else:
            out.print(part)


def _statuses(store: Store, sweep: str | None) -> list[SweepStatus]:
    """The status of the sweep that was named, or of all."""
    from lmc_sweep.analysis.progress import sweep_status

    return [sweep_status(store, name) for name in sweep_names(store, sweep)]


def sweep_names(store: Store, sweep: str | None) -> list[str]:
    """The sweep that was named, or all of a store's; SweepError for one that is not there."""
    names = store.sweeps()
    if sweep is not None and sweep not in names:
        raise SweepError(f"{store.uri}: no sweep {sweep!r} here. Known sweeps: {', '.join(names) or 'none'}")
    return names if sweep is None else [sweep]


def _in_order(statuses: list[SweepStatus]) -> list[SweepStatus]:
    """Those at work first, then those with something left to do, those that are complete last."""
    return sorted(statuses, key=lambda status: (status.is_complete, not status.alive))


def _parts(store: Store, named: str, statuses: list[SweepStatus], brief: bool = False) -> list[Part]:
    """All that there is to say of a store's sweeps, in lines and tables.

    Args:
        brief: One line for every sweep that is complete, where there are several: a screen has few.
    """
    from lmc_sweep.cli.status_lines import compact_line, left_out_lines, status_parts

    parts: list[Part] = []
    for status in statuses:
        is_line = brief and status.is_complete and len(statuses) > 1
        parts += [f"Sweep {compact_line(status)}"] if is_line else status_parts(status, named)
    if not statuses:
        parts.append(f"{store.uri} holds no sweep yet.")
    problems = [(problem.path, problem.reason) for problem in store.problems()]
    return [*parts, *left_out_lines(problems, [str(finding) for finding in store.nondeterminism()])]


def _as_json(store: Store, named: str, statuses: list[SweepStatus]) -> list[dict[str, Any]]:
    """The statuses as plain data; what concerns the store as a whole stands with each of them."""
    whole = {
        "left_out": [{"path": problem.path, "reason": problem.reason} for problem in store.problems()],
        "nondeterminism": [str(finding) for finding in store.nondeterminism()],
    }
    return [{**status.as_json(named), **whole} for status in statuses]


def _awaited(out: Console, named: str, sweep: str | None) -> Store:
    """The store, as soon as it is there and holds the sweep, or one at all."""
    from lmc_sweep.cli.console import say
    from lmc_sweep.store.marker import may_become
    from lmc_sweep.store.store import Store

    said = ""
    while True:
        if may_become(named):
            told = f"{named}: there is no store here yet. Waiting for one; Ctrl-C ends this."
        else:
            store = Store(named)
            names = store.sweeps()
            if names if sweep is None else sweep in names:
                return store
            missing = "no sweep" if sweep is None else f"no sweep {sweep!r}"
            known = f" (it holds {', '.join(names)})" if names else ""
            told = f"{named}: {missing} in this store yet{known}. Waiting; Ctrl-C ends this."
        if told != said:
            say(out, told)
            said = told
        time.sleep(WATCH_SECONDS)


def _watch(out: Console, store: Store, named: str, sweep: str | None, as_json: bool) -> None:
    """Looks again and again; ends when all is complete, or when nothing has run for a while."""
    from rich.live import Live

    from lmc_sweep.cli.console import say
    from lmc_sweep.cli.status_lines import compact_line, silence_lines

    seen: dict[str, Heartbeats] = {}
    begun = time.monotonic()
    shown = -LINE_SECONDS
    in_place = out.is_terminal and not as_json
    with Live(console=out, auto_refresh=False) if in_place else nullcontext() as live:
        while True:
            start = time.monotonic()
            statuses = _look(store, sweep, seen)
            over = _is_over(statuses, seen, begun, start)
            if live is not None:
                live.update(_group(_parts(store, named, _in_order(statuses), brief=True)), refresh=True)
            elif as_json:
                typer.echo(json.dumps(_as_json(store, named, statuses)))
            elif over or start - shown >= LINE_SECONDS:
                shown = start
                for status in _in_order(statuses):
                    say(out, f"{time.strftime('%H:%M:%S')} {compact_line(status)}")
            if over:
                break
            took = time.monotonic() - start
            time.sleep(max(WATCH_SECONDS, 2 * took))  # a large store on a slow disk is left in peace
    if not as_json and not all(status.is_complete for status in statuses):
        for status in () if live is not None else statuses:  # on a terminal it stands in the last picture
            for line in silence_lines(status):
                say(out, line)
        say(out, "No run is alive. The same lmc-sweep run carries on from here.")


def _look(store: Store, sweep: str | None, seen: dict[str, Heartbeats]) -> list[SweepStatus]:
    """The statuses, with the runs that their heartbeats show to be at work."""
    from lmc_sweep.analysis.heartbeats import Heartbeats
    from lmc_sweep.analysis.progress import sweep_status
    from lmc_sweep.analysis.run_advice import read_advice

    statuses = []
    for name in sweep_names(store, sweep):
        beats = seen.setdefault(name, Heartbeats())
        beats.look([read_advice(told) for told in store.read_runs(name)], time.time(), time.monotonic())
        statuses.append(replace(sweep_status(store, name, beats.alive), silent=beats.silent))
    return statuses


def _is_over(statuses: list[SweepStatus], seen: dict[str, Heartbeats], begun: float, now: float) -> bool:
    """Whether there is nothing more to see: all is there, or nobody is at work on what is not.

    Args:
        begun: When watching began; by the same clock as ``now``.
    """
    left = [seen[status.sweep] for status in statuses if not status.is_complete]
    if any(beats.alive or beats.undecided for beats in left):
        return False
    if any(beats.has_ended for beats in left):
        return True
    last_life = max((beats.last_life for beats in left if beats.last_life is not None), default=begun)
    return not left or now - last_life >= LIFELESS_SECONDS


def _group(parts: list[Part]) -> Any:
    """Lines and tables as one thing to draw; the terminal's width folds long lines."""
    from rich.console import Group
    from rich.text import Text

    from lmc_sweep.cli.console import printable

    return Group(*(Text(printable(part)) if isinstance(part, str) else part for part in parts))
