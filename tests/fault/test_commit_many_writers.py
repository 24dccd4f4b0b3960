"""Ten processes write to one store at once, some die, and a reader looks on all the time."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import pytest
from many_writers import NUM_COMMITS, NUM_ROWS, NUM_WRITERS

from lmc_sweep.store.store import Store

pytestmark = pytest.mark.fault
SCRIPT = Path(__file__).parents[1] / "support" / "many_writers.py"


def _start(store: Path, signs: Path) -> tuple[subprocess.Popen[str], list[int]]:
    """The process that waits for ten writers, and their ids; none writes yet."""
    Store.create(store)
    signs.mkdir()
    command = [sys.executable, str(SCRIPT), str(store), str(signs)]
    started = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    assert started.stdout is not None
    return started, [int(child) for child in started.stdout.readline().split()]


def _whole(store: Store) -> set[str]:
    """The commits that the views show; every one of them complete, and each row once."""
    keys = [key for (key,) in store.sql("SELECT barrier_id FROM barriers").fetchall()]
    assert len(set(keys)) == len(keys)
    commits = Counter(key.rpartition("-")[0] for key in keys)
    assert {NUM_ROWS} >= set(commits.values())
    return set(commits)


def test_ten_writers_lose_and_double_nothing(tmp_path: Path) -> None:
    """All commits of ten writers at once are there, each id once; no reader sees part of one."""
    started, children = _start(tmp_path / "store", tmp_path / "signs")
    assert NUM_WRITERS == len(children)
    store = Store(tmp_path / "store")
    (tmp_path / "signs" / "go").touch()
    seen = set()
    while started.poll() is None:
        now = _whole(store)
        assert seen <= now
        seen = now
    assert 0 == started.returncode
    own = {f"{writer}-{commit}" for writer in range(NUM_WRITERS) for commit in range(0, NUM_COMMITS, 2)}
    shared = {f"shared-{commit}" for commit in range(1, NUM_COMMITS, 2)}
    assert own | shared == _whole(store)
    assert own | shared == _whole(Store(store.path))
    assert ([], []) == (store.problems(), store.nondeterminism())
    assert NUM_WRITERS * NUM_COMMITS == len(list(store.path.glob("records/barriers/*.parquet")))


def test_killed_writers_keep_what_they_acknowledged(tmp_path: Path) -> None:
    """Whatever a writer had acknowledged before kill -9 is there, whole; nothing is torn."""
    started, children = _start(tmp_path / "store", tmp_path / "signs")
    (tmp_path / "signs" / "stay").touch()  # no writer comes to its end before it is killed
    (tmp_path / "signs" / "go").touch()
    for child in children:
        time.sleep(0.01)
        os.kill(child, signal.SIGKILL)
    assert 1 == started.wait()
    store = Store(tmp_path / "store")
    acknowledged = {name for child in children for name in _noted(tmp_path / "signs" / str(child))}
    assert acknowledged <= _whole(store)
    assert [] == store.problems()


def _noted(file: Path) -> list[str]:
    """What a writer noted, whole lines alone; nothing where it died before its first."""
    return file.read_text().split("\n")[:-1] if file.exists() else []
