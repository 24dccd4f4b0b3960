"""The status of a sweep as lines and tables that read well in 80 columns."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

from lmc_sweep.cli.console import (
    clipped,
    counted,
    duration,
    eta,
    rate,
    table,
    times,
    two_digits,
)
from lmc_sweep.durations import about
from lmc_sweep.kinds import KIND_NAMES

if TYPE_CHECKING:
    from rich.table import Table

    from lmc_sweep.analysis.failures import FailureGroup
    from lmc_sweep.analysis.progress import SweepStatus
    from lmc_sweep.analysis.run_advice import BatchAdvice

    Part = str | Table

_SHOWN_BATCHES = 5
_SHOWN_FAILURES = 8
_SHOWN_FILES = 8
_SHOWN_CHARACTERS = 300  # of an error's message
_COMPARED_SECONDS = 5.0  # of estimated work, below which start-up is all that a ratio would tell
_FAR_BEYOND = 10.0  # times its estimate


def status_parts(status: SweepStatus, store: str) -> list[Part]:
    """Everything there is to say of one sweep, in the order in which it is read."""
    return [
        f"Sweep {status.sweep}: {status.state}{_heard(status)}",
        *silence_lines(status),
        *_unplanned(status),
        *_runs(status),
        _counts(status),
        *_outlook(status),
        *_batches(status),
        *_attempts(status),
        *_failures(status, store),
    ]


def compact_line(status: SweepStatus) -> str:
    """The same in one line, for a log that grows."""
    counts = ", ".join(
        f"{KIND_NAMES[kind]} {k.done}/{k.total}{f' ({k.failed} failed)' if k.failed else ''}"
        for kind, k in status.kinds.items()
        if k.total
    )
    counts = counts or "no items are recorded"
    at_work = status.state in ("running", "stopping")
    told = status.newest
    outlook = f"; {eta(told.eta_seconds, told.eta_low_seconds, told.eta_high_seconds)}" if at_work else ""
    return f"{status.sweep}: {status.state}; {counts}{outlook}"


def _unplanned(status: SweepStatus) -> list[str]:
    """What is to be done where nothing says what a sweep asks for."""
    if any(kind.total for kind in status.kinds.values()):
        return []
    return ["No items are recorded of it, or their record is damaged: the same lmc-sweep run records them."]


def left_out_lines(problems: list[tuple[str, str]], findings: list[str]) -> list[str]:
    """Files that are left out of every result, and results that disagree."""
    lines = [f"left out: {path}: {reason}" for path, reason in problems[:_SHOWN_FILES]]
    if len(problems) > _SHOWN_FILES:
        lines.append(f"... and {len(problems) - _SHOWN_FILES} more files left out")
    lines += [f"nondeterminism: {finding}" for finding in findings[:_SHOWN_FILES]]
    if len(findings) > _SHOWN_FILES:
        lines.append(f"... and {len(findings) - _SHOWN_FILES} more results that disagree")
    return lines


def _heard(status: SweepStatus) -> str:
    """Since when the run that speaks for the sweep is at work, and when it was last heard of."""
    run = status.newest
    silent = status.silent_seconds(run)
    if status.is_complete:
        return ""
    if run.run_id in status.alive:
        gone = f", {duration(run.elapsed_seconds)} gone" if run.elapsed_seconds is not None else ""
        return gone + (f", last heard of {duration(silent)} ago" if silent is not None else "")
    if run.is_gone:
        return " (its last run was killed or crashed)"
    if run.stop_reason:
        return f" (its last run ended: {run.stop_reason})"
    return ""


def silence_lines(status: SweepStatus) -> list[str]:
    """What it means that a run that had not ended is not heard of; nothing where that is not so."""
    run = status.newest
    silent = status.silent_seconds(run)
    if status.is_complete or run.run_id in status.alive or not run.claims_to_be_alive or silent is None:
        return []
    return [f"No heartbeat for {duration(silent)}: the run is gone, or it cannot write to the store."]


def _runs(status: SweepStatus) -> list[str]:
    """The runs at work by name where they are several, or were asked to stop; else where the one is."""
    lines: list[str] = []
    if status.is_complete:
        return lines
    several = len(status.alive_runs) > 1
    if several:
        lines.append(f"{len(status.alive_runs)} runs at once:")
    for run in status.alive_runs:
        silent = status.silent_seconds(run)
        heard = f", heard of {duration(silent)} ago" if several and silent is not None else ""
        asked = "; was asked to stop" if run.run_id in status.cancelled else ""
        if several or asked:
            lines.append(f"  run {run.run_id[:8]}: {run.state}{heard}{asked}")
        if run.executor:
            lines.append(f"  {run.executor[:1].upper()}{run.executor[1:]}")
    return lines


def _counts(status: SweepStatus) -> Table:
    """Items by kind; columns that would be empty are left out."""
    kinds = {kind: k for kind, k in status.kinds.items() if k.total} or status.kinds
    optional: dict[str, list[Any]] = {
        "failed": [k.failed or "" for k in kinds.values()],
        "blocked": [k.blocked or "" for k in kinds.values()],
        "rate": ["" if status.is_complete else rate(k.rate_per_second) for k in kinds.values()],
    }
    shown = {name: values for name, values in optional.items() if any(values)}
    rows = [
        [KIND_NAMES[kind], f"{k.done}/{k.total}", *(values[position] for values in shown.values())]
        for position, (kind, k) in enumerate(kinds.items())
    ]
    return table("", ["", "done", *shown], rows)


def _outlook(status: SweepStatus) -> list[str]:
    """When it will be done, and how well that was known before."""
    lines = []
    run = status.newest
    if status.alive_runs and not status.is_complete:
        lines.append(eta(run.eta_seconds, run.eta_low_seconds, run.eta_high_seconds))
    estimated, measured = status.estimated_seconds, status.measured_seconds
    if estimated and measured and estimated >= _COMPARED_SECONDS:
        ratio = measured / estimated
        compared = "as estimated" if 0.95 < ratio < 1.05 else f"{two_digits(ratio)} times the estimate"
        subject = "So far it" if status.alive_runs and not status.is_complete else "The last run"
        lines.append(
            f"{subject} took {duration(measured)} of worker time: {compared} ({duration(estimated)})."
        )
    return lines


def _batches(status: SweepStatus) -> list[str]:
    """What runs now, the longest first; and what took longest."""
    at_work = [] if status.is_complete else status.alive_runs
    running = sorted(
        (batch for run in at_work for batch in run.running), key=lambda batch: -(batch.seconds or 0)
    )
    queued = sum(run.num_queued for run in status.alive_runs)
    lines = [f"Running now{f' ({queued} more queued)' if queued else ''}:"] if running else []
    if queued and at_work and not running:
        batches = "batch waits" if queued == 1 else "batches wait"
        lines.append(f"Nothing runs: {queued} {batches} until a machine has room.")
    lines += [f"  {_batch(batch)}" for batch in running[:_SHOWN_BATCHES]]
    if len(running) > _SHOWN_BATCHES:
        lines.append(f"  ... and {len(running) - _SHOWN_BATCHES} more")
    lines += _late(running)
    slowest = status.newest.slowest[:3]
    lines += ["Slowest so far:"] if slowest else []
    return lines + [f"  {_batch(batch)}" for batch in slowest]


def _late(running: list[BatchAdvice]) -> list[str]:
    """That batches may hang, and when that ends."""
    late = [
        (batch.deadline_seconds - batch.seconds)
        for batch in running
        if batch.seconds and batch.deadline_seconds
        if batch.seconds > max(_FAR_BEYOND * (batch.estimated_seconds or 0.0), _FAR_BEYOND)
    ]
    if not late:
        return []
    if len(late) == 1:
        return [f"1 batch is far beyond its estimate; its deadline is in {about(max(late[0], 0.0))}."]
    soon = about(max(min(late), 0.0))
    return [f"{len(late)} batches are far beyond their estimates; the first deadline is in {soon}."]


def _batch(batch: BatchAdvice) -> str:
    """One batch: its age, what was expected, what it is."""
    timing = times(batch.seconds, batch.estimated_seconds, batch.deadline_seconds)
    items = counted(batch.num_items, batch.kind) if batch.num_items else KIND_NAMES.get(batch.kind, "")
    what = f": {clipped(batch.what, 60)}" if batch.what else ""
    again = f" (attempt {batch.attempt})" if (batch.attempt or 1) > 1 else ""
    return f"{timing}, {items}{what}{again}"


def _attempts(status: SweepStatus) -> list[str]:
    """Attempts that were lost and made again, by cause; of a complete sweep, that there were some."""
    from lmc_sweep.execution.causes import CAUSES

    made_again = {
        name: count
        for name, count in status.attempts.items()
        if name not in CAUSES or CAUSES[name].max_attempts != 1
    }
    if not made_again:
        return []
    if status.is_complete:
        lost = sum(made_again.values())
        return [f"{lost} {'attempt was' if lost == 1 else 'attempts were'} lost on the way, and made again."]
    lines = ["Attempts that were lost, and made again:"]
    for name, count in made_again.items():
        meaning = f": {CAUSES[name].meaning}" if name in CAUSES else ""
        lines.append(f"  {count} {name}{meaning}")
    return lines


def _failures(status: SweepStatus, store: str) -> list[str]:
    """What failed and why, with a command that repeats one of each, and what waits for ``retry``."""
    lines = []
    for group in status.failures[:_SHOWN_FAILURES]:
        lines += _failure(group, store)
    if len(status.failures) > _SHOWN_FAILURES:
        lines.append(f"... and {len(status.failures) - _SHOWN_FAILURES} more causes")
    if status.num_held:
        items = "1 failed item is" if status.num_held == 1 else f"{status.num_held} failed items are"
        lines.append(f"{items} not tried again until released:")
        lines.append(f"  lmc-sweep retry {shlex.quote(store)}")
    return lines


def _failure(group: FailureGroup, store: str) -> list[str]:
    """One cause of failures: what, the command that shows it, and whether it waits for a run."""
    what = f"{counted(len(group.item_ids), group.kind)} failed"
    attempts = f" after {group.attempts} attempts" if group.attempts > 1 else ""
    message = clipped(group.message, _SHOWN_CHARACTERS)
    where = ", in the directory of your module:\n   " if group.is_of_user_code else ":"
    lines = [
        f"{what}{attempts}: {group.error_type}: {message} ({group.cause})",
        f"  to see it{where} {group.command(store)}",
    ]
    if group.num_released:
        which = "released" if group.num_released == len(group.item_ids) else f"{group.num_released} released"
        lines.append(f"  {which}: a run tries them again")
    return lines
