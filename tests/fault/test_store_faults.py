"""Every call to the system that fails, in every way: nothing is half there, nothing acknowledged is lost."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import torch
from faulty_files import WRITING, Fault, Mode, Try, failing, tried, unfinished
from store_rows import ids_of, row

from lmc_sweep.errors import StoreError
from lmc_sweep.store import terms
from lmc_sweep.store.compaction import compact
from lmc_sweep.store.local_files import LocalFiles
from lmc_sweep.store.merging import merge
from lmc_sweep.store.repair import set_aside
from lmc_sweep.store.store import Store

pytestmark = pytest.mark.fault
PASSING = (errno.EIO, errno.ENOSPC, errno.ESTALE, errno.EINTR)
STAYING = (errno.EROFS, errno.EACCES, errno.EDQUOT)


def _commit(root: Path, patience_seconds: float = 0.0) -> None:
    store = Store(root)
    store.patience_seconds = patience_seconds
    store.commit("barriers", [row("barriers", "late"), row("barriers", "late2")])


def _weights(root: Path, patience_seconds: float = 0.0) -> None:
    store = Store(root)
    store.patience_seconds = patience_seconds
    path = store.write_tensors("networks", {"w": torch.arange(6.0).reshape(2, 3)})
    store.commit("networks", [row("networks", "late", checkpoint=path, row=1)])


def _sweep(root: Path, patience_seconds: float = 0.0) -> None:
    store = Store(root)
    store.patience_seconds = patience_seconds
    store.record_sweep("late", "name: late\n", [("network", "a"), ("network", "b")])


def _create(root: Path, patience_seconds: float = 0.0) -> None:
    Store.create(root)


def _seen(root: Path) -> set[str]:
    """All that a store shows, by name; every id is seen once."""
    store = Store(root)
    items = store.sql("SELECT item_id FROM sweep_items WHERE sweep = 'late'").fetchall()
    shown = [*ids_of(store.barriers(), "barrier_id"), *ids_of(store.networks(), "network_id")]
    shown += [f"item {key}" for (key,) in items]
    assert len(set(shown)) == len(shown)
    if "late" in store.ids("network"):
        assert [3.0, 4.0, 5.0] == store.load_network("late")["w"].tolist()
    return set(shown)


def _held(root: Path) -> set[str]:
    """The same from the listing alone, which is much quicker."""
    store = Store(root)
    recorded = any((root / "records").glob("sweep_items/*.parquet"))
    items = {f"item {key}" for key in store.item_ids("late", "network")} if recorded else set()
    return {*store.ids("barrier"), *store.ids("network"), *items}


ACTIONS: dict[str, tuple[Callable[..., None], set[str]]] = {
    "commit": (_commit, {"late", "late2"}),
    "weights": (_weights, {"late"}),
    "sweep": (_sweep, {"item a", "item b"}),
}


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A store with one record, in a folder of its own."""
    store = Store.create(tmp_path / "store")
    store.commit("barriers", [row("barriers", "before")])
    return store.path


def _faults(modes: tuple[Mode, ...], numbers: tuple[int, ...]) -> Callable[[int], Iterator[Fault]]:
    """Makes each fault for a number of a call."""

    def made(at: int) -> Iterator[Fault]:
        for mode in modes:
            for number in numbers:
                yield Fault(at, number, mode, WRITING)

    return made


