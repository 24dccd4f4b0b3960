"""Damaged compacted files: named, left out, and what they held counts as missing."""

from __future__ import annotations

from pathlib import Path

import pytest
from store_rows import ids_of, row

from lmc_sweep.store.compaction import compact
from lmc_sweep.store.store import Store

pytestmark = pytest.mark.fault
KEYS = {f"id{k}" for k in range(6)}


@pytest.fixture
def compacted(tmp_path: Path) -> tuple[Store, Path]:
    """A store whose barriers lie in one compacted file, and that file."""
    store = Store.create(tmp_path / "store")
    for key in sorted(KEYS):
        store.commit("barriers", [row("barriers", key)])
    compact(store, grace_seconds=0)
    (path,) = (store.path / "records" / "barriers").iterdir()
    return store, path


def test_no_flipped_bit_of_a_compacted_file_reaches_a_result(compacted: tuple[Store, Path]) -> None:
    """Wherever a bit is flipped, the file is set aside whole, and whole again it counts again."""
    store, path = compacted
    content = path.read_bytes()
    for position in range(0, len(content), max(1, len(content) // 97)):
        flipped = bytearray(content)
        flipped[position] ^= 1 << (position % 8)
        path.write_bytes(flipped)
        reader = Store(store.path)
        assert set() == reader.ids("barrier"), position
        assert 1 == len(reader.problems()), position
    path.write_bytes(content)
    assert sorted(KEYS) == ids_of(store.barriers(), "barrier_id")


@pytest.mark.parametrize("length", [0, 1, 100, -100, -1])
def test_a_torn_compacted_file_is_computed_again(compacted: tuple[Store, Path], length: int) -> None:
    """A compacted file that was cut short is named; its ids, committed again, are there once."""
    store, path = compacted
    path.write_bytes(path.read_bytes()[:length])
    for reader in (store, Store(store.path)):
        assert set() == reader.ids("barrier")
        assert [f"records/barriers/{path.name}"] == [problem.path for problem in reader.problems()]
    store.commit("barriers", [row("barriers", key) for key in sorted(KEYS)])
    assert sorted(KEYS) == ids_of(store.barriers(), "barrier_id")
    compact(store, grace_seconds=0)
    assert path.exists()
    assert sorted(KEYS) == ids_of(Store(store.path).barriers(), "barrier_id")


def test_damage_while_both_lie_side_by_side_loses_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While replaced files are still there, a compacted file that is damaged hides none of them."""
    store = Store.create(tmp_path / "store")
    for key in sorted(KEYS):
        store.commit("barriers", [row("barriers", key)])
    monkeypatch.setattr("lmc_sweep.store.compaction._delete_replaced", lambda listing: None)
    compact(store, grace_seconds=0)
    files = sorted((store.path / "records" / "barriers").iterdir())
    assert 7 == len(files)
    (merged,) = [path for path in files if ".compact" in path.name]
    content = merged.read_bytes()
    for damaged in (
        content[:50],
        b"",
        bytes(len(content)),
        content[:-9] + bytes([content[-9] ^ 1]) + content[-8:],
    ):
        merged.write_bytes(damaged)
        for reader in (store, Store(store.path)):
            assert sorted(KEYS) == ids_of(reader.barriers(), "barrier_id")
            assert 1 == len(reader.problems())
    monkeypatch.undo()
    compact(store, grace_seconds=0)
    assert sorted(KEYS) == ids_of(Store(store.path).barriers(), "barrier_id")
