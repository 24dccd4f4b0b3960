"""Sweeps on a private local Ray cluster, by the real entry point: run, run again, kill."""

from __future__ import annotations

import random
import resource
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from ray_machines import HANGS_SECONDS, RAY_TEST_SECONDS, wait_until

from lmc_sweep.config import parse_sweep
from lmc_sweep.execution.run import run

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(RAY_TEST_SECONDS)]

SWEEP = """
name: small
store: store
networks:
  - dataset: digits
    architecture: {name: mlp, width: [4, 8, 16, 32], depth: [1, 2]}
    training: {max_epochs: 15}
    seeds: 4
barriers:
  alignments:
    - {method: identity}
    - {method: weight_matching}
    - {method: simulated_annealing, steps: 300}
  interpolation: {alphas: 5}
"""
COUNTS = {"networks": 32, "alignments": 96, "barriers": 192}
Tables = Callable[[Path], dict[str, list[tuple[Any, ...]]]]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same sweep, run inline and left in peace."""
    path = tmp_path_factory.mktemp("undisturbed") / "store"
    assert 0 == run(parse_sweep(SWEEP), store=str(path), inline=True).exit_code
    return path


@pytest.fixture
def _nothing_left_behind() -> Iterator[None]:
    """No process that a test started outlives it; what earlier tests started is not its own."""
    before = set(psutil.Process().children(recursive=True))
    yield
    deadline = time.monotonic() + 300
    while left := [
        p
        for p in psutil.Process().children(recursive=True)
        if p not in before and p.status() != psutil.STATUS_ZOMBIE
    ]:
        assert time.monotonic() < deadline, f"still running: {left}"
        time.sleep(0.2)


def start(folder: Path, command: str = "run") -> subprocess.Popen[str]:
    """Starts ``lmc-sweep`` with the sweep file in a process group of its own."""
    (folder / "sweep.yaml").write_text(SWEEP)
    return subprocess.Popen(
        [str(Path(sys.executable).with_name("lmc-sweep")), command, "sweep.yaml"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    """Waits for the end; what was said."""
    return process.communicate(timeout=HANGS_SECONDS)[1]


@pytest.mark.usefixtures("_nothing_left_behind")
def test_ray_and_inline_give_the_same_tables(
    tmp_path: Path, undisturbed: Path, measured_tables: Tables
) -> None:
    """Ids are identical and numbers equal bit for bit, whoever computed them; again does little but plan.

    That is in seconds of the processors: how long it takes beside other tests says nothing.
    """
    process = start(tmp_path)
    said = finish(process)
    assert 0 == process.returncode, said
    tables = measured_tables(tmp_path / "store")
    assert COUNTS == {name: len(rows) for name, rows in tables.items()}
    assert measured_tables(undisturbed) == tables
    began = cpu_seconds()
    finish(start(tmp_path, "plan"))
    planned = cpu_seconds()
    again = start(tmp_path)
    said = finish(again)
    assert (0, True, False) == (again.returncode, "Everything is there" in said, "cluster" in said)
    assert cpu_seconds() - planned < 4 * (planned - began)


@pytest.mark.fault
@pytest.mark.usefixtures("_nothing_left_behind")
def test_a_driver_killed_at_random_moments_loses_nothing(
    tmp_path: Path, undisturbed: Path, measured_tables: Tables
) -> None:
    """kill -9 of the driver, before its first record and after some; then the same command ends with the
    undisturbed tables."""
    moments = random.Random(20261122)
    for num_more in (0, 1, 8):
        wanted = len(records(tmp_path)) + num_more
        process = start(tmp_path)
        wait_until(
            lambda wanted=wanted, process=process: (  # type: ignore[misc]
                (len(records(tmp_path)) >= wanted and (tmp_path / "store" / "store.json").exists())
                or process.poll() is not None
            ),
            lambda: "no records",
        )
        time.sleep(moments.uniform(0, 2))
        process.kill()
        process.communicate()
    published = records(tmp_path)
    process = start(tmp_path)
    said = finish(process)
    assert 0 == process.returncode, said
    assert published <= records(tmp_path)
    assert measured_tables(undisturbed) == measured_tables(tmp_path / "store")


def cpu_seconds() -> float:
    """What the processes that this one started and that are over have computed."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def records(folder: Path) -> set[str]:
    """Names of the record files that were published."""
    return {path.name for path in (folder / "store" / "records").rglob("*.parquet") if path.name[0] != "."}
