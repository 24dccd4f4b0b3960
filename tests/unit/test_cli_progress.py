"""Times, rates and progress as people read them."""

from __future__ import annotations

import dataclasses
import io

import pytest
from rich.console import Console

from lmc_sweep.cli.console import eta, rate
from lmc_sweep.cli.progress import ConsoleReporter, progress_line, running
from lmc_sweep.durations import about
from lmc_sweep.execution.progress import BatchProgress, KindProgress, Progress
from lmc_sweep.execution.task import ItemFailure

BATCH = BatchProgress("k-2", "network", 16, 200.0, 120.0, 2, "digits, mlp 64x1")
PROGRESS = Progress(
    kinds={
        "network": KindProgress(40, 40, 0, 0, 8.0, 9.0, 0.0),
        "alignment": KindProgress(80, 30, 2, 4, 3.0, 9.0, 0.25),
        "barrier": KindProgress(0, 0, 0, 0, 0.0, 0.0, 0.0),
    },
    running=3,
    elapsed_seconds=250.0,
    eta_seconds=700.0,
    eta_low_seconds=500.0,
    eta_high_seconds=1200.0,
    longest=(BATCH,),
    attempts={"worker_died": 2},
)


@pytest.mark.parametrize(
    ("seconds", "told"),
    [
        (0.4, "0 s"),
        (99, "99 s"),
        (720, "12 min"),
        (5994, "100 min"),
        (6000, "1.7 h"),
        (86400, "24 h"),
        (864000, "10 days"),
    ],
)
def test_estimates_are_told_roughly(seconds: float, told: str) -> None:
    """An estimate has two digits or so and one unit."""
    assert told == about(seconds)


@pytest.mark.parametrize(
    ("times", "told"),
    [
        ((None, None, None), "ETA not known yet"),
        ((720, 480, 1200), "ETA 12 min (8 to 20 min)"),
        ((80, 50, 130), "ETA 80 s (50 s to 2 min)"),
        ((80, 80, 80), "ETA 80 s"),
        ((80, None, 90), "ETA 80 s"),
    ],
)
def test_an_eta_names_its_range(times: tuple[float | None, ...], told: str) -> None:
    """The range stands in parentheses, with its unit once where both ends share it."""
    assert told == eta(*times)


@pytest.mark.parametrize(
    ("per_second", "told"),
    [(None, ""), (0.0, ""), (3.21, "3.2/s"), (1234.5, "1234/s"), (0.2, "12/min"), (0.001, "3.6/h")],
)
def test_rates_take_the_unit_that_suits(per_second: float | None, told: str) -> None:
    """A slow kind is told per minute or hour, not as a fraction of an item."""
    assert told == rate(per_second)


def test_a_line_tells_all_that_matters() -> None:
    """Counts of kinds that there are, failures, losses, rate, ETA with range, and what runs longest."""
    assert (
        "[4 min 10 s] networks 40/40, alignments 30/80; 2 failed; 4 blocked; lost: 2 worker_died; "
        "15/min alignments; ETA 12 min (8 to 20 min); "
        "3 batches running, longest 3 min 20 s of about 2 min, 16 networks: digits, mlp 64x1 (attempt 2)"
    ) == progress_line(PROGRESS)


def test_what_queues_is_not_told_as_running() -> None:
    """Batches that wait for a slot are counted by themselves."""
    queued = dataclasses.replace(PROGRESS, running=1, queued=2, longest=())
    assert "1 batch running, 2 queued" == running(queued)


def test_a_terminal_shows_what_runs() -> None:
    """On a terminal of 80 columns the drawing holds the same, and no line is longer."""
    text = io.StringIO()
    console = Console(file=text, width=80, force_terminal=True, color_system=None, legacy_windows=False)
    console.print(ConsoleReporter(console)._drawn(PROGRESS))
    lines = text.getvalue().splitlines()
    assert all(len(line) <= 80 for line in lines)
    assert "alignments  ██████████░░░░░░░░░░░░░░  30/80  15/min  2 failed, 4 blocked" in lines
    assert any("ETA 12 min (8 to 20 min), 3 batches running" in line for line in lines)
    assert any("16 networks: digits, mlp 64x1" in line for line in lines)


def test_each_cause_is_shown_once_and_not_without_end() -> None:
    """Failures of one cause are one line; a thousand causes do not flood a log."""
    text = io.StringIO()
    reporter = ConsoleReporter(Console(file=text, width=200))
    for number in range(1000):
        reporter.failed(
            ItemFailure("barrier", (f"b{number}",), "ValueError", f"bad {number // 2}"), attempts=1
        )
    lines = text.getvalue().splitlines()
    assert "Failed: barrier b0: ValueError: bad 0" == lines[0]
    assert "Failed: barrier b2: ValueError: bad 1" == lines[1]
    assert 21 == len(lines)
