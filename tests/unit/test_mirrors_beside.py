"""Two machines with copies of their own and one bucket: one writes and reads while the other compacts."""

from __future__ import annotations

import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fake_objects import Buckets, FakeObjects, use_fake_objects
from store_rows import row

from lmc_sweep.store import layout, listed_objects
from lmc_sweep.store.compaction import compact
from lmc_sweep.store.store import Store

URI = "s3://bucket/store"
NUM_ROUNDS, NUM_COMMITS = 20, 40
PAGE = 5


@pytest.fixture
def buckets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Buckets:
    """Object storage in memory whose listings come in short pages, each of another moment.

    The newest names come first, as they may where clocks differ: that is how a merged file is missed.
    """
    whole = FakeObjects.list

    def in_pages(self: FakeObjects, prefix: str = "") -> dict[str, Any]:
        found: dict[str, Any] = {}
        names = sorted(whole(self, prefix), reverse=True)
        while names:
            page, listed = names[:PAGE], whole(self, prefix)
            found |= {name: listed[name] for name in page if name in listed}
            time.sleep(0.003)
            names = sorted((name for name in whole(self, prefix) if name < page[-1]), reverse=True)
        return found

    monkeypatch.setattr(listed_objects, "_PAGE", PAGE)
    monkeypatch.setattr(FakeObjects, "list", in_pages)
    return use_fake_objects(monkeypatch, tmp_path / "first")


def test_a_reader_never_misses_a_row_while_another_machine_compacts(
    buckets: Buckets, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whatever was committed is in every answer, by SQL and by id, and each row once."""
    writer = Store.create(URI)
    reader = Store(URI)
    monkeypatch.setenv("LMC_SWEEP_CACHE", str(tmp_path / "second"))
    compactor = Store(URI)
    committed: list[str] = []
    failed: list[BaseException] = []
    rounds: Counter[Any] = Counter()
    over = threading.Event()

    def repeat(action: Any) -> None:
        try:
            while not (over.is_set() or failed):
                action()
                rounds[action] += 1
                if all(rounds[one] >= NUM_ROUNDS for one in (write, squeeze, read)):
                    over.set()
        except BaseException as error:
            failed.append(error)

    def write() -> None:
        if len(committed) >= NUM_COMMITS:
            over.wait(0.05)  # else the store outgrows who reads it
        key = f"key-{len(committed)}"
        writer.commit("barriers", [row("barriers", key)])
        committed.append(key)

    def squeeze() -> None:
        compact(compactor, grace_seconds=0)

    def read() -> None:
        before = set(committed)
        assert before <= reader.ids("barrier")
        shown = [told["barrier_id"] for told in reader.answer("SELECT barrier_id FROM barriers").to_pylist()]
        assert len(set(shown)) == len(shown)
        assert before <= set(shown)

    threads = [threading.Thread(target=repeat, args=(action,)) for action in (write, squeeze, read)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed
    assert len(committed) > PAGE
    assert any(layout.is_compacted(path.rpartition("/")[2]) for path in buckets[URI].content)
    assert set(committed) == Store(URI).ids("barrier")
