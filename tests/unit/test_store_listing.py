"""Listing a directory that is compacted meanwhile, and what reading costs."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from compacting import record_files
from store_rows import row

from lmc_sweep.store import directory
from lmc_sweep.store.compaction import compact
from lmc_sweep.store.store import Store


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with three barriers in three files."""
    store = Store.create(tmp_path / "store")
    for key in ("a", "b", "c"):
        store.commit("barriers", [row("barriers", key)])
    return store


def test_a_reader_that_fell_between_publishing_and_deleting_looks_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing that misses the new file and the old ones too is not believed."""
    real = directory.entries
    looks = 0

    def falls_between(folder: Path) -> Any:
        nonlocal looks
        looks += folder.name == "barriers"
        found = real(folder)
        if folder.name == "barriers" and looks == 1:
            compact(Store(store.path), grace_seconds=0)
            return {}  # the new file appeared behind the reader, the old ones went ahead of it
        return found

    monkeypatch.setattr(directory, "entries", falls_between)
    assert {"a", "b", "c"} == store.ids("barrier")
    assert looks > 1
    assert 1 == len(record_files(store, "barriers"))


def test_a_quiet_directory_is_read_once(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A directory that did not change while it was read, nor just before, needs no second reading."""
    monkeypatch.setattr(directory, "_names", lambda _: pytest.fail("it was read a second time"))
    monkeypatch.setattr(directory, "_CLOCK_STEP_NS", -1)
    assert 3 == len(directory.entries_beside_compaction(store.path / "records" / "barriers"))


def test_files_that_vanish_before_they_are_read_are_looked_for_anew(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Rows whose file goes between listing and reading are found where compaction has put them."""
    from lmc_sweep.store import query, rows, views

    for module, name in ((rows, "read"), (views, "connect"), (query, "_parse_tree")):
        real = getattr(module, name)

        def late(*arguments: Any, real: Any = real, module: Any = module, name: str = name) -> Any:
            monkeypatch.setattr(module, name, real)
            store.commit("barriers", [row("barriers", f"late-{name}")])
            compact(Store(store.path), grace_seconds=0)
            return real(*arguments)

        monkeypatch.setattr(module, name, late)
    assert [{"width": 1}] * 2 == store.fetch("barriers", ["c", "a"], ["width"])
    assert 6 == store.answer("SELECT barrier_id FROM barriers").num_rows


def test_querying_a_compacted_store_imports_no_pandas(store: Store) -> None:
    """Listing, looking up and querying a compacted store import nothing that takes long."""
    compact(store, grace_seconds=0)
    code = f"""
import sys
from lmc_sweep import Store
store = Store({str(store.path)!r})
store.sql("SELECT count(*) FROM barriers WHERE cell_id = 'text'").fetchall()
store.held("barrier", ["a"]), store.fetch("barriers", ["a"], ["width"]), store.ids("network")
sys.stdout.write(" ".join({{"pandas", "torch", "ray"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert "" == done.stdout
