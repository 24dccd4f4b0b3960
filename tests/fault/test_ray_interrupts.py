"""Ctrl-C once, twice and three times under a running sweep on Ray: exit codes, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from held_run import hold, release
from ray_machines import HANGS_SECONDS, RAY_TEST_SECONDS, SWEEP, busy, end, left, records, wait_until

from lmc_sweep.config import parse_sweep
from lmc_sweep.execution.run import run
from lmc_sweep.store.store import Store

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.fault,
    pytest.mark.timeout(RAY_TEST_SECONDS),
]
HELD_RUN = Path(__file__).parents[1] / "support" / "held_run.py"

NETWORKS = """
name: networks
store: store
networks:
  - {dataset: digits, architecture: {name: mlp, width: [4, 8]}, training: {max_epochs: 1}, seeds: 2}
"""


@pytest.fixture(autouse=True)
def _nothing_is_left(tmp_path: Path) -> Iterator[None]:
    """Every process that works in the folder has ended by itself soon after the test."""
    yield
    found = left(tmp_path)
    end(tmp_path)
    assert [] == found


def start(folder: Path, text: str, *arguments: str) -> subprocess.Popen[bytes]:
    """``lmc-sweep run`` in a process group of its own, as a terminal would start it; held as the folder says.

    The arguments come before "run".
    """
    (folder / "sweep.yaml").write_text(text)
    with (folder / "said.txt").open("ab") as told:
        return subprocess.Popen(
            [sys.executable, str(HELD_RUN), *arguments, "run", "sweep.yaml"],
            cwd=folder,
            stdout=told,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def said(folder: Path) -> str:
    """All that was said."""
    return (folder / "said.txt").read_text(errors="replace")


def press(folder: Path, process: subprocess.Popen[bytes], answer: str) -> None:
    """Ctrl-C, as a terminal sends it: to the whole group; waits for what is said to it."""
    os.killpg(process.pid, signal.SIGINT)
    wait_until(lambda: answer in said(folder) or process.poll() is not None, lambda: said(folder))
    assert answer in said(folder)


def test_once_stops_in_order(
    tmp_path: Path, undisturbed: Path, measured_tables: Callable[[Path], dict[str, list[tuple[Any, ...]]]]
) -> None:
    """What runs is finished and stored, nothing else begins: 130, no word of failure; a rerun completes."""
    hold(tmp_path, "barrier")
    process = start(tmp_path, SWEEP)
    wait_until(lambda: records(tmp_path) or process.poll() is not None, lambda: said(tmp_path))
    press(tmp_path, process, "Stopping in order")
    release(tmp_path, "barrier")
    assert 130 == process.wait(HANGS_SECONDS), said(tmp_path)
    assert "Traceback" not in said(tmp_path)
    store = Store(tmp_path / "store")
    assert 0 < len(store.ids("network")) + len(store.ids("alignment")) + len(store.ids("barrier")) < 160
    assert [(0,)] == store.sql("SELECT count(*) FROM failures").fetchall()
    assert [] == store.problems()
    assert 0 == run(parse_sweep(SWEEP), store=str(store.path), inline=True).exit_code
    assert measured_tables(undisturbed) == measured_tables(store.path)


def at_work(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Waits until a batch has begun."""
    wait_until(lambda: busy(folder) or process.poll() is not None, lambda: said(folder))


def test_twice_cancels_what_runs(tmp_path: Path) -> None:
    """Batches without end are ended: 130, no failure is recorded, their items stay to be done."""
    hold(tmp_path, "network")
    process = start(tmp_path, NETWORKS)
    at_work(tmp_path, process)
    press(tmp_path, process, "Stopping in order")
    time.sleep(1)
    assert process.poll() is None  # it waits for what runs
    press(tmp_path, process, "Cancelling")
    assert 130 == process.wait(HANGS_SECONDS), said(tmp_path)
    assert "Traceback" not in said(tmp_path)
    store = Store(tmp_path / "store")
    assert [(0,)] == store.sql("SELECT count(*) FROM failures").fetchall()
    assert set() == store.ids("network")


def test_three_times_ends_at_once(tmp_path: Path) -> None:
    """The third signal ends driver, cluster and workers without asking: 130, where nothing else ends them."""
    hold(tmp_path, "network")
    process = start(tmp_path, NETWORKS, "--defiant")
    at_work(tmp_path, process)
    press(tmp_path, process, "Stopping in order")
    press(tmp_path, process, "Cancelling")
    os.killpg(process.pid, signal.SIGINT)
    assert 130 == process.wait(HANGS_SECONDS), said(tmp_path)
    assert "Traceback" not in said(tmp_path)
