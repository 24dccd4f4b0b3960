"""What Ctrl-C and SIGTERM do to a run: once it stops in order, twice it cancels, a third time it ends.

Whatever had finished is stored in each case, and the same command carries on.
"""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from lmc_sweep.durations import about
from lmc_sweep.execution.executor import Executor, InlineExecutor
from lmc_sweep.execution.progress import Progress, Reporter, StopRequest

INTERRUPTED = "interrupted"
EXIT_INTERRUPTED = 130
_SHOW_CURSOR = "\x1b[?25h\n"


@contextmanager
def stop_on_signals(
    stop: StopRequest, reporter: Reporter, executor: Executor, progress: Callable[[], Progress]
) -> Iterator[list[int]]:
    """Turns signals into wishes while it lasts; yields what arrived. Ray must have been started before.

    The first asks the driver to start nothing more, the second to cancel what runs. A task in this process
    cannot be asked: there, the second raises KeyboardInterrupt. The third ends this process and all that it
    started.
    """
    arrived: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield arrived  # signals reach the main thread alone; a notebook's thread stops by its own means
        return

    def handle(number: int, frame: FrameType | None) -> None:
        arrived.append(number)
        if len(arrived) == 1:
            stop.reason = stop.reason or INTERRUPTED
            reporter.noticed(
                f"Stopping in order: {in_flight(progress())}; Ctrl-C again cancels what runs, a third time "
                "ends it at once."
            )
        elif len(arrived) == 2:
            stop.cancel_running = True
            if isinstance(executor, InlineExecutor):
                raise KeyboardInterrupt
            reporter.noticed(
                "Cancelling what runs; a third Ctrl-C ends it at once. What had finished is stored."
            )
        else:
            end_at_once(executor)

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield arrived
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def in_flight(progress: Progress) -> str:
    """What a stop in order waits for, and about how long: ``2 batches finish in about 40 s``."""
    count = progress.running + progress.queued
    what = f"{count} {'batch finishes' if count == 1 else 'batches finish'}"
    seconds = progress.in_flight_seconds
    return what if seconds is None else f"{what} in about {about(max(seconds, 1.0))}"


def end_at_once(executor: Executor) -> None:
    """Ends what the executor started, then this process, without asking either."""
    executor.kill()
    if sys.stderr.isatty():  # a progress display hides the cursor
        os.write(sys.stderr.fileno(), _SHOW_CURSOR.encode())
    os._exit(EXIT_INTERRUPTED)