def _alternating(at: int) -> Iterator[Fault]:
    """One fault for each number of a call: errors that may pass and ways to fail in turn."""
    modes: tuple[Mode, ...] = ("refused", "lost reply")
    yield Fault(at, PASSING[at // 2 % len(PASSING)], modes[at % 2], WRITING)


def _check(one: Try, action: Callable[..., None], whole: set[str]) -> None:
    """What must hold after any fault; then the same action without one makes it whole."""
    told = f"{one.fault}: {one.error}"
    assert one.error is None or isinstance(one.error, StoreError), told
    held = _held(one.root)
    assert held in ({"before"}, {"before"} | whole), told
    if one.error is None:
        assert {"before"} | whole == held, told
    assert [] == Store(one.root).problems(), told
    if not (one.fault.mode == "for ever" and one.fault.struck.startswith("unlink")):
        assert [] == unfinished(one.root), told
    action(one.root)
    twice = one.fault.mode == "lost reply" and one.error is not None  # it may be there twice by now
    assert {"before"} | whole == (_seen if twice else _held)(one.root), told


@pytest.mark.parametrize("name", ACTIONS)
def test_a_failing_call_leaves_nothing_half_there(prepared: Path, name: str) -> None:
    """Whichever call fails, whether or not it was done: StoreError or success, and a retry succeeds."""
    action, whole = ACTIONS[name]
    count = 0
    for one in tried(prepared, action, _faults(("refused", "lost reply"), (errno.EIO,))):
        _check(one, action, whole)
        count += 1
    assert count > 30


@pytest.mark.parametrize("number", [errno.ENOSPC, *STAYING[:2]])
def test_a_call_that_fails_for_ever_is_one_line(prepared: Path, number: int) -> None:
    """While a call keeps failing the commit ends in one line with file and remedy; mended, it succeeds."""
    failed = 0
    for one in tried(prepared, _commit, _faults(("for ever",), (number,))):
        _check(one, _commit, {"late", "late2"})
        if one.error is not None:
            failed += 1
            assert str(one.root) in str(one.error)
            assert "\n" not in str(one.error)
            assert str(one.error).endswith(".")
    assert failed > 8


def test_a_short_write_is_carried_on(prepared: Path) -> None:
    """A disk that takes half of what it is given gets the other half, too."""
    for one in tried(prepared, _weights, _faults(("short",), (0,))):
        assert one.error is None
        _check(one, _weights, {"late"})


@pytest.mark.parametrize("name", ACTIONS)
def test_what_passes_is_waited_for(prepared: Path, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With patience, one failure that may pass costs nothing: the same call succeeds, each id once."""
    action, whole = ACTIONS[name]
    monkeypatch.setattr(terms, "_FIRST_PAUSE_SECONDS", 1e-4)

    def patient(root: Path) -> None:
        action(root, patience_seconds=60.0)

    for one in tried(prepared, patient, _alternating):
        assert one.error is None, one.fault
        assert {"before"} | whole == _held(one.root), one.fault
        assert [] == unfinished(one.root), one.fault


@pytest.mark.parametrize("number", PASSING)
def test_patience_ends(prepared: Path, number: int) -> None:
    """What does not pass is a StoreError with the system's words and how long it was waited for."""
    fault = Fault(0, number, "for ever", ("fsync",))
    store = Store(prepared)
    store.patience_seconds = 0.3
    with failing(prepared, fault), pytest.raises(StoreError, match=r"for 0\.3 s\. .*\.$") as raised:
        store.commit("barriers", [row("barriers", "late")])
    assert isinstance(raised.value.__cause__, OSError)
    assert number == raised.value.__cause__.errno
    assert fault.calls.count(fault.struck) >= 1
    assert len(fault.calls) > 2
    assert {"before"} == _seen(prepared)
    assert [] == unfinished(prepared)


@pytest.mark.parametrize("number", STAYING[:2])
def test_what_a_person_must_mend_is_told_at_once(prepared: Path, number: int) -> None:
    """A read-only disk or a refused permission is not waited for."""
    store = Store(prepared)
    store.patience_seconds = 600.0
    fault = Fault(0, number, "for ever", ("link",))
    with failing(prepared, fault), pytest.raises(StoreError, match="Choose a store"):
        store.commit("barriers", [row("barriers", "late")])
    assert 1 == len(fault.calls)


def test_a_creation_that_fails_can_be_repeated(tmp_path: Path) -> None:
    """Whichever call fails while a store is made, StoreError tells so, and making it again succeeds."""
    empty = tmp_path / "empty"
    empty.mkdir()
    for one in tried(empty, _create, _faults(("refused", "lost reply"), (errno.EIO, errno.ENOSPC))):
        assert one.error is None or isinstance(one.error, StoreError), (one.fault, one.error)
        assert [] == unfinished(one.root), one.fault
        assert [] == Store.create(one.root).problems(), one.fault


def test_a_failing_read_loses_nothing(prepared: Path) -> None:
    """Whichever call fails while a store is listed, the same reader sees all once it can read again."""
    store = Store(prepared)
    path = store.write_tensors("networks", {"w": torch.zeros(1, 2)})
    store.commit("networks", [row("networks", "n", checkpoint=path, row=0)])

    def read(root: Path) -> None:
        Store(root).ids("network")

    def made(at: int) -> Iterator[Fault]:
        for number in (errno.EIO, errno.ESTALE):
            yield Fault(at, number)

    struck = []
    for one in tried(prepared, read, made):
        struck.append(one.fault.struck)
        assert one.error is None or isinstance(one.error, StoreError), (one.fault, one.error)
    assert any("parquet" in call for call in struck)
    for at in range(len(struck)):
        reader = Store(prepared)
        try:
            with failing(prepared, Fault(at - 1, errno.EIO)):
                reader.ids("network")
        except StoreError:
            pass
        assert {"n"} == reader.ids("network"), struck[at]


def _several(root: Path) -> Store:
    """A store with several record files of a table, some rows twice, and weights."""
    store = Store(root)
    path = store.write_tensors("networks", {"w": torch.arange(6.0).reshape(2, 3)})
    store.commit("networks", [row("networks", "late", checkpoint=path, row=1)])
    for minutes in (1, 2, 3):
        keys = ("before", "twice", f"late{minutes}")
        store.commit("barriers", [row("barriers", key, minutes=minutes) for key in keys])
    return store


@pytest.mark.slow
def test_a_compaction_that_fails_changes_no_result(prepared: Path) -> None:
    """Whichever call of a compaction fails, what the store shows stays, and compacting again succeeds."""
    _several(prepared)
    expected = _seen(prepared)
    failed = 0
    for one in tried(prepared, lambda root: compact(Store(root), grace_seconds=0), _alternating):
        told = f"{one.fault}: {one.error}"
        failed += one.error is not None
        assert one.error is None or isinstance(one.error, StoreError), told
        assert expected == _held(one.root), told
        assert [] == Store(one.root).problems(), told
        compact(Store(one.root), grace_seconds=0)
        assert expected == _seen(one.root), told
        assert 1 == len(list((one.root / "records" / "barriers").iterdir())), told
        # a folder that the system would not remove is left to the next compaction, by age
        assert {".compact"} >= {path.name for path in unfinished(one.root)}, told
    assert failed > 10


def test_setting_aside_that_fails_loses_no_file(prepared: Path) -> None:
    """Whichever call fails while a damaged file is moved, its bytes stay, and a retry succeeds."""
    _several(prepared)
    victim = next((prepared / "networks").iterdir())
    damaged = victim.read_bytes()[:-1] + b"!"
    victim.write_bytes(damaged)
    path = str(victim.relative_to(prepared))
    for one in tried(
        prepared,
        lambda root: set_aside(LocalFiles(root), path),
        _faults(("refused", "lost reply"), (errno.EIO,)),
    ):
        told = f"{one.fault}: {one.error}"
        assert one.error is None or isinstance(one.error, StoreError), told
        held = [file for file in one.root.rglob(f"{victim.name}*") if file.is_file()]
        assert {damaged} == {file.read_bytes() for file in held}, told
        set_aside(LocalFiles(one.root), path)
        assert not (one.root / path).exists(), told
        assert damaged == (one.root / "quarantine" / path).read_bytes(), told


@pytest.mark.slow
def test_a_merge_that_fails_can_be_repeated(prepared: Path, tmp_path: Path) -> None:
    """Whichever call of a merge fails, nothing half is shown, and merging again brings the rest."""
    other = tmp_path / "other"
    shutil.copytree(prepared, other)
    expected = _seen(_several(other).path)
    for one in tried(prepared, lambda root: merge(Store(root), Store(other)), _alternating):
        told = f"{one.fault}: {one.error}"
        assert one.error is None or isinstance(one.error, StoreError), told
        assert {"before"} <= _held(one.root) <= expected, told
        assert [] == Store(one.root).problems(), told
        merge(Store(one.root), Store(other))
        assert expected == _seen(one.root), told
        assert [] == unfinished(one.root), told


def test_a_store_that_is_gone_is_not_made_again(prepared: Path) -> None:
    """A writer whose store was removed or unmounted says so, and leaves the place as it is."""
    store = Store(prepared)
    away = prepared.with_name("away")
    prepared.rename(away)
    for leave in (False, True):  # removed, and the empty directory under a mount
        if leave:
            prepared.mkdir()
        for write in (
            lambda: store.commit("barriers", [row("barriers", "late")]),
            lambda: store.write_tensors("networks", {"w": torch.zeros(1)}),
            lambda: store.record_sweep("late", "name: late\n", []),
            lambda: store.write_progress("late", "0" * 32, {}),
        ):
            with pytest.raises(StoreError, match="the store is gone"):
                write()
        assert leave == prepared.exists()
        assert not leave or [] == list(prepared.iterdir())
    prepared.rmdir()
    away.rename(prepared)
    store.commit("barriers", [row("barriers", "late")])
    assert {"before", "late"} == _seen(prepared)


def test_a_store_that_comes_back_is_waited_for(prepared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A mount that is gone for a moment costs a patient writer nothing."""
    store = Store(prepared)
    store.patience_seconds = 60.0
    away = prepared.with_name("away")
    prepared.rename(away)
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 4:
            away.rename(prepared)

    monkeypatch.setattr(terms.time, "sleep", pause)
    store.commit("barriers", [row("barriers", "late")])
    assert {"before", "late"} == _seen(prepared)
    assert [0.05, 0.1, 0.2, 0.4] == pytest.approx(pauses)


def test_another_store_in_its_place_is_not_written(prepared: Path) -> None:
    """A writer knows its store from another that took its place, and does not wait for that to change."""
    store = Store(prepared)
    store.patience_seconds = 600.0
    prepared.rename(prepared.with_name("away"))
    Store.create(prepared)
    with pytest.raises(StoreError, match="another store has taken the place"):
        store.commit("barriers", [row("barriers", "late")])
    assert set() == Store(prepared).ids("barrier")
    assert not store.is_as_opened()


def test_a_file_where_a_folder_belongs_is_one_line(prepared: Path) -> None:
    """A file that stands where a folder belongs is named with the remedy, and taking it away mends it."""
    records = prepared / "records"
    shutil.move(records, prepared.with_name("kept"))
    records.write_text("in the way")
    store = Store(prepared)
    with pytest.raises(StoreError, match=r"records.*cannot be written.*A file stands where a directory"):
        store.commit("barriers", [row("barriers", "late")])
    records.unlink()
    shutil.move(prepared.with_name("kept"), records)
    store.commit("barriers", [row("barriers", "late")])
    assert {"before", "late"} == _seen(prepared)
