"""kill -9 of workers, of a machine and of the driver while every study commits its results."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import deadly_commits
import pytest
from chaos_processes import in_peace
from chaos_store import written
from every_study import SWEEP, numbers
from ray_machines import HANGS_SECONDS, RAY_TEST_SECONDS, end, left, machines

from lmc_sweep.kinds import KINDS
from lmc_sweep.store.store import Store

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.fault,
    pytest.mark.timeout(RAY_TEST_SECONDS),
]

DEATHS = (
    "after permutation_points self",
    "before initialization self",
    "after barrier_matrices self",
    "after canonical_averages machine",
    "before ensembles driver",
)
"""One of every study; where rows stand in two tables, between the two."""


def test_whoever_dies_every_study_ends_with_the_undisturbed_rows(tmp_path: Path) -> None:
    """Rows equal those of a run in peace bit for bit, and none that was there is computed again.

    One batch may be: what a worker still publishes when its driver has died.
    """
    expected = numbers(in_peace(tmp_path / "peace", SWEEP))
    folder, cluster_folder = tmp_path / "disturbed", tmp_path / "cluster"
    folder.mkdir()
    cluster_folder.mkdir()
    (folder / "sweep.yaml").write_text(SWEEP)
    deadly_commits.arrange(folder, *DEATHS)
    codes: list[int] = []
    try:
        with (
            machines(cluster_folder, 2, quick_checks=True) as cluster,
            (folder / "said.txt").open("w") as said,
        ):
            command = [sys.executable, deadly_commits.__file__, cluster.address]
            while not codes or codes[-1] == -signal.SIGKILL:
                done = subprocess.run(command, cwd=folder, stdout=said, stderr=said, timeout=HANGS_SECONDS)
                codes.append(done.returncode)
        assert [-signal.SIGKILL, 0] == codes, (folder / "said.txt").read_text()[-3000:]
        assert [] == left(folder)
    finally:
        end(folder)
    assert [] == deadly_commits.pending(folder)
    assert expected == numbers(folder / "store")
    store = Store(folder / "store")
    assert ([], []) == (store.nondeterminism(), store.problems())
    twice = {key for key, count in written(store.path).items() if count > 1}
    assert len([kind for kind in KINDS if twice & store.ids(kind)]) <= 1
