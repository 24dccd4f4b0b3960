"""Workers of a running sweep that are killed, stopped, run out of memory, are recycled or run other code."""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from ray_machines import SWEEP, busy, end, left, lives, processes, records, title, wait_until

from lmc_sweep.execution import ray_worker
from lmc_sweep.store.store import Store

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.fault, pytest.mark.timeout(600)]
Tables = Callable[[Path], dict[str, list[tuple[Any, ...]]]]
DEADLINE_SECONDS = 15
"""Mostly enough for a worker to start and to import torch; who is too late gets more the next time."""


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path: Path) -> Iterator[None]:
    """Every process that works in the folder has ended by itself soon after the test."""
    yield
    found = left(tmp_path)
    end(tmp_path)
    assert [] == found


def start(folder: Path, *arguments: str, text: str = SWEEP, **environment: str) -> subprocess.Popen[bytes]:
    """``lmc-sweep run`` on a cluster of its own; what it says goes to ``said.txt``."""
    (folder / "sweep.yaml").write_text(text)
    with (folder / "said.txt").open("ab") as told:
        return subprocess.Popen(
            [str(Path(sys.executable).with_name("lmc-sweep")), "run", "sweep.yaml", *arguments],
            cwd=folder,
            stdout=told,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **environment},
        )


def said(folder: Path) -> str:
    """All that was said."""
    return (folder / "said.txt").read_text(errors="replace")


def kill(found: list[psutil.Process]) -> bool:
    """kill -9 to the first of them that is there."""
    for process in found:
        with contextlib.suppress(psutil.Error):
            process.kill()
            return True
    return False


def test_workers_killed_at_every_stage_cost_their_batches_alone(
    tmp_path: Path, undisturbed: Path, measured_tables: Tables
) -> None:
    """kill -9 while training, while aligning, and between a record's bytes and its name: tried again."""
    process = start(tmp_path)
    for kind in ("network", "alignment"):
        wait_until(
            lambda kind=kind: kill(busy(tmp_path, kind)) or process.poll() is not None,  # type: ignore[misc]
            120,
            lambda: said(tmp_path),
        )
    barriers = tmp_path / "store" / "records" / "barriers"
    wait_until(
        lambda: (any(barriers.glob(".*")) and kill(busy(tmp_path))) or process.poll() is not None,
        120,
        lambda: said(tmp_path),
    )
    assert 0 == process.wait(200), said(tmp_path)
    assert "A worker was lost" in said(tmp_path)
    assert measured_tables(undisturbed) == measured_tables(tmp_path / "store")
    causes = Store(tmp_path / "store").sql("SELECT DISTINCT cause FROM attempts").fetchall()
    assert [("worker_died",)] == causes


def test_a_worker_that_comes_back_after_its_deadline_changes_nothing(
    tmp_path: Path, undisturbed: Path, measured_tables: Tables
) -> None:
    """A process is stopped in the middle of a batch; once its deadline has passed the batch is done
    elsewhere, and the process goes on: every item is there once, with the same numbers."""
    process = start(tmp_path, "--set", f"execution.min_deadline_seconds={DEADLINE_SECONDS}")
    wait_until(lambda: len(records(tmp_path)) >= 8 or process.poll() is not None, 120, lambda: said(tmp_path))
    stopped: list[psutil.Process] = []

    def stop_one() -> bool:
        stopped.extend(busy(tmp_path)[:1])
        return bool(stopped) or process.poll() is not None

    wait_until(stop_one, 60, lambda: said(tmp_path))
    stopped[0].suspend()
    wait_until(
        lambda: (
            any(told in said(tmp_path) for told in ("attempt 2 follows", "submitted anew"))
            or process.poll() is not None
        ),
        120,
        lambda: said(tmp_path),
    )
    assert process.poll() is None, said(tmp_path)
    if lives(stopped[0]):
        stopped[0].resume()
    assert 0 == process.wait(200), said(tmp_path)
    assert measured_tables(undisturbed) == measured_tables(tmp_path / "store")
    assert [] == Store(tmp_path / "store").nondeterminism()


