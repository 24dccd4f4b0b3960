"""What became of a run, as people read it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

from lmc_sweep.cli.console import clipped, console, counted, duration, say
from lmc_sweep.cli.plan_lines import held_back_lines
from lmc_sweep.errors import StoreError
from lmc_sweep.kinds import KIND_NAMES

if TYPE_CHECKING:
    from lmc_sweep.execution.run import RunResult
    from lmc_sweep.execution.task import ItemFailure

SHOWN_FAILURES = 20
FIGURES_OF_KIND = {
    "barrier_matrix": "pair_histograms",
    "permutation_path": "permutation_paths",
    "canonical_form": "canonical_distances",
    "ensemble": "ensembles",
    "initialization": "initialization",
}
"""The figure that shows the results of a kind, of those that the table of barriers does not."""

_SHOWN_CHARACTERS = 300  # of an error's message


def print_summary(result: RunResult) -> None:
    """Prints what became of a run: barriers by cell and method, counts, failures and their remedies."""
    from lmc_sweep.analysis.summary import barrier_summary
    from lmc_sweep.cli.barrier_lines import barrier_lines
    from lmc_sweep.planning.items import KINDS

    out = console()
    plan, name, store = result.plan, result.plan.sweep.name, result.store.uri
    if plan.complete and result.progress is None:
        held = ", ".join(f"{len(plan.items[kind])} {KIND_NAMES[kind]}" for kind in KINDS if plan.items[kind])
        say(out, f"Everything is there: {held}. Nothing to do for sweep {name}.")
    study = plan.sweep.barriers
    split = "train" if study is None or "train" in study.interpolation.splits else "test"
    try:
        barriers = barrier_lines(*barrier_summary(result.store, name, split), split, store)
    except (StoreError, OSError) as error:  # the store may be what the run stopped for
        barriers = [f"The barriers cannot be read now: {error}"]
    for line in (*barriers, *_of_random_networks(result), *_of_studies(result, store)):
        say(out, line)
    if result.progress is not None:
        for line in _endings(result, store):
            say(out, line)
    for line in held_back_lines(plan, store):
        say(out, line)


def _of_random_networks(result: RunResult) -> list[str]:
    """Slopes of random networks, where the sweep asks for them."""
    if not result.plan.items["initialization"]:
        return []
    from lmc_sweep.analysis.initialization_rows import read
    from lmc_sweep.cli.initialization_lines import initialization_lines

    try:
        return initialization_lines(read(result.store, result.plan.sweep.name)[0])
    except (StoreError, OSError) as error:
        return [f"The results cannot be read now: {error}"]


def _of_studies(result: RunResult, store: str) -> list[str]:
    """For each kind that has results beside barriers its numbers, the command that draws it, its table."""
    from lmc_sweep.analysis.headlines import headline
    from lmc_sweep.store.schema import TABLE_OF_KIND

    progress, lines = result.progress, []
    for kind, figure in FIGURES_OF_KIND.items():
        done = len(result.plan.done[kind]) if progress is None else 0
        if progress is not None and kind in progress.kinds:
            done = progress.kinds[kind].done
        if done:
            name = KIND_NAMES[kind].capitalize()
            command = f"lmc-sweep plot {shlex.quote(store)} {figure}; table {TABLE_OF_KIND[kind].name}"
            try:
                found = headline(kind, result.store, result.plan.sweep.name)
            except (StoreError, OSError) as error:
                found = f"the results cannot be read now: {error}"
            lines += [f"{name}: {found}", f"  {command}"] if found else [f"{name}: {command}"]
    return lines


def _endings(result: RunResult, store: str) -> list[str]:
    """How a run ended, what it could not do, and what carries on."""
    from lmc_sweep.execution.causes import CAUSES

    assert result.progress is not None
    kinds = {kind: k for kind, k in result.progress.kinds.items() if k.total}
    counts = ", ".join(f"{k.done}/{k.total} {KIND_NAMES[kind]}" for kind, k in kinds.items())
    ending = "Interrupted" if result.interrupted else "Stopped" if result.stop_reason else "Finished"
    lines = [f"{ending} after {duration(result.seconds)}: {counts}. Store: {store}"]
    if result.stop_reason and not result.interrupted:
        lines.append(f"Stopped because: {result.stop_reason}")
    lost = ", ".join(
        f"{count} {cause}"
        for cause, count in result.progress.attempts.items()
        if cause not in CAUSES or CAUSES[cause].max_attempts != 1
    )
    if lost:
        lines.append(f"Attempts that were lost, and made again: {lost}.")
    if result.failures:
        lines += _failed(result, store)
    if result.interrupted or result.stop_reason:
        lines.append("The same command carries on from here.")
    return lines


def _failed(result: RunResult, store: str) -> list[str]:
    """The failures of this run, with the commands that show, repeat and release them."""
    from lmc_sweep.analysis.failures import repro_command
    from lmc_sweep.execution.causes import CAUSES

    assert result.progress is not None
    kinds, plan = result.progress.kinds.items(), result.plan
    failed = sum(k.failed - len(plan.held_back[kind]) for kind, k in kinds)
    blocked = sum(k.blocked - len(plan.blocked[kind]) for kind, k in kinds)
    quoted, first = shlex.quote(store), result.failures[0]
    own = first.cause in CAUSES and not CAUSES[first.cause].again
    again = repro_command(store, first.item_ids[0], user_code=own)
    where = ", in the directory of your module" if own else ", here"
    held = sum(len(f.item_ids) for f in result.failures if f.cause in CAUSES and not CAUSES[f.cause].again)
    items = "1 item" if failed == 1 else f"{failed} items"
    waiting = f", {blocked} more {'waits' if blocked == 1 else 'wait'} for what failed" if blocked else ""
    lines = [
        *_failed_items(result.failures),
        f"{items} failed{waiting}; the rest is stored. By cause: lmc-sweep status {quoted}",
        f"One of them again{where}: {again}",
    ]
    if held:
        lines.append(
            f"{held} of them failed in code of your own, not tried again until released: "
            f"lmc-sweep retry {quoted}"
        )
    return lines


def _failed_items(failures: tuple[ItemFailure, ...]) -> list[str]:
    """One line per kind and cause, the most frequent first: how many items, the first ids, the error."""
    groups: dict[tuple[str, str], list[str]] = {}
    for failure in failures:
        cause = f"{failure.error_type}: {clipped(failure.message, _SHOWN_CHARACTERS)}"
        groups.setdefault((failure.kind, cause), []).extend(failure.item_ids)
    lines = []
    for (kind, cause), found in sorted(groups.items(), key=lambda entry: -len(entry[1]))[:SHOWN_FAILURES]:
        ids = ", ".join(found[:3]) + (", ..." if len(found) > 3 else "")
        lines.append(f"failed: {counted(len(found), kind)} ({ids}): {cause}")
    if len(groups) > SHOWN_FAILURES:
        lines.append(f"... and {len(groups) - SHOWN_FAILURES} more causes")
    return lines
