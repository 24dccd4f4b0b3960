"""A plan as people read it: what would be done, why, at what cost."""

from __future__ import annotations

import math
import os
import shlex
from typing import TYPE_CHECKING

from lmc_sweep.cli.console import console, duration, say, size, table
from lmc_sweep.cli.plan_totals import totals, totals_line
from lmc_sweep.durations import about
from lmc_sweep.kinds import KIND_NAMES, in_singular

if TYPE_CHECKING:
    from lmc_sweep.planning.plan import Plan

_LONG_SECONDS = 24 * 3600
STARTUP_SECONDS = 20  # Ray, and torch in its workers, on two cores


def print_plan(plan: Plan, store: str) -> None:
    """Prints a plan as a table, with what it would cost."""
    from lmc_sweep.data import present
    from lmc_sweep.execution.preflight import datasets_needed

    out = console()
    columns = ["", "items", "done", "to do", "why", "batches", "worker time", "stored"]
    rows = [
        [
            KIND_NAMES[kind],
            entry["items"],
            entry["done"],
            entry["to_do"],
            _reasons(entry["reasons"], entry["to_do"]),
            entry["batches"],
            duration(entry["seconds"]),
            size(entry["bytes"]),
        ]
        for kind, entry in plan.summary()["kinds"].items()
        if entry["items"] or plan.sweep.networks
    ]
    out.print(table(f"Sweep {plan.sweep.name}, store {store}", columns, rows))
    for name in datasets_needed(plan):
        if not present(name):
            say(out, f"{name} is not here, and a run would refuse: lmc-sweep datasets fetch {name}")
    for line in (*left_out_lines(plan), *held_back_lines(plan, store), *heavy_lines(plan, memory_bytes())):
        say(out, line)
    if plan.complete:
        say(out, "Everything is there; a run would do nothing.")
    elif not plan.batches:
        say(out, "All that is left is held back; a run would do nothing.")
    else:
        workers = f"{plan.num_slots} worker{'s' if plan.num_slots > 1 else ''}"
        epochs = "Networks are counted at max_epochs until some of their cell have stopped. "
        say(
            out,
            f"About {duration(plan.wall_seconds)} on {workers} of this machine, and some {STARTUP_SECONDS} s "
            f"to start them. {epochs if plan.num_to_do('network') else ''}"
            f"Estimated from {plan.rates.source}.",
        )
        say(out, totals_line(totals(plan)))


def _reasons(reasons: dict[str, int], to_do: int) -> str:
    """Why items are to be done, and how many are left alone; the line below the table says why those."""
    left_alone = {reason: count for reason, count in reasons.items() if ": " in reason}
    told = [f"{count} {reason}" for reason, count in reasons.items() if reason not in left_alone and to_do]
    told += [f"{count} {reason.partition(':')[0]}" for reason, count in left_alone.items()]
    return ", ".join(told) or "-"


def left_out_lines(plan: Plan) -> list[str]:
    """What a sweep asks and a plan leaves out, since it has no meaning there."""
    return [f"{count} alignments are left out. {reason}" for reason, count in plan.left_out.items()]


def heavy_lines(plan: Plan, memory: float) -> list[str]:
    """Of each kind of a study, what one item takes where that is more than a machine's memory, or a day.

    Args:
        plan: Whose items are left to do.
        memory: Of this machine, in bytes.
    """
    from lmc_sweep.planning.item_classes import StudyItem

    left: dict[str, list[StudyItem]] = {}
    for item in (item for batch in plan.batches for item in batch.items):
        if isinstance(item, StudyItem):
            left.setdefault(item.kind, []).append(item)
    lines = []
    for kind, items in left.items():
        largest = max(items, key=lambda item: item.working_bytes())
        longest = max(items, key=plan.rates.seconds)
        if (taken := largest.working_bytes()) > memory:
            lines.append(
                f"One {in_singular(kind)} ({largest.words}) takes about {size(taken)} of memory, and this "
                f"machine has {size(memory)}."
            )
        if (seconds := plan.rates.seconds(longest)) > _LONG_SECONDS:
            lines.append(f"One {in_singular(kind)} ({longest.words}) takes about {about(seconds)} by itself.")
    return lines


def memory_bytes() -> float:
    """Memory of this machine; without end where it does not say."""
    try:
        return float(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    except (AttributeError, ValueError, OSError):
        return math.inf


def held_back_lines(plan: Plan, store: str) -> list[str]:
    """What failed in a way that would only be repeated, what waits for it, and how to let it go."""
    held = sum(len(ids) for ids in plan.held_back.values())
    blocked = sum(len(ids) for ids in plan.blocked.values())
    if not held:
        return []
    items = "1 item" if held == 1 else f"{held} items"
    waiting = f"; {blocked} more wait for what it would give" if blocked else ""
    return [
        f"{items} failed in code of your own, held back until released{waiting}. Once it is mended: "
        f"lmc-sweep retry {shlex.quote(store)}"
    ]
