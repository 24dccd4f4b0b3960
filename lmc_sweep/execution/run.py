"""``run``: plan a sweep, execute what is missing, say what became of it."""

from __future__ import annotations

import os
import time
from dataclasses import dataclass
from pathlib import Path

from lmc_sweep.config.sweep import Sweep
from lmc_sweep.errors import SweepError
from lmc_sweep.execution import preflight
from lmc_sweep.execution.driver import Driver
from lmc_sweep.execution.executor import Executor, InlineExecutor, OnNodes
from lmc_sweep.execution.node_check import Needs
from lmc_sweep.execution.progress import CANCELLED, Progress, Reporter, StopRequest
from lmc_sweep.execution.signals import INTERRUPTED, stop_on_signals
from lmc_sweep.execution.task import ItemFailure
from lmc_sweep.planning.items import KINDS
from lmc_sweep.planning.plan import Plan, make_plan
from lmc_sweep.planning.sweep_files import load
from lmc_sweep.store.files import open_files
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
        sweep: A sweep, or the path or URI of a sweep file.
        store: Path of the store; the sweep's own where it is None.
        address: ``local`` starts Ray here, ``auto`` or ``HOST:PORT`` joins a running cluster.
        inline: Run in this process, without Ray.
        max_failures: Stop in order after this many failed items.
        reporter: Who is told how the run goes.

    Raises:
        SweepError: If the sweep, the store, a data set or the cluster cannot be used; nothing was started.
    """
    start = time.monotonic()
    asked = sweep if isinstance(sweep, Sweep) else load(sweep)
    listener = reporter or SilentReporter()
    preflight.check(asked, listener.noticed)
    uri = store or asked.store
    require_writable(uri)
    existing = open_if_exists(uri)
    plan = make_plan(asked, existing, num_local_slots(asked, inline))
    preflight.require_data(plan)
    if not plan.batches:
        kept = _recorded(plan, existing, uri)
        return RunResult(plan, kept, None, False, None, time.monotonic() - start)
    executor = _executor(asked, address, inline, listener)
    try:
        _ask_nodes(executor, plan, existing, uri)
        # batches for the cluster's size, or for the machines that are waited for
        num_slots = executor.num_slots("network") or asked.execution.num_pending or 1
        if num_slots != plan.num_slots:
            plan = make_plan(asked, existing, num_slots)
        kept = _recorded(plan, existing, uri)
        if isinstance(executor, OnNodes):
            executor.store_is_made(_needs(plan, kept, uri))
        stop = StopRequest()
        driver = Driver(plan, kept, executor, listener, stop, max_failures)
    except BaseException:
        executor.close()
        raise
    with stop_on_signals(stop, listener, executor, driver.progress) as signalled:
        try:
            driver.run()
        except KeyboardInterrupt:
            stop.reason = stop.reason or INTERRUPTED
        finally:
            progress = driver.progress()
            executor.close()
    interrupted = bool(signalled) or stop.reason in (INTERRUPTED, CANCELLED)
    seconds = time.monotonic() - start
    return RunResult(plan, kept, progress, interrupted, stop.reason, seconds, tuple(driver.failures))


def _recorded(plan: Plan, existing: Store | None, uri: str) -> Store:
    """The store, made if need be, with what the sweep asks for: nothing was written before."""
    kept = existing or Store.create(uri)
    items = [(kind, item.id) for kind, of_kind in plan.items.items() for item in of_kind]
    kept.record_sweep(plan.sweep.name, plan.sweep.text, items)
    return kept


def _ask_nodes(executor: Executor, plan: Plan, existing: Store | None, uri: str) -> None:
    """Raises SweepError where a machine lacks what the run needs; nothing was written before."""
    if isinstance(executor, OnNodes):
        executor.require_nodes(_needs(plan, existing, uri))


def _needs(plan: Plan, store: Store | None, uri: str) -> Needs:
    """What every machine must have."""
    return Needs(
        store_uri=store.files.address if store else open_files(uri).address,
        marker=store.terms.marker if store else b"",
        datasets=tuple(preflight.datasets_needed(plan)),
        modules=preflight.modules_needed(plan),
        import_path=str(Path.cwd()),
    )


def _executor(sweep: Sweep, address: str, inline: bool, listener: Reporter) -> Executor:
    if inline:
        _refuse_inline(sweep)
        return InlineExecutor()
    from lmc_sweep.execution.ray_executor import RayExecutor

    return RayExecutor(address, sweep.execution, listener.noticed)


def _refuse_inline(sweep: Sweep) -> None:
    """Refuses resources that this process cannot give its tasks."""
    cores = num_cores()
    for kind in KINDS:
        cpus, gpus = sweep.execution.resources(kind)  # type: ignore[arg-type]
        if gpus:
            raise SweepError(
                f"execution: num_gpus is {gpus:g}, and --inline runs on the CPU. Leave it out, or run on Ray."
            )
        if sweep.execution.labels_of(kind):  # type: ignore[arg-type]
            raise SweepError(
                "execution: labels choose among the nodes of a cluster, and --inline runs in this "
                "process. Leave "
                "them out, or run on Ray."
            )
        if cpus > cores:
            raise SweepError(
                f"execution: num_cpus is {cpus:g}, and this machine has {cores}. Lower it, or join a cluster."
            )
