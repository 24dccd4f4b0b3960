"""Links in a store that lead out of it: nothing there is deleted, moved or written."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from store_rows import row

from lmc_sweep.errors import StoreError
from lmc_sweep.store.compaction import compact
from lmc_sweep.store.repair import set_aside
from lmc_sweep.store.store import Store

pytestmark = pytest.mark.fault
RUN = "a" * 32


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with two records and the advice of a run."""
    store = Store.create(tmp_path / "store")
    store.record_sweep("s", "name: s\n", [("barrier", "a")])
    store.write_progress("s", RUN, {})
    for key in ("a", "b"):
        store.commit("barriers", [row("barriers", key)])
    return store


@pytest.fixture
def elsewhere(tmp_path: Path) -> Path:
    """Old files of somebody else's, with names as a store has them."""
    home = tmp_path / "home"
    for name in (".old.tmp", f"{RUN}/thesis", "documents/thesis", f"{RUN}/.old.tmp", "started/.old.tmp"):
        (home / name).parent.mkdir(parents=True, exist_ok=True)
        (home / name).write_text("precious")
    for path in (*home.rglob("*"), home):
        os.utime(path, (0, 0))
    return home


def _held(folder: Path) -> dict[str, str]:
    """All files below a folder."""
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


def test_a_link_in_the_place_of_unfinished_files_is_refused(store: Store, elsewhere: Path) -> None:
    """Compaction, which empties that folder, neither follows the link nor works without it."""
    before = _held(elsewhere)
    (store.path / ".compact").symlink_to(elsewhere)
    with pytest.raises(StoreError, match=r"\.compact: is a symbolic link"):
        compact(store, grace_seconds=0)
    assert before == _held(elsewhere)
    assert {"a", "b"} == store.ids("barrier")


@pytest.mark.parametrize(
    "name", ["networks", "environments", "records/failures", "sweeps/t", f"sweeps/s/runs/{'b' * 32}"]
)
def test_unfinished_files_behind_a_link_stay(store: Store, elsewhere: Path, name: str) -> None:
    """Abandoned files are deleted in the store alone."""
    before = _held(elsewhere)
    assert before
    if (store.path / name).is_dir():
        (store.path / name).rename(store.path.with_name("kept"))
    (store.path / name).symlink_to(elsewhere)
    compact(store, grace_seconds=0)
    assert before == _held(elsewhere)


def test_links_among_unfinished_folders_stay(store: Store, elsewhere: Path) -> None:
    """What stands in the folder of unfinished files and has no name of ours is left, links first of all."""
    before = _held(elsewhere)
    (store.path / ".compact").mkdir()
    for name in ("c" * 32, "link"):
        (store.path / ".compact" / name).symlink_to(elsewhere)
    compact(store, grace_seconds=0)
    assert before == _held(elsewhere)


@pytest.mark.parametrize("linked", ["quarantine", "quarantine/records", "quarantine/records/barriers"])
def test_nothing_is_set_aside_behind_a_link(store: Store, elsewhere: Path, linked: str) -> None:
    """A quarantine that leads out of the store takes no file."""
    before = _held(elsewhere)
    victim = next((store.path / "records" / "barriers").iterdir())
    victim.write_bytes(b"bad")
    (store.path / linked).parent.mkdir(parents=True, exist_ok=True)
    (store.path / linked).symlink_to(elsewhere)
    with pytest.raises(StoreError, match="is a symbolic link"):
        set_aside(store.files, str(victim.relative_to(store.path)))
    assert (before, b"bad") == (_held(elsewhere), victim.read_bytes())


def test_unfinished_files_of_every_kind_of_writer_go_when_they_are_old(store: Store) -> None:
    """Whatever a killed writer was about to replace, its unfinished file does not stay for ever."""
    folders = ("", "environments", "sweeps/s", f"sweeps/s/runs/{RUN}", "records/barriers")
    for age, written in (("old", 0), ("young", None)):
        for folder in folders:
            path = store.path / folder / f".{age}.tmp"
            path.write_bytes(b"")
            if written is not None:
                os.utime(path, (written, written))
    assert len(folders) == compact(store, grace_seconds=0).temporaries_removed
    assert [".young.tmp"] * len(folders) == [path.name for path in store.path.rglob(".*.tmp")]
