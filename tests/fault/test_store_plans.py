"""Plans of which a part was lost: recorded again, so that status and plan count the same items."""

from __future__ import annotations

from pathlib import Path

import pytest
from store_rows import NOON

from lmc_sweep.store.store import Store
from lmc_sweep.store.sweeps import plan_id

pytestmark = pytest.mark.fault
ITEMS = [("barrier", key) for key in "abcd"]


def _files(store: Store) -> list[Path]:
    return sorted((store.path / "records" / "sweep_items").iterdir())


def test_a_plan_that_lost_a_part_is_recorded_again(tmp_path: Path) -> None:
    """A plan that stands in two files, as merging and compaction leave large ones, is whole after a run."""
    store = Store.create(tmp_path / "store")
    told = {"sweep": "s", "plan_id": plan_id(ITEMS), "created_at": NOON}
    for part in (ITEMS[:2], ITEMS[2:]):
        store.commit("sweep_items", [{**told, "kind": kind, "item_id": item} for kind, item in part])
    store.record_sweep("s", "name: s\n", ITEMS[::-1])
    assert 2 == len(_files(store))
    _files(store)[0].unlink()
    assert 2 == len(store.item_ids("s", "barrier"))
    store.record_sweep("s", "name: s\n", ITEMS)
    assert {"a", "b", "c", "d"} == store.item_ids("s", "barrier")
    store.record_sweep("s", "name: s\n", ITEMS)
    assert 2 == len(_files(store))
