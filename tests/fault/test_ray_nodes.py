"""Machines of a cluster that vanish, hang or come back, and clusters that are gone, under a running sweep."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ray_machines import (
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

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.fault, pytest.mark.timeout(600)]
Tables = Callable[[Path], dict[str, list[tuple[Any, ...]]]]


@pytest.fixture
def cluster_folder(tmp_path: Path) -> Iterator[Path]:
    """A folder for a cluster's processes, beside that of the driver."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    yield folder
    end(folder)
    end(tmp_path)


DEADLINE_SECONDS = 15
"""Mostly enough for a worker to start and to import torch; who is too late gets more the next time."""


def start(folder: Path, address: str, *arguments: str) -> subprocess.Popen[bytes]:
    """``lmc-sweep run`` on a cluster, in the folder of the store; what it says goes to ``said.txt``."""
    (folder / "sweep.yaml").write_text(SWEEP)
    with (folder / "said.txt").open("ab") as said:
        return subprocess.Popen(
            [
                str(Path(sys.executable).with_name("lmc-sweep")),
                "run",
                "sweep.yaml",
                "--address",
                address,
                *arguments,
            ],
            cwd=folder,
            stdout=said,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )


def said(folder: Path) -> str:
    """All that was said."""
    return (folder / "said.txt").read_text(errors="replace")


def some_records(folder: Path, process: subprocess.Popen[bytes], count: int) -> None:
    """Waits until so many batches have been published."""
    wait_until(lambda: len(records(folder)) >= count or process.poll() is not None, 120, lambda: said(folder))


def test_a_machine_that_is_lost_is_replaced_by_one_that_joins(
    tmp_path: Path, cluster_folder: Path, undisturbed: Path, measured_tables: Tables
) -> None:
    """One of two machines is killed in the middle, a new one joins: the sweep ends with the same tables."""
    with machines(cluster_folder, 2, quick_checks=True) as cluster:
        process = start(tmp_path, cluster.address)
        some_records(tmp_path, process, 2)
        cluster.remove_node(sorted(cluster.worker_nodes, key=id)[0], allow_graceful=False)
        add_machine(cluster)
        assert 0 == process.wait(200), said(tmp_path)
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
        some_records(tmp_path, process, 8)
        machine = next(
            machine
            for machine in cluster.worker_nodes
            if any(title(found).startswith("ray::") for found in of_machine(machine))
        )
        stopped = of_machine(machine)
        for found in stopped:
            found.suspend()
        assert 0 == process.wait(200), said(tmp_path)
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
        some_records(tmp_path, process, 1)
        died = time.monotonic()
        for found in processes(cluster_folder):
            found.kill()
        assert 1 == process.wait(120), said(tmp_path)
        assert time.monotonic() - died < 75
        assert "the cluster is gone" in said(tmp_path)
        assert "Traceback" not in said(tmp_path)
    published = records(tmp_path)
    with machines(cluster_folder, 2, quick_checks=True) as cluster:
        process = start(tmp_path, cluster.address)
        wait_until(lambda: busy(cluster_folder), 60, lambda: said(tmp_path))
        workers = busy(cluster_folder)
        process.kill()
        for found in processes(cluster_folder):
            if not title(found).startswith("ray::"):
                found.send_signal(signal.SIGKILL)
        wait_until(lambda: not any(map(lives, workers)), 10, lambda: "orphans are left")
        process.wait()
    assert published <= records(tmp_path)
    with machines(cluster_folder, 1, quick_checks=True) as cluster:
        process = start(tmp_path, cluster.address)
        assert 0 == process.wait(200), said(tmp_path)
    assert measured_tables(undisturbed) == measured_tables(tmp_path / "store")
    assert [] == left(cluster_folder)
