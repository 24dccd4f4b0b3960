"""Pipes where files belong: reading one would wait for ever, so nobody does."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from types import FrameType

import pytest
import torch
from store_rows import row

from lmc_sweep.analysis.progress import sweep_status
from lmc_sweep.errors import StoreError
from lmc_sweep.store.merging import merge
from lmc_sweep.store.store import Store
from lmc_sweep.store.verification import verify

pytestmark = pytest.mark.fault
RUN = "a" * 32
SECONDS = 60


@pytest.fixture(autouse=True)
def impatience() -> Iterator[None]:
    """A test that waits for a pipe fails."""

    def ended(number: int, frame: FrameType | None) -> None:
        raise AssertionError("something was read that is no file")

    before = signal.signal(signal.SIGALRM, ended)
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    signal.signal(signal.SIGALRM, before)


def _become_pipe(path: Path) -> None:
    path.unlink()
    os.mkfifo(path)


def test_nothing_is_read_from_a_pipe(tmp_path: Path) -> None:
    """Whichever file of a store is a pipe, commands tell of it or pass over it."""
    store = Store.create(tmp_path / "store")
    store.record_sweep("s", "name: s\n", [("network", "n")])
    store.write_progress("s", RUN, {})
    tensors = {"w": torch.zeros(1, 2)}
    path = store.write_tensors("networks", tensors)
    store.commit("networks", [row("networks", "n", checkpoint=path, row=0)])
    (environment,) = (store.path / "environments").iterdir()
    (record,) = (store.path / "records" / "networks").iterdir()
    copy = Store.create(tmp_path / "copy")
    merge(copy, store)
    other = Store.create(tmp_path / "other")
    for victim in (store.path / "sweeps" / "s" / "sweep.yaml", environment, store.path / path):
        _become_pipe(victim)
    _become_pipe(store.path / "sweeps" / "s" / "runs" / RUN / "progress.json")
    assert ((), 0) == (sweep_status(store, "s").runs, sweep_status(store, "s").kinds["network"].done)
    found = {finding.path for finding in verify(Store(store.path)).findings if finding.is_error}
    assert {path, "sweeps/s/sweep.yaml", f"environments/{environment.name}"} <= found
    with pytest.raises(StoreError, match="no file of this store"):
        store.load_rows([(path, 0)])
    assert {} == merge(other, store).copied
    assert 1 == merge(store, copy).copied["networks"]
    assert {"n"} == Store(store.path).ids("network")
    _become_pipe(record)
    assert [f"records/networks/{record.name}"] == [problem.path for problem in Store(store.path).problems()]
