"""Machines of a cluster that vanish, hang or come back, and clusters that are gone, under a running sweep."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from held_run import hold, release
from ray_machines import (
    HANGS_SECONDS,
    RAY_TEST_SECONDS,
    SWEEP,
    add_machine,
    busy,
    end,
    left,
    lives,
    machines,
    of_machine,
    processes,
    records,
    title,
    wait_until,
)

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.fault,
    pytest.mark.timeout(RAY_TEST_SECONDS),
]
HELD_RUN = Path(__file__).parents[1] / "support" / "held_run.py"
Tables = Callable[[Path], dict[str, list[tuple[Any, ...]]]]


@pytest.fixture
def cluster_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for a cluster's processes, beside that of the driver."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    yield folder
    end(folder)
    end(tmp_path)


MISSED = ("--set", "execution.min_deadline_seconds=120")
"""Where a machine is lost, Ray may lose what was on its way to it, and nothing is heard of that again."""
DEADLINE_SECONDS = 15
"""Mostly enough for a worker to start and to import torch; who is too late gets more the next time."""


def start(folder: Path, address: str, *arguments: str) -> subprocess.Popen[bytes]:
    """``lmc-sweep run`` on a cluster, in the folder of the store; what it says goes to ``said.txt``.

    No barrier is computed before ``release(folder, "barrier")``: the sweep does not end before the test says
    so, however slow the test is.
    """
    hold(folder, "barrier")
    (folder / "sweep.yaml").write_text(SWEEP)
    with (folder / "said.txt").open("ab") as said:
        return subprocess.Popen(
            [sys.executable, str(HELD_RUN), "run", "sweep.yaml", "--address", address, *MISSED, *arguments],
            cwd=folder,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def said(folder: Path) -> str:
    """All that was said."""
    return (folder / "said.txt").read_text(errors="replace")


def a_record(folder: Path, process: subprocess.Popen[bytes]) -> None:
    """Waits until a batch has been published."""
    wait_until(lambda: records(folder) or process.poll() is not None, lambda: said(folder))
    assert process.poll() is None, said(folder)


def at_work(cluster_folder: Path, folder: Path, process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    """Workers in the middle of a batch of barriers, which wait there."""
    wait_until(lambda: busy(cluster_folder, "barrier") or process.poll() is not None, lambda: said(folder))
    found = busy(cluster_folder, "barrier")
    assert found, said(folder)
    return found


def test_a_machine_that_is_lost_is_replaced_by_one_that_joins(
    tmp_path: Path, cluster_folder: Path, undisturbed: Path, measured_tables: Tables
) -> None:
    """One of two machines is killed in the middle, a new one joins: the sweep ends with the same tables."""
    with machines(cluster_folder, 2, quick_checks=True) as cluster:
        process = start(tmp_path, cluster.address)
        at_work(cluster_folder, tmp_path, process)
        cluster.remove_node(sorted(cluster.worker_nodes, key=id)[0], allow_graceful=False)
        add_machine(cluster)
        release(tmp_path, "barrier")
        assert 0 == process.wait(HANGS_SECONDS), said(tmp_path)
    assert measured_tables(undisturbed) == measured_tables(tmp_path / "store")
    assert [] == left(cluster_folder)


def test_a_machine_that_hangs_does_not_hang_the_sweep(
    tmp_path: Path, cluster_folder: Path, undisturbed: Path, measured_tables: Tables
) -> None:
    """One of two machines stops answering while the cluster takes it for alive: deadlines bring its work
    to the other one, the sweep ends long before the machine comes back, and what that publishes then
    changes nothing."""
    with machines(cluster_folder, 2, quick_checks=False) as cluster:
        deadline = f"execution.min_deadline_seconds={DEADLINE_SECONDS}"
        process = start(tmp_path, cluster.address, "--set", deadline)
        working = {one.pid for one in at_work(cluster_folder, tmp_path, process)}
        stopped = next(
            found
            for found in map(of_machine, cluster.worker_nodes)
            if working & {process.pid for process in found}
        )
        for found in stopped:
            found.suspend()
        release(tmp_path, "barrier")
        assert 0 == process.wait(HANGS_SECONDS), said(tmp_path)
        found_before = measured_tables(tmp_path / "store")
        assert all("stopped" == one.status() for one in stopped if lives(one))
        for one in stopped:
            one.resume()
        time.sleep(3)
        assert found_before == measured_tables(tmp_path / "store")
    assert measured_tables(undisturbed) == found_before
    assert [] == left(cluster_folder)


def test_everything_may_vanish_and_be_built_again(
    tmp_path: Path, cluster_folder: Path, undisturbed: Path, measured_tables: Tables
) -> None:
    """The cluster dies under the driver, which says so and ends with 1; then driver and cluster die at
    once, and orphaned workers end by themselves; then the same command completes the sweep."""
    with machines(cluster_folder, 2, quick_checks=True) as cluster:
        process = start(tmp_path, cluster.address)
        a_record(tmp_path, process)
        for found in processes(cluster_folder):
            found.kill()
        assert 1 == process.wait(HANGS_SECONDS), said(tmp_path)
        assert "the cluster is gone" in said(tmp_path)
        assert "Traceback" not in said(tmp_path)
    published = records(tmp_path)
    with machines(cluster_folder, 2, quick_checks=True) as cluster:
        process = start(tmp_path, cluster.address)
        workers = at_work(cluster_folder, tmp_path, process)
        process.kill()
        for found in processes(cluster_folder):
            if not title(found).startswith("ray::"):
                found.send_signal(signal.SIGKILL)
        wait_until(lambda: not any(map(lives, workers)), lambda: "orphans are left")
        process.wait()
    assert published <= records(tmp_path)
    with machines(cluster_folder, 1, quick_checks=True) as cluster:
        process = start(tmp_path, cluster.address)
        release(tmp_path, "barrier")
        assert 0 == process.wait(HANGS_SECONDS), said(tmp_path)
    assert measured_tables(undisturbed) == measured_tables(tmp_path / "store")
    assert [] == left(cluster_folder)
