"""Two stores become one: each result once, whatever was interrupted, damaged or different."""

from __future__ import annotations

import errno
import json
import shutil
import traceback
from pathlib import Path
from typing import Any

import pytest
import small_store
from store_rows import row
from typer.testing import CliRunner

from lmc_sweep.cli.app import app
from lmc_sweep.errors import StoreError
from lmc_sweep.store import merging, publish
from lmc_sweep.store.store import Store
from lmc_sweep.store.verification import verify

GOLDEN = Path(__file__).parents[1] / "golden"
KINDS = ("network", "alignment", "barrier")
MORE = ("networks[0].seeds=4", "barriers.pairs=2")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a store, and of another of the same sweep with more pairs."""
    folder = tmp_path_factory.mktemp("made")
    small_store.compute(folder / "one")
    small_store.compute(folder / "two", overrides=MORE)
    return folder


@pytest.fixture
def one(made: Path, tmp_path: Path) -> Store:
    """The smaller store."""
    return Store(shutil.copytree(made / "one", tmp_path / "one"))


@pytest.fixture
def two(made: Path, tmp_path: Path) -> Store:
    """The larger store."""
    return Store(shutil.copytree(made / "two", tmp_path / "two"))


def rows(store: Store) -> dict[str, Any]:
    """All that a store shows, its views' rows sorted."""
    opened = Store(store.path)
    return {
        name: sorted(map(repr, opened.relation(name).fetchall()))
        for name in ("networks", "alignments", "barriers", "search_traces", "sweep_items")
    }


def files(path: Path) -> dict[str, bytes]:
    """Every file of a store."""
    return {str(file.relative_to(path)): file.read_bytes() for file in path.rglob("*") if file.is_file()}


def test_all_results_are_there_once_and_whole(one: Store, two: Store) -> None:
    """What both held is not copied; the rest is, with its tensors; the other store is as it was."""
    before = files(two.path)
    found = merging.merge(one, two)
    assert {"networks": 2, "alignments": 12, "barriers": 12} == {
        name: found.copied[name] for name in ("networks", "alignments", "barriers")
    }
    assert {"networks": 6, "alignments": 12, "barriers": 12} == {
        name: found.held[name] for name in ("networks", "alignments", "barriers")
    }
    assert [] == found.problems
    assert before == files(two.path)
    merged = Store(one.path)
    assert {kind: two.ids(kind) for kind in KINDS} == {kind: merged.ids(kind) for kind in KINDS}
    assert () == verify(merged).findings


def test_a_store_merged_into_an_empty_one_is_that_store(two: Store, tmp_path: Path) -> None:
    """Rows come over to the last column: times, environments, places."""
    empty = Store.create(tmp_path / "empty")
    merging.merge(empty, two)
    assert rows(two) == rows(empty)


def test_merging_again_changes_nothing(one: Store, two: Store) -> None:
    """The same command finds everything there."""
    merging.merge(one, two)
    before = files(one.path)
    again = merging.merge(Store(one.path), two)
    assert 0 == sum(again.copied.values())
    assert before == files(one.path)


def test_a_plan_that_was_recorded_again_stays_the_newest(tmp_path: Path) -> None:
    """The first, another, the first once more: the other store asks for what this one asks for."""
    source, target = Store.create(tmp_path / "source"), Store.create(tmp_path / "target")
    for items in (["id0"], ["id0", "id4"], ["id0"]):
        source.record_sweep("s", "name: s\n", [("barrier", item) for item in items])
    merging.merge(target, source)
    assert {"id0"} == source.item_ids("s", "barrier") == target.item_ids("s", "barrier")
    assert 0 == merging.merge(Store(target.path), source).copied["sweep_items"]


def test_a_sweep_of_the_same_name_with_another_text_gets_a_name_of_its_own(one: Store, two: Store) -> None:
    """Both sweeps are there, the second under a name made of its text, which its file has as well."""
    text = (one.path / "sweeps" / "small" / "sweep.yaml").read_text()
    renamed = merging.merge(one, two).sweeps["small"]
    merged = Store(one.path)
    assert ["small", renamed] == merged.sweeps()
    assert text == (one.path / "sweeps" / "small" / "sweep.yaml").read_text()
    assert f"name: {renamed}\n" in (one.path / "sweeps" / renamed / "sweep.yaml").read_text()
    assert two.item_ids("small", "barrier") == merged.item_ids(renamed, "barrier")
    assert 12 == len(merged.item_ids("small", "barrier"))