def run_apart(folder: Path, change: str) -> dict[str, Any]:
    """What becomes of the sweep in a process of its own, in which ``change`` was made to the program.

    Ray keeps how a process proves itself for good, and other tests of this process may have settled that.
    """
    program = f"""
import json
from lmc_sweep.config import parse_sweep
from lmc_sweep.execution import driver, ray_functions
from lmc_sweep.execution.run import run
{change}
result = run(parse_sweep({SWEEP!r}), store="store")
lost = dict(result.progress.attempts) if result.progress else None
print(json.dumps({{"exit_code": result.exit_code, "lost": lost, "stop_reason": result.stop_reason}}))
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=300
    )
    assert 0 == done.returncode, done.stderr[-3000:]
    told: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return told


def test_workers_are_recycled_and_nothing_is_lost(
    tmp_path: Path, undisturbed: Path, measured_tables: Tables
) -> None:
    """Processes that are replaced after a few tasks bring the same tables, without one lost attempt."""
    told = run_apart(tmp_path, "ray_functions.MAX_CALLS = 40")
    assert (0, {}) == (told["exit_code"], told["lost"])
    assert measured_tables(undisturbed) == measured_tables(tmp_path / "store")


def test_other_versions_on_workers_stop_the_sweep(tmp_path: Path) -> None:
    """A driver whose torch is not that of the workers ends with 1 and one line that names both versions."""
    other = ray_worker.code.fingerprint().replace("torch ", "torch 0.", 1)
    told = run_apart(tmp_path, f"driver.fingerprint = lambda: {other!r}")
    version = ray_worker.code.version("torch")
    assert 1 == told["exit_code"]
    assert f"torch 0.{version} against torch {version}" in told["stop_reason"]
    assert set() == Store(tmp_path / "store").ids("network")


HUNGRY = '''
"""A module of the user's own; on a worker, once, it takes more memory than there is."""
import pathlib, sys, time
from torch import nn

def build(width=8):
    marker = pathlib.Path("eaten")
    if sys.argv[0].endswith("default_worker.py") and not marker.exists():
        marker.write_text("")
        kept = []
        for _ in range(1000):
            kept.append(bytearray(b"x") * (64 << 20))
            time.sleep(0.01)
    return nn.Sequential(nn.Linear(64, width), nn.ReLU(), nn.Linear(width, 10))
'''
OWN = """
name: own
store: store
networks:
  - {dataset: digits, architecture: {name: 'hungry:build'}, training: {max_epochs: 2}, seeds: 4}
"""


def test_a_worker_that_eats_the_memory_is_replaced(tmp_path: Path) -> None:
    """Ray's memory monitor kills a worker that takes 2 GB too many: told as memory, tried again, done."""
    (tmp_path / "hungry.py").write_text(HUNGRY)
    memory = psutil.virtual_memory()
    threshold = (memory.total - memory.available + 3e9) / memory.total
    if threshold > 0.97:
        pytest.skip("not enough free memory to run out of it on purpose")
    process = start(
        tmp_path,
        text=OWN,
        RAY_memory_usage_threshold=f"{threshold:.4f}",
        RAY_memory_monitor_refresh_ms="50",
    )
    assert 0 == process.wait(200), said(tmp_path)
    store = Store(tmp_path / "store")
    assert [("host_memory",)] == store.sql("SELECT DISTINCT cause FROM attempts").fetchall()
    assert 4 == len(store.ids("network"))


def test_orphans_end_with_their_raylet(tmp_path: Path) -> None:
    """Driver and raylet are killed at once: workers in the middle of a batch end within seconds."""
    process = start(tmp_path)
    wait_until(lambda: busy(tmp_path) or process.poll() is not None, 120, lambda: said(tmp_path))
    workers = busy(tmp_path)
    assert workers, said(tmp_path)
    process.kill()
    for found in processes(tmp_path):
        if "/raylet/raylet" in title(found).split(" ")[0]:
            found.kill()
    process.wait()
    wait_until(lambda: not any(map(lives, workers)), 15, lambda: "orphans are left")
