"""Workers of a running sweep that are killed, stopped, run out of memory, are recycled or run other code."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from held_run import DIE, hold, release
from ray_machines import (
    HANGS_SECONDS,
    RAY_TEST_SECONDS,
    SWEEP,
    busy,
    end,
    left,
    lives,
    processes,
    title,
    wait_until,
)

from lmc_sweep.execution import ray_worker
from lmc_sweep.store.store import Store

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.fault,
    pytest.mark.timeout(RAY_TEST_SECONDS),
]
HELD_RUN = Path(__file__).parents[1] / "support" / "held_run.py"
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
    """``lmc-sweep run`` on a cluster of its own, held as the folder says; it talks to ``said.txt``."""
    (folder / "sweep.yaml").write_text(text)
    with (folder / "said.txt").open("ab") as told:
        return subprocess.Popen(
            [sys.executable, str(HELD_RUN), "run", "sweep.yaml", *arguments],
            cwd=folder,
            stdout=told,
            stderr=subprocess.STDOUT,
            start_new_session=True,
            env={**os.environ, **environment},
        )


def said(folder: Path) -> str:
    """All that was said."""
    return (folder / "said.txt").read_text(errors="replace")


def at_work(folder: Path, process: subprocess.Popen[bytes], kind: str) -> list[psutil.Process]:
    """Workers in the middle of a batch of a kind that is held."""
    wait_until(lambda: busy(folder, kind) or process.poll() is not None, lambda: said(folder))
    found = busy(folder, kind)
    assert found, said(folder)
    return found


def test_workers_killed_at_every_stage_cost_their_batches_alone(
    tmp_path: Path, undisturbed: Path, measured_tables: Tables
) -> None:
    """kill -9 while training, while aligning, and between a record's bytes and its name: tried again."""
    hold(tmp_path, "network", "alignment")
    (tmp_path / DIE).touch()
    process = start(tmp_path)
    for kind in ("network", "alignment"):
        at_work(tmp_path, process, kind)[0].kill()
        release(tmp_path, kind)
    assert 0 == process.wait(HANGS_SECONDS), said(tmp_path)
    assert not (tmp_path / DIE).exists()
    assert "A worker was lost" in said(tmp_path)
    assert measured_tables(undisturbed) == measured_tables(tmp_path / "store")
    lost = Store(tmp_path / "store").sql("SELECT DISTINCT cause, kind FROM attempts ORDER BY ALL").fetchall()
    assert [("worker_died", kind) for kind in ("alignment", "barrier", "network")] == lost


def test_a_worker_that_comes_back_after_its_deadline_changes_nothing(
    tmp_path: Path, undisturbed: Path, measured_tables: Tables
) -> None:
    """A process is stopped in the middle of a batch; once its deadline has passed the batch is done
    elsewhere, and the process goes on: every item is there once, with the same numbers."""
    hold(tmp_path, "barrier")
    process = start(tmp_path, "--set", f"execution.min_deadline_seconds={DEADLINE_SECONDS}")
    stopped = at_work(tmp_path, process, "barrier")[0]
    stopped.suspend()
    release(tmp_path, "barrier")
    told = ("attempt 2 follows", "submitted anew")
    wait_until(
        lambda: any(one in said(tmp_path) for one in told) or process.poll() is not None,
        lambda: said(tmp_path),
    )
    assert any(one in said(tmp_path) for one in told), said(tmp_path)
    if lives(stopped):
        stopped.resume()
    assert 0 == process.wait(HANGS_SECONDS), said(tmp_path)
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
        [sys.executable, "-c", program], cwd=folder, capture_output=True, text=True, timeout=HANGS_SECONDS
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
"""A module of the user's own; on a worker, once, it takes more memory than Ray lets it, and waits."""
import os, pathlib, psutil, sys, time
from torch import nn

def build(width=8):
    marker = pathlib.Path("eaten")
    if sys.argv[0].endswith("default_worker.py") and not marker.exists():
        marker.write_text("")
        kept, enough = [], float(os.environ["RAY_memory_usage_threshold"]) + 0.03
        while True:
            memory = psutil.virtual_memory()
            if 1 - memory.available / memory.total < enough:
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
    if threshold > 0.94:
        pytest.skip("not enough free memory to run out of it on purpose")
    process = start(
        tmp_path,
        text=OWN,
        RAY_memory_usage_threshold=f"{threshold:.4f}",
        RAY_memory_monitor_refresh_ms="50",
    )
    assert 0 == process.wait(HANGS_SECONDS), said(tmp_path)
    store = Store(tmp_path / "store")
    assert [("host_memory",)] == store.sql("SELECT DISTINCT cause FROM attempts").fetchall()
    assert 4 == len(store.ids("network"))


def test_orphans_end_with_their_raylet(tmp_path: Path) -> None:
    """Driver and raylet are killed at once: workers in the middle of a batch that never ends do end."""
    hold(tmp_path, "network")
    process = start(tmp_path)
    workers = at_work(tmp_path, process, "network")
    process.kill()
    for found in processes(tmp_path):
        if "/raylet/raylet" in title(found).split(" ")[0]:
            found.kill()
    process.wait()
    wait_until(lambda: not any(map(lives, workers)), lambda: "orphans are left")