def test_a_sweep_that_came_in_and_was_changed_since_stays_changed(one: Store, two: Store) -> None:
    """What was brought in under a new name is a sweep like any other: merging again undoes no change."""
    renamed = merging.merge(one, two).sweeps["small"]
    file = one.path / "sweeps" / renamed / "sweep.yaml"
    changed = file.read_text() + "# changed\n"
    file.write_text(changed)
    assert renamed == merging.merge(Store(one.path), two).sweeps["small"]
    assert changed == file.read_text()
    file.write_bytes(b"\xff")
    merging.merge(Store(one.path), two)
    assert changed == file.read_text() + "# changed\n"


class Killed(BaseException):
    """Stands for the end of the process."""


@pytest.mark.parametrize("survived", [0, 4, 8, 11, 14])
def test_a_merge_that_is_killed_is_carried_on(
    one: Store, two: Store, made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, survived: int
) -> None:
    """Cut off before any publication, the store is sound; the same merge again ends as an uncut one."""
    uncut = Store(shutil.copytree(made / "one", tmp_path / "uncut"))
    merging.merge(uncut, two)
    left = [survived]
    link = publish._link

    def linked(temporary: Path, path: Path) -> None:
        if left[0] == 0:
            raise Killed
        left[0] -= 1
        link(temporary, path)

    monkeypatch.setattr(publish, "_link", linked)
    try:
        merging.merge(one, two)
    except Killed:
        pass
    else:
        assert survived > 10
    assert verify(Store(one.path)).is_clean
    monkeypatch.setattr(publish, "_link", link)
    merging.merge(Store(one.path), two)
    assert rows(uncut) == rows(one)


def test_other_numbers_of_one_id_are_kept_and_reported(one: Store, tmp_path: Path) -> None:
    """A result that the other store holds with another loss becomes a finding, once."""
    other = Store.create(tmp_path / "other")
    merging.merge(other, one)
    key = min(one.ids("barrier"))
    (losses,) = one.fetch("barriers", [key], ["losses"])
    described = dict(
        zip(
            one.barriers().columns,
            one.sql(f"SELECT * FROM barriers WHERE barrier_id = '{key}'").fetchall()[0],
            strict=True,
        )
    )
    differing = Store.create(tmp_path / "differing")
    differing.commit(
        "barriers", [described | {"losses": [loss + 1 for loss in losses["losses"]], "inputs_json": None}]
    )
    for _ in range(2):
        found = merging.merge(one, differing)
    assert 0 == sum(found.copied.values())
    assert {(key, "losses")} == {(one.id, one.column) for one in Store(one.path).nondeterminism()}


