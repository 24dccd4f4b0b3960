"""Compaction beside writers, readers, a running sweep, and another compaction."""

from __future__ import annotations

import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from compacting import fill, findings, record_files, shown
from many_writers import NUM_COMMITS, NUM_ROWS, NUM_WRITERS

from lmc_sweep.store.compaction import compact
from lmc_sweep.store.layout import is_compacted
from lmc_sweep.store.store import Store

pytestmark = [pytest.mark.fault, pytest.mark.slow]
NUM_LOOKS = 10
SUPPORT = Path(__file__).parents[1] / "support"


def _compacting(store: Path, *options: str) -> subprocess.Popen[str]:
    """A process that compacts again and again, without a grace."""
    command = [sys.executable, str(SUPPORT / "compacting.py"), str(store), *options]
    pipe = subprocess.PIPE
    started = subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True)
    assert started.stdout is not None
    assert "ready\n" == started.stdout.readline()
    return started


def _merges(process: subprocess.Popen[str]) -> int:
    """How many tables a compacting process merged, which ends now; its errors fail the test."""
    told, errors = process.communicate(timeout=600)
    assert (0, "") == (process.returncode, errors)
    return int(told)


def _whole(store: Store) -> set[str]:
    """The commits that every way of reading shows, each row once and each commit complete."""
    keys = [row["barrier_id"] for row in store.answer("SELECT barrier_id FROM barriers").to_pylist()]
    assert len(set(keys)) == len(keys)
    assert set(keys) <= store.ids("barrier")
    assert set(keys) == store.held("barrier", keys)
    some = keys[:7]
    assert some == [row["barrier_id"] for row in store.fetch("barriers", some, ["barrier_id"])]
    commits = Counter(key.rpartition("-")[0] for key in keys)
    assert {NUM_ROWS} >= set(commits.values())
    return set(commits)


def test_readers_and_writers_do_not_notice(tmp_path: Path) -> None:
    """While ten processes write and one compacts, no query fails, and no row is lost or doubled in any."""
    store = Store.create(tmp_path / "store")
    (tmp_path / "signs").mkdir()
    command = [
        sys.executable,
        str(SUPPORT / "many_writers.py"),
        str(store.path),
        str(tmp_path / "signs"),
        "0.3",
    ]
    writers = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert writers.stdout is not None
    writers.stdout.readline()
    stay = tmp_path / "signs" / "stay"
    stay.touch()
    compacting = _compacting(store.path)
    (tmp_path / "signs" / "go").touch()
    seen: set[str] = set()
    while writers.poll() is None:
        assert compacting.poll() is None
        now = _whole(store)
        assert seen <= now
        seen = now
        assert seen <= _whole(Store(store.path))
        if any(is_compacted(path.name) for path in record_files(store, "barriers")):
            stay.unlink(missing_ok=True)  # what is written from now on is merged with what was merged
    assert 0 == writers.returncode
    assert _merges(compacting) > 1
    assert seen <= _whole(store)
    own = {f"{writer}-{commit}" for writer in range(NUM_WRITERS) for commit in range(0, NUM_COMMITS, 2)}
    assert own | {f"shared-{commit}" for commit in range(1, NUM_COMMITS, 2)} == _whole(store)
    assert ([], []) == (store.problems(), store.nondeterminism())
    compact(store, grace_seconds=0)
    assert len(record_files(store, "barriers")) <= 3


def test_two_compactions_without_locks_lose_and_double_nothing(tmp_path: Path) -> None:
    """Where the file system has no locks, several at once still leave every table as it was."""
    store = Store.create(tmp_path / "store")
    fill(store)
    expected, reported = shown(store), findings(store)
    several = [_compacting(store.path, "unlocked") for _ in range(2)]
    for number in range(1, NUM_LOOKS + 1):
        assert [None, None] == [process.poll() for process in several]
        store.commit("retries", [{"failure_id": f"failure-{number}", "sweep": "sweep"}])
        now = shown(store)
        assert number == len(now.pop("retries"))
        assert {name: rows for name, rows in expected.items() if name != "retries"} == now
        assert reported == findings(store)
        time.sleep(0.05)
    assert 0 < sum(map(_merges, several))
    compact(store, grace_seconds=0)
    assert number == len(shown(Store(store.path))["retries"])
    assert (reported, []) == (findings(store), store.problems())


def test_a_second_compaction_yields(tmp_path: Path) -> None:
    """While one is at work another does nothing and says so; afterwards it does its work."""
    store = Store.create(tmp_path / "store")
    fill(store)
    with store.files.alone() as alone:
        assert alone
        assert compact(store, grace_seconds=0).yielded
        assert 3 == len(record_files(store, "barriers"))
    assert not compact(store, grace_seconds=0).yielded
    assert 1 == len(record_files(store, "barriers"))


SWEEP = """
name: tiny
store: {store}
networks:
  - {{dataset: digits, architecture: {{name: mlp, width: [4, 8]}}, training: {{max_epochs: 2}}, seeds: 4}}
barriers:
  alignments: [{{method: identity}}, {{method: weight_matching}}]
  interpolation: {{alphas: 3}}
"""


def test_a_sweep_that_runs_beside_it_ends_as_without(
    tmp_path: Path, measured_tables: Callable[[Path], dict[str, list[tuple[Any, ...]]]]
) -> None:
    """A sweep whose records are compacted while it runs has the numbers of one that was left alone."""
    measured = []
    for name in ("alone", "beside"):
        store = Store.create(tmp_path / name)
        file = tmp_path / f"{name}.yaml"
        file.write_text(SWEEP.format(store=store.path))
        command = [str(Path(sys.executable).with_name("lmc-sweep")), "run", str(file), "--inline"]
        run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
        while name == "beside" and run.poll() is None:
            compact(store, grace_seconds=0)
        assert 0 == run.wait(600), run.stdout.read() if run.stdout else ""
        measured.append(measured_tables(store.path))
        assert ([], []) == (store.problems(), store.nondeterminism())
    assert measured[0] == measured[1]
    assert 16 == len(measured[0]["networks"]) * 2
