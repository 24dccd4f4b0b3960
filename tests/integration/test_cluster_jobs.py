"""A cluster of a head and three nodes as people start it, with tokens: refusals, a job, its metrics and
logs."""

from __future__ import annotations

import contextlib
import subprocess
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from ray_machines import HANGS_SECONDS, RAY_TEST_SECONDS, wait_until
from started_nodes import SCRIPTS, StartedCluster, deaf_port, started_cluster, without_tokens

from lmc_sweep.config import parse_sweep
from lmc_sweep.execution.run import run

pytestmark = [pytest.mark.ray, pytest.mark.slow, pytest.mark.timeout(RAY_TEST_SECONDS)]

SWEEP = """
name: small
store: runs/small
networks:
  - {dataset: digits, architecture: {name: mlp, width: [4, 8]}, training: {max_epochs: 5}, seeds: 4}
barriers:
  alignments: [{method: identity}, {method: weight_matching}]
  interpolation: {alphas: 3}
"""
Tables = Callable[[Path], dict[str, list[tuple[Any, ...]]]]


@pytest.fixture(scope="module")
def cluster() -> Iterator[StartedCluster]:
    """One cluster for all tests: to start it takes half a minute on a machine with nothing else to do."""
    with started_cluster(3) as found:
        yield found


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with the sweep file, and a home without a token."""
    (tmp_path / "sweep.yaml").write_text(SWEEP)
    (tmp_path / "home").mkdir()
    return tmp_path


def lmc_sweep(folder: Path, environment: dict[str, str], *arguments: str) -> subprocess.CompletedProcess[str]:
    """What the command line does in the folder."""
    return subprocess.run(
        [str(SCRIPTS / "lmc-sweep"), *arguments],
        cwd=folder,
        env={**environment, "HOME": str(folder / "home")},
        capture_output=True,
        text=True,
        timeout=HANGS_SECONDS,
    )


def test_what_cannot_run_is_refused_and_nothing_is_written(cluster: StartedCluster, folder: Path) -> None:
    """Without a token, with a wrong one, with nobody there, for GPUs and labels that no node has: exit code
    2."""
    none, right = without_tokens(), cluster.environment
    wrong = {**none, "RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": "a" * 40}
    head, board = ("run", "--address", cluster.address), ("submit", "--address", cluster.dashboard)
    gpu = ("--set", "execution.num_gpus=1")
    label = ("--set", "execution.labels={zone: a}")
    with deaf_port() as port:
        nobody = f"127.0.0.1:{port}"
        for environment, (command, *options), told in (
            (none, head, "wants a token, and none is set here"),
            (none, board, "wants a token, and none is set here"),
            (wrong, head, "refuses the token"),
            (wrong, board, "refuses the token"),
            (right, ("run", "--address", nobody), "no Ray cluster answers there"),
            (right, ("submit", "--address", nobody), "no Ray dashboard answers there"),
            (right, (*head, *gpu), "3 x (1 CPUs, 0 GPUs)"),
            (right, (*head, *label), "on a machine with zone=a"),
        ):
            done = lmc_sweep(folder, environment, command, "sweep.yaml", *options)
            assert (2, True) == (done.returncode, told in done.stderr), done.stderr
            assert 1 == len(done.stderr.strip().splitlines()), done.stderr
    assert {"home", "sweep.yaml"} == {path.name for path in folder.iterdir()}


def test_a_sweep_runs_as_a_job_and_by_address(
    cluster: StartedCluster, folder: Path, measured_tables: Tables
) -> None:
    """Both bring the tables of a run in one process; a job is followed, attached to, and done only once."""
    assert 0 == run(parse_sweep(SWEEP), store=str(folder / "inline"), inline=True).exit_code
    job = ("submit", "sweep.yaml", "--address", cluster.dashboard)
    begun = lmc_sweep(folder, cluster.environment, *job, "--no-wait")
    assert (0, True) == (begun.returncode, " submitted." in begun.stderr), begun.stderr
    wait_until(lambda: 'kind="network"' in exported_items(cluster), cluster.said)
    followed = lmc_sweep(folder, cluster.environment, *job)
    assert 0 == followed.returncode, followed.stderr
    assert ("8/8 networks, 16/16 alignments" in followed.stderr) or ("Everything is there" in followed.stderr)
    again = lmc_sweep(folder, cluster.environment, *job)
    assert (0, True) == (again.returncode, "Everything is there" in again.stderr), again.stderr
    by_address = ("run", "sweep.yaml", "--address", cluster.address, "--store", "runs/other")
    assert 0 == lmc_sweep(folder, cluster.environment, *by_address).returncode
    expected = measured_tables(folder / "inline")
    assert expected == measured_tables(folder / "runs" / "small")
    assert expected == measured_tables(folder / "runs" / "other")
    logs = "".join(path.read_text(errors="replace") for path in cluster.logs("worker-*.err"))
    assert '"event": "begun"' in logs
    assert not list(folder.glob(".lmc-sweep-*"))


def exported_items(cluster: StartedCluster) -> str:
    """What the head exports of items."""
    with contextlib.suppress(OSError):
        url = f"http://127.0.0.1:{cluster.metrics_port}/metrics"
        told = urllib.request.urlopen(url, timeout=60).read().decode()
        return "".join(line for line in told.splitlines() if "ray_lmc_sweep_items_total" in line)
    return ""


def test_a_node_with_other_packages_is_named_and_refused(cluster: StartedCluster, folder: Path) -> None:
    """A node on which torch is another one, found before anything is written."""
    other = folder / "home" / "torch-0.9.dist-info"
    other.mkdir()
    (other / "METADATA").write_text("Metadata-Version: 2.1\nName: torch\nVersion: 0.9\n")
    cluster.add_node(PYTHONPATH=str(other.parent))
    done = lmc_sweep(folder, cluster.environment, "run", "sweep.yaml", "--address", cluster.address)
    assert 2 == done.returncode, done.stderr
    assert "against torch 0.9 there" in done.stderr
    assert done.stderr.startswith("node ")
    assert {"home", "sweep.yaml"} == {path.name for path in folder.iterdir()}