def test_a_patient_merge_copies_whole_files(
    one: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A store that is full for a moment costs a merge that waits for it nothing: its second try is whole."""
    target = Store.create(tmp_path / "target")
    target.patience_seconds = 60.0
    link, failed = publish._link, set()

    def full_once(temporary: Path, path: Path) -> None:
        if path.suffix == ".safetensors" and path not in failed:
            failed.add(path)
            raise OSError(errno.ENOSPC, "No space left on device")
        link(temporary, path)

    monkeypatch.setattr(publish, "_link", full_once)
    monkeypatch.setattr("lmc_sweep.store.terms._FIRST_PAUSE_SECONDS", 1e-4)
    merging.merge(target, one)
    assert len(failed) > 2
    assert verify(Store(target.path)).is_clean
    assert one.ids("network") == Store(target.path).ids("network")


def test_an_unreadable_file_is_told_as_that(
    one: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the other store cannot be read, the error names its file, not the one that would be written."""
    victim = min((one.path / "networks").iterdir())
    opened = Path.open

    def broken(path: Path, *arguments: Any, **options: Any) -> Any:
        if path == victim and _is_copying():
            raise OSError(errno.EIO, "Input/output error")
        return opened(path, *arguments, **options)

    monkeypatch.setattr(Path, "open", broken)
    with pytest.raises(StoreError, match=rf"{victim.name}: cannot be read: Input/output error") as raised:
        merging.merge(Store.create(tmp_path / "target"), one)
    assert str(raised.value).startswith(str(victim))


def _is_copying() -> bool:
    """Whether the file is read to be copied, and not to be checked."""
    return any(frame.name == "_hashed" for frame in traceback.extract_stack())


def test_damaged_files_are_left_out_and_named(one: Store, two: Store) -> None:
    """Torn records and tensors with a flipped bit are not brought in; all that does not need them is."""
    theirs = list((two.path / "networks").iterdir())
    mine = {path.name for path in (one.path / "networks").iterdir()}
    bad = min(path for path in theirs if path.name not in mine)
    content = bytearray(bad.read_bytes())
    content[-1] ^= 1
    bad.write_bytes(content)
    torn = min((two.path / "records" / "search_traces").iterdir())
    torn.write_bytes(torn.read_bytes()[:100])
    found = merging.merge(one, two)
    named = {path for path, _ in found.problems}
    assert {f"networks/{bad.name}", f"records/search_traces/{torn.name}"} == named
    merged = Store(one.path)
    assert not (one.path / "networks" / bad.name).exists()
    assert verify(merged).is_clean
    assert len(one.ids("network")) < len(two.ids("network"))


def test_what_is_damaged_here_is_made_good_from_there(one: Store, tmp_path: Path) -> None:
    """A file of weights that this store has lost, or holds torn, comes from the other."""
    other = Store(shutil.copytree(one.path, tmp_path / "other"))
    lost, torn = sorted((one.path / "networks").iterdir())[:2]
    lost.unlink()
    torn.write_bytes(torn.read_bytes()[:50])
    merging.merge(Store(one.path), other)
    assert verify(Store(one.path)).is_clean
    assert other.ids("network") == Store(one.path).ids("network")


@pytest.mark.parametrize("version", range(1, 5))
def test_stores_of_every_schema_version_can_be_merged(version: int, tmp_path: Path) -> None:
    """Rows of old versions come in in today's columns, and merging them again changes nothing."""
    old, new = Store(GOLDEN / f"store_v{version}"), Store.create(tmp_path / "new")
    merging.merge(new, old)
    assert {kind: old.ids(kind) for kind in KINDS} == {kind: new.ids(kind) for kind in KINDS}
    assert [("barrier", "loss_barrier", (0.25, 0.75))] == [
        (found.id, found.column, found.values) for found in new.nondeterminism()
    ]
    assert 0 == sum(merging.merge(Store(new.path), old).copied.values())


def test_a_store_is_not_merged_into_itself(one: Store, tmp_path: Path) -> None:
    """Neither under its own path nor through a link to it."""
    (tmp_path / "link").symlink_to(one.path)
    for path in (one.path, tmp_path / "link"):
        with pytest.raises(StoreError, match="same store"):
            merging.merge(one, Store(path))


def test_failures_come_along_under_their_sweep(one: Store, two: Store) -> None:
    """Failures of a renamed sweep carry its new name."""
    two.commit("failures", [row("failures", "f", kind="network", item_ids=["missing"], sweep="small")])
    renamed = merging.merge(one, two).sweeps["small"]
    assert [(renamed, ["missing"])] == Store(one.path).sql("SELECT sweep, item_ids FROM failures").fetchall()


def test_the_command_tells_what_it_did(one: Store, two: Store) -> None:
    """JSON counts rows by table; the exit code is 0, and 1 where something was left out."""
    done = CliRunner().invoke(app, ["merge", str(one.path), str(two.path), "--json"])
    assert 0 == done.exit_code
    assert 2 == json.loads(done.stdout)["copied"]["networks"]
    (two.path / "records" / "networks" / "20260101T000000000000Z-0-0.parquet").write_text("torn")
    assert 1 == CliRunner().invoke(app, ["merge", str(one.path), str(two.path)]).exit_code
