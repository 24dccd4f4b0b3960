"""What the first Ctrl-C says, and asks for."""

from __future__ import annotations

import signal
from typing import Any

import pytest

from lmc_sweep.execution.executor import InlineExecutor
from lmc_sweep.execution.pace import Rest, rest_seconds
from lmc_sweep.execution.progress import Progress, StopRequest
from lmc_sweep.execution.signals import INTERRUPTED, stop_on_signals
from tests.support.pretended import Listener


def at(running: int, **other: Any) -> Progress:
    """A run with so many batches that run."""
    return Progress(kinds={}, running=running, elapsed_seconds=1.0, eta_seconds=None, **other)


@pytest.mark.parametrize(
    ("progress", "told"),
    [
        (at(1), "1 batch finishes;"),
        (at(2, in_flight_seconds=38.0), "2 batches finish in about 38 s;"),
        (at(2, queued=3, in_flight_seconds=7200.0), "5 batches finish in about 2 h;"),
        (at(1, in_flight_seconds=0.1), "1 batch finishes in about 1 s;"),
    ],
)
def test_the_first_signal_says_how_long_what_runs_will_take(progress: Progress, told: str) -> None:
    """Where an estimate exists, with what is queued; nothing more is started."""
    stop, listener = StopRequest(), Listener()
    with stop_on_signals(stop, listener, InlineExecutor(), lambda: progress):
        signal.raise_signal(signal.SIGINT)
    (line,) = listener.notices
    assert line.startswith(f"Stopping in order: {told} Ctrl-C again cancels")
    assert (INTERRUPTED, False) == (stop.reason, stop.cancel_running)


def test_what_is_in_flight_takes_the_longest_of_it_or_its_share_of_the_slots() -> None:
    """Eight batches of 10 s on two slots take 40 s; one of 60 s among them, 60 s; none, no time."""
    slots = {"network": 2, "barrier": 2}
    assert 40.0 == rest_seconds({"network": Rest(80.0, 10.0, 8)}, slots)
    assert 60.0 == rest_seconds({"network": Rest(60.0, 60.0, 1), "barrier": Rest(20.0, 10.0, 2)}, slots)
    assert rest_seconds({}, slots) is None
