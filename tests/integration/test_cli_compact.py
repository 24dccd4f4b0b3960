"""``lmc-sweep compact`` by the real entry point."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from compacting import fill, findings, record_files, shown

from lmc_sweep.store.store import Store

pytestmark = pytest.mark.slow  # each command is a process of its own


def lmc_sweep(*arguments: str) -> subprocess.CompletedProcess[str]:
    """The entry point in a process of its own."""
    command = Path(sys.executable).with_name("lmc-sweep")
    return subprocess.run([str(command), *arguments], capture_output=True, text=True, timeout=180)


def test_compact_merges_and_tells_what_it_did(tmp_path: Path) -> None:
    """The summary names files before and after; --json tells it by table, on standard output alone."""
    store = Store.create(tmp_path / "store")
    fill(store)
    expected, reported = shown(store), findings(store)
    done = lmc_sweep("compact", str(store.path), "--grace", "0.1")
    assert (0, "") == (done.returncode, done.stdout), done.stderr
    assert "6 record files before, 2 now" in done.stderr
    assert "6 replaced files stay for 0.1 s more" in done.stderr
    assert [1, 1] == [len(record_files(store, table)) for table in ("barriers", "sweep_items")]
    again = lmc_sweep("compact", str(store.path), "--json")
    told = json.loads(again.stdout)
    assert (0, False) == (again.returncode, told["yielded"])
    assert {"barriers": (1, 1, 5), "sweep_items": (1, 1, 3)} == {
        one["table"]: (one["files_before"], one["files_after"], one["rows"]) for one in told["tables"]
    }
    assert (expected, reported) == (shown(store), findings(store))


def test_what_is_no_store_is_refused(tmp_path: Path) -> None:
    """A directory that is no store is one line and exit code 2, and so is a grace below zero."""
    done = lmc_sweep("compact", str(tmp_path))
    assert 2 == done.returncode
    assert "there is no store" in done.stderr
    assert 2 == lmc_sweep("compact", str(tmp_path), "--grace", "-1").returncode
