"""kill -9 between the traces of a search and the alignments that they tell of."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lmc_sweep.config import parse_sweep
from lmc_sweep.execution.run import run
from lmc_sweep.store.store import Store

pytestmark = pytest.mark.fault

SWEEP = """
name: killed
store: STORE
networks: [{dataset: digits, architecture: {name: mlp, width: 4}, training: {max_epochs: 1}, seeds: 4}]
barriers:
  worlds: [real]
  alignments: [{method: simulated_annealing, steps: 20, restarts: 2, num_examples: 100}]
  interpolation: {alphas: 2, splits: [test]}
"""

KILLED = """
import os, signal, sys
from lmc_sweep.config import parse_sweep
from lmc_sweep.execution.run import run
from lmc_sweep.store.store import Store

commit = Store.commit

def dies(self, table, rows):
    if sys.argv[1] == f"before {table}":
        os.kill(os.getpid(), signal.SIGKILL)
    written = commit(self, table, rows)
    if sys.argv[1] == f"after {table}":
        os.kill(os.getpid(), signal.SIGKILL)
    return written

Store.commit = dies
run(parse_sweep(sys.argv[2]), inline=True)
"""


@pytest.mark.parametrize(
    ("moment", "num_traces", "num_alignments"),
    [("before search_traces", 0, 0), ("after search_traces", 4, 0), ("after alignments", 4, 2)],
)
def test_no_alignment_is_ever_without_its_traces(
    tmp_path: Path, moment: str, num_traces: int, num_alignments: int
) -> None:
    """Whatever is left behind is whole, and the same command again leaves every trace and alignment once."""
    text = SWEEP.replace("STORE", str(tmp_path / "store"))
    done = subprocess.run([sys.executable, "-c", KILLED, moment, text], capture_output=True, timeout=600)
    assert -signal.SIGKILL == done.returncode, done.stderr.decode()[-2000:]
    store = Store(tmp_path / "store")
    assert (num_traces, num_alignments) == counts(store)
    assert [] == store.problems()
    assert 0 == run(parse_sweep(text), inline=True).exit_code
    assert (4, 2) == counts(store)
    orphans = "SELECT count(*) FROM search_traces ANTI JOIN alignments USING (alignment_id)"
    assert [(0,)] == store.sql(orphans).fetchall()
    assert [] == store.nondeterminism()


def counts(store: Store) -> tuple[int, int]:
    """Traces and alignments that readers see."""
    return len(store.search_traces().fetchall()), len(store.alignments().fetchall())
