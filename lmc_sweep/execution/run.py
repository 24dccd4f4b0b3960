"""``run``: plan a sweep, execute what is missing, say what became of it."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from lmc_sweep.config import load_sweep
from lmc_sweep.config.sweep import Sweep
from lmc_sweep.errors import SweepError
from lmc_sweep.execution import preflight
from lmc_sweep.execution.driver import Driver
from lmc_sweep.execution.executor import Executor, InlineExecutor
from lmc_sweep.execution.progress import Progress, Reporter, StopRequest
from lmc_sweep.execution.task import ItemFailure
from lmc_sweep.planning.items import KINDS
from lmc_sweep.planning.plan import Plan, make_plan
from lmc_sweep.store.store import Store, open_if_exists, require_writable


@dataclass(frozen=True)
class RunResult:
    """What became of a run."""

    plan: Plan
    store: Store
    progress: Progress | None
    """None where there was nothing to do."""
    interrupted: bool
    stop_reason: str | None
    seconds: float
    failures: tuple[ItemFailure, ...] = ()

    @property
    def num_failed(self) -> int:
        """Items that failed or were held back, and items that wait for those."""
        if self.progress is None:
            return self.plan.num_held_back
        return sum(k.failed + k.blocked for k in self.progress.kinds.values())

    @property
    def exit_code(self) -> int:
        """0 all done, 1 some items failed, 130 interrupted."""
        if self.interrupted:
            return 130
        return 1 if self.num_failed or self.stop_reason else 0


class SilentReporter:
    """Tells nobody."""

    def started(self, plan: Plan, executor: Executor) -> None:
        """Nothing."""

    def progressed(self, progress: Progress) -> None:
        """Nothing."""

    def failed(self, failure: ItemFailure, attempts: int) -> None:
        """Nothing."""

    def noticed(self, text: str) -> None:
        """Nothing."""


def num_local_slots(sweep: Sweep, inline: bool) -> int:
    """Tasks that this machine can run at a time."""
    if inline:
        return 1
    return max(1, int(num_cores() / sweep.execution.num_cpus))


def num_cores() -> int:
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run(
    sweep: Sweep | str | Path,
    *,
    store: str | None = None,
    address: str = "local",
    inline: bool = False,
    max_failures: int | None = None,
    reporter: Reporter | None = None,
) -> RunResult:
    """Runs a sweep to its end and returns what became of it. Whatever the store holds is not done again.

    Args:
        sweep: A sweep, or the path of a sweep file.
        store: Path of the store; the sweep's own where it is None.
        address: ``local`` starts Ray here, ``auto`` or ``HOST:PORT`` joins a running cluster.
        inline: Run in this process, without Ray.
        max_failures: Stop in order after this many failed items.
        reporter: Who is told how the run goes.

    Raises:
        SweepError: If the sweep, the store, a data set or the cluster cannot be used; nothing was started.
    """
    start = time.monotonic()
    asked = sweep if isinstance(sweep, Sweep) else load_sweep(Path(sweep))
    listener = reporter or SilentReporter()
    preflight.check(asked, listener.noticed)
    uri = store or asked.store
    require_writable(uri)
    existing = open_if_exists(uri)
    plan = make_plan(asked, existing, num_local_slots(asked, inline))
    preflight.require_data(plan)
    executor = _executor(asked, address, inline) if plan.batches else None
    if executor and executor.num_slots("network") != plan.num_slots:
        plan = make_plan(asked, existing, executor.num_slots("network"))  # batches for the cluster's size
    try:
        kept = existing or Store.create(uri)  # nothing is written before everything else is known to be there
        items = [(kind, item.id) for kind, of_kind in plan.items.items() for item in of_kind]
        kept.record_sweep(asked.name, asked.text, items)
    except BaseException:
        if executor:
            executor.close()
        raise
    if executor is None:
        return RunResult(plan, kept, None, False, None, time.monotonic() - start)
    stop = StopRequest()
    driver = Driver(plan, kept, executor, listener, stop, max_failures)
    interrupted = False
    try:
        with _stop_on_signals(stop, listener) as signalled:
            driver.run()
            interrupted = bool(signalled)
    except KeyboardInterrupt:
        interrupted = True
    finally:
        progress = driver.progress()
        executor.close()
    seconds = time.monotonic() - start
    return RunResult(plan, kept, progress, interrupted, stop.reason, seconds, tuple(driver.failures))


def _executor(sweep: Sweep, address: str, inline: bool) -> Executor:
    if inline:
        _refuse_inline(sweep)
        return InlineExecutor()
    from lmc_sweep.execution.ray_executor import RayExecutor

    return RayExecutor(address, sweep.execution)


def _refuse_inline(sweep: Sweep) -> None:
    """Refuses resources that this process cannot give its tasks."""
    cores = num_cores()
    for kind in KINDS:
        cpus, gpus = sweep.execution.resources(kind)  # type: ignore[arg-type]
        if gpus:
            raise SweepError(
                f"execution: num_gpus is {gpus:g}, and --inline runs on the CPU. Leave it out, or run on Ray."
            )
        if cpus > cores:
            raise SweepError(
                f"execution: num_cpus is {cpus:g}, and this machine has {cores}. Lower it, or join a cluster."
            )


@contextmanager
def _stop_on_signals(stop: StopRequest, reporter: Reporter) -> Iterator[list[int]]:
    """The first SIGINT or SIGTERM asks to stop in order, the second stops at once. Yields what arrived."""
    arrived: list[int] = []
    if threading.current_thread() is not threading.main_thread():
        yield arrived  # signals reach the main thread alone; a notebook's thread stops by its own means
        return

    def handle(number: int, frame: FrameType | None) -> None:
        arrived.append(number)
        if len(arrived) > 1:
            raise KeyboardInterrupt
        stop.reason = "interrupted"
        reporter.noticed("Stopping: what runs is finished and stored. Once more to stop at once.")

    before = {number: signal.signal(number, handle) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield arrived
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
