"""kill -9 at every call to the system that a compaction makes: results stay, and the next one finishes."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from compacting import fill, findings, record_files, shown
from killed_writer import distinct

from lmc_sweep.store.compaction import compact
from lmc_sweep.store.store import Store

pytestmark = [pytest.mark.fault, pytest.mark.slow]
FILLED = ("barriers", "sweep_items")
SCRIPT = Path(__file__).parents[1] / "support" / "killed_writer.py"


def test_a_killed_compaction_changes_no_result_and_is_finished_by_the_next(tmp_path: Path) -> None:
    """After any death every table shows what it showed, and one more compaction leaves one file of each."""
    store = Store.create(tmp_path / "store")
    fill(store)
    expected, reported = shown(store, FILLED), findings(store)
    assert 3 == len(record_files(store, "barriers")) == len(record_files(store, "sweep_items"))
    done = subprocess.run(
        [sys.executable, str(SCRIPT), str(store.path), "compact"], capture_output=True, text=True, timeout=600
    )
    assert (0, "") == (done.returncode, done.stderr)
    lines = [line.split("\t") for line in done.stdout.splitlines()]
    deaths = [(Path(folder), call) for folder, call in lines]
    assert {"link", "unlink", "fsync"} <= {call.split()[0] for _, call in deaths}
    left_beside = set()
    for folder, call in distinct(deaths):
        found = Store(folder)
        left_beside.add(len(record_files(found, "barriers")))
        assert (expected, reported, []) == (shown(found, FILLED), findings(found), found.problems()), call
        compact(found, grace_seconds=0)
        again = Store(folder)
        assert (expected, reported, []) == (shown(again, FILLED), findings(again), again.problems()), call
        assert 1 == len(record_files(found, "barriers")) == len(record_files(found, "sweep_items")), call
    assert {1, 2, 3, 4} == left_beside
