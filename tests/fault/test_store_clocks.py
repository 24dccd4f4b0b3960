"""Clocks that jump: nothing depends on the time but the choice among rows of one id."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from store_rows import NOON, ids_of, row

from lmc_sweep.store import store as store_module
from lmc_sweep.store.compaction import compact
from lmc_sweep.store.store import Store

pytestmark = pytest.mark.fault
JUMPS = [timedelta(0), timedelta(days=-4000), timedelta(days=4000), timedelta(days=-1)]


def _set_clock(monkeypatch: pytest.MonkeyPatch, now: datetime) -> None:
    """From now on the store's clock stands at this time."""

    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return now

    monkeypatch.setattr(store_module, "datetime", Clock)


def _undated(key: str, **values: Any) -> dict[str, Any]:
    """A row whose time the store adds."""
    return {name: value for name, value in row("barriers", key, **values).items() if name != "created_at"}


def test_commits_are_there_whatever_the_clock_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Between commits the clock jumps by years, back and forth: each id is there once, before and after
    compaction."""
    store = Store.create(tmp_path / "store")
    for k, jump in enumerate(JUMPS):
        _set_clock(monkeypatch, NOON + jump)
        store.commit("barriers", [_undated(f"id{k}"), _undated("shared")])
    expected = ["id0", "id1", "id2", "id3", "shared"]
    for reader in (store, Store(store.path)):
        assert expected == ids_of(reader.barriers(), "barrier_id")
        assert [] == reader.nondeterminism()
    compact(store, grace_seconds=0)
    assert expected == ids_of(Store(store.path).barriers(), "barrier_id")
    assert [] == Store(store.path).problems()


def test_of_two_rows_the_one_with_the_smallest_time_counts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A second result from a machine whose clock is years behind takes precedence, and both are told of."""
    store = Store.create(tmp_path / "store")
    _set_clock(monkeypatch, NOON)
    store.commit("barriers", [_undated("a", loss_barrier=1.0)])
    _set_clock(monkeypatch, NOON - timedelta(days=4000))
    store.commit("barriers", [_undated("a", loss_barrier=2.0)])
    assert [(2.0,)] == store.sql("SELECT loss_barrier FROM barriers").fetchall()
    (found,) = store.nondeterminism()
    assert (2.0, 1.0) == found.values


def test_the_plan_that_was_recorded_last_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A plan that is recorded later counts, even by a clock that was set back by years."""
    store = Store.create(tmp_path / "store")
    for k, jump in enumerate(JUMPS):
        _set_clock(monkeypatch, NOON + jump)
        store.record_sweep("s", "name: s\n", [("barrier", f"{k}a"), ("barrier", f"{k}b")])
        assert {f"{k}a", f"{k}b"} == store.item_ids("s", "barrier")


def test_times_before_1970_and_far_ahead_are_kept(tmp_path: Path) -> None:
    """Rows keep the time that they were given, to the microsecond."""
    store = Store.create(tmp_path / "store")
    times = [datetime(1903, 5, 1, 2, 3, 4, 567, tzinfo=UTC), datetime(2262, 4, 1, 0, 0, 0, 1, tzinfo=UTC)]
    store.commit("barriers", [row("barriers", f"{k}", created_at=time) for k, time in enumerate(times)])
    told = store.sql("SELECT created_at FROM barriers ORDER BY barrier_id").fetchall()
    assert [time.replace(tzinfo=None) for time in times] == [time for (time,) in told]
