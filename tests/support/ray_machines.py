"""Clusters of several machines on this one, whose processes are known by their working directory."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil

from lmc_sweep.config import parse_sweep
from lmc_sweep.execution.run import run

OBJECT_STORE_BYTES = 80 * 2**20
ENVIRONMENT = {"RAY_AUTH_MODE": "disabled", "RAY_USAGE_STATS_ENABLED": "0"}
HANGS_SECONDS = 900.0
"""A limit that only says that something hangs.

It is longer than a batch that Ray has lost takes to be missed: 300 s, and as long again where it queued.
"""
RAY_TEST_SECONDS = 2400
"""The same for a whole test that waits for several such things."""
QUICK_CHECKS = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 300,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 3,
}
"""A machine that is gone is noticed after some 3 s instead of 15."""

SWEEP = """
name: faults
store: store
networks:
  - dataset: digits
    architecture: {name: mlp, width: [4, 8], depth: [1, 2]}
    training: {max_epochs: 20}
    seeds: 4
barriers:
  alignments:
    - {method: identity}
    - {method: weight_matching}
    - {method: simulated_annealing, steps: 500}
  interpolation: {alphas: 5}
execution: {max_stack_bytes: 2e6}
"""


@contextlib.contextmanager
def machines(folder: Path, count: int, *, quick_checks: bool) -> Iterator[Any]:
    """A cluster of a head without CPUs and so many machines with one each; nothing of it is left."""
    from ray.cluster_utils import Cluster

    before, known = Path.cwd(), dict(os.environ)
    os.environ.update(ENVIRONMENT)
    os.chdir(folder)  # what is started takes it over
    cluster = None
    try:
        head: dict[str, Any] = {"num_cpus": 0, "include_dashboard": False, **_small()}
        head["_system_config"] = QUICK_CHECKS if quick_checks else {}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        for _ in range(count):
            add_machine(cluster)
        os.chdir(before)
        yield cluster
    finally:
        os.chdir(before)
        resume(folder)
        if cluster is not None:
            with contextlib.suppress(Exception):  # machines that a test has killed
                cluster.shutdown()
        os.environ.clear()
        os.environ.update(known)
        end(folder)


def add_machine(cluster: Any) -> Any:
    """One more machine with one CPU."""
    return cluster.add_node(num_cpus=1, **_small())


def processes(folder: Path) -> list[psutil.Process]:
    """Processes with that working directory, other than this one, that are not over."""
    found = []
    for process in psutil.process_iter():
        try:
            over = process.status() == psutil.STATUS_ZOMBIE or process.pid == os.getpid()
            if not over and Path(process.cwd()) == folder:
                found.append(process)
        except (psutil.Error, OSError):
            continue
    return found


def lives(process: psutil.Process) -> bool:
    """Whether a process is there and not over."""
    try:
        return process.is_running() and process.status() != psutil.STATUS_ZOMBIE
    except psutil.Error:
        return False


def title(process: psutil.Process) -> str:
    """The command line of a process; a busy Ray worker's is the name of its task."""
    try:
        return " ".join(process.cmdline()).strip()
    except (psutil.Error, OSError):
        return ""


def busy(folder: Path, *kinds: str) -> list[psutil.Process]:
    """Workers that run a batch of one of the kinds now; of any, where none is named."""
    titles = tuple(f"ray::{kind}" for kind in kinds or ("network", "alignment", "barrier"))
    return [process for process in processes(folder) if title(process).startswith(titles)]


def of_machine(machine: Any) -> list[psutil.Process]:
    """The process that manages a machine, and all that it started."""
    raylet = psutil.Process(machine.all_processes["raylet"][0].process.pid)
    return [raylet, *raylet.children(recursive=True)]


def records(folder: Path) -> set[str]:
    """Names of the record files of results that were published."""
    tables = ("networks", "alignments", "barriers")
    root = folder / "store" / "records"
    return {
        path.name for table in tables for path in (root / table).rglob("*.parquet") if path.name[0] != "."
    }


def wait_until(condition: Callable[[], Any], told: Callable[[], str]) -> None:
    """Returns once the condition holds; fails with what was told where something hangs."""
    deadline = time.monotonic() + HANGS_SECONDS
    while not condition():
        assert time.monotonic() < deadline, told()[-3000:]
        time.sleep(0.02)


def resume(folder: Path) -> None:
    """Lets everything of the folder that was stopped go on."""
    for process in processes(folder):
        with contextlib.suppress(psutil.Error):
            if process.status() == psutil.STATUS_STOPPED:
                process.resume()


def end(folder: Path) -> None:
    """kill -9 to whatever is still there of the folder."""
    for process in processes(folder):
        with contextlib.suppress(psutil.Error):
            process.kill()


def left(folder: Path) -> list[str]:
    """Titles of the processes of the folder that do not end by themselves.

    Two agents of Ray's own look for a cluster that was killed for about a minute, and then end.
    """
    deadline = time.monotonic() + 300.0
    while (found := _without_agents(folder)) and time.monotonic() < deadline:
        time.sleep(0.2)
    return found


def _without_agents(folder: Path) -> list[str]:
    """Titles of the processes of the folder but Ray's agents."""
    titles = [title(process) for process in processes(folder)]
    return [one for one in titles if not one.startswith(("ray::DashboardAgent", "ray::RuntimeEnvAgent"))]


def in_peace(folder: Path) -> Path:
    """A store with the same sweep, run in this process and left alone."""
    assert 0 == run(parse_sweep(SWEEP), store=str(folder / "store"), inline=True).exit_code
    return folder / "store"


def _small() -> dict[str, Any]:
    return {"object_store_memory": OBJECT_STORE_BYTES}
