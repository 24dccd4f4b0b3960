"""Progress of a run on a terminal, or as plain lines where there is none."""

from __future__ import annotations

import time
from types import TracebackType
from typing import TYPE_CHECKING

from rich.console import Console
from rich.live import Live
from rich.table import Table
from rich.text import Text

from lmc_sweep.cli.console import KIND_NAMES, duration, left_out_lines, say, table

if TYPE_CHECKING:
    from lmc_sweep.execution.executor import Executor
    from lmc_sweep.execution.progress import Progress
    from lmc_sweep.execution.task import ItemFailure
    from lmc_sweep.planning.plan import Plan

PLAIN_SECONDS = 10.0
BAR_CELLS = 24


class ConsoleReporter:
    """Shows a run as it goes: a live table on a terminal, a line every ten seconds elsewhere."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._last_line = 0.0
        self._shown_causes: set[str] = set()
        self._start_done: dict[str, int] = {}

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
        self._start_done = {kind: len(done) for kind, done in plan.done.items()}
        self._last_line = time.monotonic()
        if self._console.is_terminal:
            self._live = Live(console=self._console, refresh_per_second=4, transient=True)
            self._live.start()

    def progressed(self, progress: Progress) -> None:
        """Redraws the table, or prints a line now and then."""
        if self._live:
            self._live.update(self._table(progress))
            return
        now = time.monotonic()
        if now - self._last_line < PLAIN_SECONDS:
            return
        self._last_line = now
        counts = ", ".join(
            f"{KIND_NAMES[kind]} {k.done}/{k.total}" for kind, k in progress.kinds.items() if k.total
        )
        say(
            self._console,
            f"[{duration(progress.elapsed_seconds)}] {counts}; ETA {duration(progress.eta_seconds)}",
        )

    def failed(self, failure: ItemFailure, attempts: int) -> None:
        """Shows the first failure of each cause at once."""
        cause = f"{failure.error_type}: {failure.message.splitlines()[0] if failure.message else ''}"
        if cause in self._shown_causes:
            return
        self._shown_causes.add(cause)
        say(self._console, f"Failed: {failure.kind} {failure.item_ids[0]}: {cause}")

    def noticed(self, text: str) -> None:
        """Prints the line."""
        say(self._console, text)

    def _table(self, progress: Progress) -> Table:
        rows = []
        for kind, k in progress.kinds.items():
            if not k.total:
                continue
            filled = round(BAR_CELLS * (k.done + k.failed + k.blocked) / k.total)
            rate = (k.done - self._start_done.get(kind, 0)) / max(progress.elapsed_seconds, 1e-9)
            rows.append(
                [
                    KIND_NAMES[kind],
                    "█" * filled + "░" * (BAR_CELLS - filled),
                    f"{k.done}/{k.total}",
                    f"{rate:.1f}/s",
                    f"{k.failed} failed" if k.failed else "",
                ]
            )
        made = table("", ["", "", "done", "rate", ""], rows)
        made.caption = Text(
            f"{progress.running} batches running, {duration(progress.elapsed_seconds)} gone, "
            f"ETA {duration(progress.eta_seconds)}"
        )
        made.caption_justify = "left"
        return made
