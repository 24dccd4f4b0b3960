"""Progress of a run on a terminal, or as plain lines where there is none."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from lmc_sweep.cli.console import clipped, counted, duration, eta, rate, say, table, times
from lmc_sweep.cli.plan_lines import left_out_lines
from lmc_sweep.kinds import KIND_NAMES, in_singular

if TYPE_CHECKING:
    from lmc_sweep.execution.executor import Executor
    from lmc_sweep.execution.progress import BatchProgress, Progress
    from lmc_sweep.execution.task import ItemFailure
    from lmc_sweep.planning.plan import Plan

PLAIN_SECONDS = 10.0
BAR_CELLS = 24
SHOWN_BATCHES = 4
SHOWN_CAUSES = 20
SHOWN_CHARACTERS = 300  # of an error's message


class ConsoleReporter:
    """Shows a run as it goes: a live table on a terminal, a line every ten seconds elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._last_line = 0.0
        self._shown_causes: set[str] = set()

    def __enter__(self) -> ConsoleReporter:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if self._live:
            self._live.stop()

    def started(self, plan: Plan, executor: Executor) -> None:
        """Says what is going to happen, and where."""
        left = ", ".join(
            f"{plan.num_to_do(kind)} {KIND_NAMES[kind]}" for kind in plan.items if plan.num_to_do(kind)
        )
        say(
            self._console,
            f"Sweep {plan.sweep.name}: {left} to do in {len(plan.batches)} batches, "
            f"about {duration(plan.wall_seconds)} once the workers have started. {executor.description}.",
        )
        for line in left_out_lines(plan):
            say(self._console, line)
        self._last_line = time.monotonic()
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=4, transient=True)
            self._live.start()

    def progressed(self, progress: Progress) -> None:
        """Redraws the table, or prints a line now and then."""
        if self._live:
            self._live.update(self._drawn(progress))
            return
        now = time.monotonic()
        if now - self._last_line < PLAIN_SECONDS:
            return
        self._last_line = now
        say(self._console, progress_line(progress))

    def failed(self, failure: ItemFailure, attempts: int) -> None:
        """Shows the first failure of each cause at once, of the first causes."""
        cause = f"{failure.error_type}: {clipped(failure.message, SHOWN_CHARACTERS)}"
        if cause in self._shown_causes or len(self._shown_causes) > SHOWN_CAUSES:
            return
        self._shown_causes.add(cause)
        if len(self._shown_causes) > SHOWN_CAUSES:
            say(self._console, "Failed: others, too. lmc-sweep status lists them by cause.")
            return
        after = f" after {attempts} attempts" if attempts > 1 else ""
        say(self._console, f"Failed: {in_singular(failure.kind)} {failure.item_ids[0]}{after}: {cause}")

    def noticed(self, text: str) -> None:
        """Prints the line."""
        say(self._console, text)

    def _drawn(self, progress: Progress) -> Group:
        """What a terminal shows while a run goes: bars, the time that is left, what runs, what was lost."""
        kinds = {kind: k for kind, k in progress.kinds.items() if k.total}
        rows = [
            [
                KIND_NAMES[kind],
                _bar(k.done + k.failed + k.blocked, k.total),
                f"{k.done}/{k.total}",
                rate(k.rate_per_second),
                ", ".join(
                    f"{count} {what}"
                    for count, what in ((k.failed, "failed"), (k.blocked, "blocked"))
                    if count
                ),
            ]
            for kind, k in kinds.items()
        ]
        lines = [
            f"{duration(progress.elapsed_seconds)} gone, "
            f"{eta(progress.eta_seconds, progress.eta_low_seconds, progress.eta_high_seconds)}, "
            f"{running(progress)}",
            *(f"  {clipped(batch_line(batch), 100)}" for batch in progress.longest[:SHOWN_BATCHES]),
            *([f"Lost, and made again: {lost}"] if (lost := _lost(progress)) else []),
        ]
        return Group(table("", ["", "", "done", "rate", ""], rows), Text("\n".join(lines)))


def progress_line(progress: Progress) -> str:
    """How far a run is in one line: counts, what went wrong, rates, the time that is left, what runs."""
    kinds = {kind: k for kind, k in progress.kinds.items() if k.total}
    counts = ", ".join(f"{KIND_NAMES[kind]} {k.done}/{k.total}" for kind, k in kinds.items())
    failed, blocked = (sum(getattr(k, what) for k in kinds.values()) for what in ("failed", "blocked"))
    rates = ", ".join(
        f"{rate(k.rate_per_second)} {KIND_NAMES[kind]}" for kind, k in kinds.items() if k.rate_per_second
    )
    parts = [
        f"[{duration(progress.elapsed_seconds)}] {counts}",
        f"{failed} failed" if failed else "",
        f"{blocked} blocked" if blocked else "",
        f"lost: {lost}" if (lost := _lost(progress)) else "",
        rates,
        eta(progress.eta_seconds, progress.eta_low_seconds, progress.eta_high_seconds),
        f"{running(progress)}, longest {batch_line(progress.longest[0])}" if progress.longest else "",
    ]
    return "; ".join(part for part in parts if part)


def batch_line(batch: BatchProgress) -> str:
    """One batch that runs: its age, what was expected, what it is."""
    timing = times(batch.seconds, batch.estimated_seconds, batch.deadline_seconds)
    again = f" (attempt {batch.attempt})" if batch.attempt > 1 else ""
    return f"{timing}, {counted(batch.num_items, batch.kind)}: {batch.what}{again}"


def running(progress: Progress) -> str:
    """How many batches run, and how many wait for a slot."""
    queued = f", {progress.queued} queued" if progress.queued else ""
    return f"{progress.running} {'batch' if progress.running == 1 else 'batches'} running{queued}"


def _bar(part: int, whole: int) -> str:
    """How much of the whole is settled; full only when all of it is."""
    filled = BAR_CELLS * part // whole
    return "█" * filled + "░" * (BAR_CELLS - filled)


def _lost(progress: Progress) -> str:
    """Attempts without results, by cause; not of causes after which none is made again."""
    from lmc_sweep.execution.causes import CAUSES

    return ", ".join(
        f"{count} {cause}"
        for cause, count in progress.attempts.items()
        if cause not in CAUSES or CAUSES[cause].max_attempts != 1
    )
