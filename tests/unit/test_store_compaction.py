"""What compaction merges, what it leaves alone, and what its files look like."""

from __future__ import annotations

import json
import os
import shutil
import time
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from compacting import findings, record_files, shown
from store_rows import ids_of, row

from lmc_sweep.store import layout, tiers
from lmc_sweep.store.compaction import compact
from lmc_sweep.store.schema import SCHEMA_VERSION, TABLES
from lmc_sweep.store.store import Store

GOLDEN = Path(__file__).parents[1] / "golden"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A new, empty store."""
    return Store.create(tmp_path / "store")


def _commits(store: Store, count: int, rows: int = 1) -> None:
    """Commits of barriers whose cells are mixed."""
    for commit in range(count):
        names = [f"{commit}-{index}" for index in range(rows)]
        store.commit("barriers", [row("barriers", name, cell_id=f"cell-{name[::-1]}") for name in names])


@pytest.mark.parametrize("version", range(1, SCHEMA_VERSION + 1))
def test_stores_of_every_version_show_the_same_afterwards(tmp_path: Path, version: int) -> None:
    """Every table of an old store shows what it showed, and its records are of today's version then."""
    shutil.copytree(GOLDEN / f"store_v{version}", tmp_path / "store")
    store = Store(tmp_path / "store")
    for minutes in (7, 8):
        store.commit("networks", [row("networks", f"new-{minutes}", checkpoint=_checkpoint(store))])
        store.commit("barriers", [row("barriers", f"new-{minutes}")])
    expected, reported = shown(store), findings(store)
    report = compact(store, grace_seconds=0)
    for reader in (store, Store(store.path)):
        assert (expected, reported, []) == (shown(reader), findings(reader), reader.problems())
    assert {"networks": 1, "barriers": 1} == {
        one.table: one.files_after for one in report.tables if one.files_before > 1
    }
    (file,) = record_files(store, "networks")
    assert str(SCHEMA_VERSION).encode() == pq.read_schema(file).metadata[b"lmc_sweep.schema_version"]
    assert torch.is_tensor(store.load_networks(["network1"])["layers.0.bias"])


def _checkpoint(store: Store) -> str:
    """The file of weights that the store's networks share."""
    return str(store.fetch("networks", ["network0"], ["checkpoint"])[0]["checkpoint"])


@pytest.mark.parametrize("rows_per_pass", [500_000, 12])
def test_rows_of_a_cell_lie_together(
    store: Store, monkeypatch: pytest.MonkeyPatch, rows_per_pass: int
) -> None:
    """Rows are sorted by cell through all new files, whose row groups carry the range of their cells."""
    monkeypatch.setattr("lmc_sweep.store.sorted_rows.PASS_ROWS", rows_per_pass)
    monkeypatch.setattr(tiers, "FULL_ROWS", 20)
    monkeypatch.setattr("lmc_sweep.store.merged_files.FULL_ROWS", 20)
    monkeypatch.setattr("lmc_sweep.store.merged_files.ROW_GROUP_ROWS", 5)
    _commits(store, 10, 5)
    compact(store, grace_seconds=0)
    files = record_files(store, "barriers")
    assert 3 == len(files)
    assert all(layout.is_compacted(file.name) for file in files)
    cells = [cell for file in files for cell in pq.read_table(file).column("cell_id").to_pylist()]
    assert 50 == len(cells)
    assert sorted(cells) == cells
    metadata = pq.ParquetFile(files[0]).metadata
    position = list(TABLES["barriers"].by_name).index("cell_id")
    ranges = [metadata.row_group(group).column(position).statistics for group in range(4)]
    assert [(cells[5 * k], cells[5 * k + 4]) for k in range(4)] == [(one.min, one.max) for one in ranges[:4]][
        :4
    ]


def test_what_was_compacted_is_left_alone(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A second compaction changes nothing; a few new rows are merged without rewriting the many."""
    monkeypatch.setattr(tiers, "FULL_ROWS", 2000)
    _commits(store, 30, 40)
    compact(store, grace_seconds=0)
    first = record_files(store, "barriers")
    compact(store, grace_seconds=0)
    assert first == record_files(store, "barriers")
    for key in ("x", "y", "z"):
        store.commit("retries", [row("retries", key)])
    store.commit("barriers", [row("barriers", "new")])
    report = compact(store, grace_seconds=0)
    assert {"barriers": (2, 2), "retries": (3, 1)} == {
        one.table: (one.files_before, one.files_after) for one in report.tables
    }
    assert set(first) <= set(record_files(store, "barriers"))


def test_files_that_hold_repetitions_are_merged_however_large(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Agreeing rows of one id are dropped even from files that are full, and the oldest stays."""
    monkeypatch.setattr(tiers, "FULL_ROWS", 1)
    for minutes in (5, 1):
        store.commit("barriers", [row("barriers", "twice", minutes=minutes, method=f"at {minutes}")])
    (told,) = compact(store, grace_seconds=0).tables
    assert (2, 1, 1, 1) == (told.files_before, told.files_after, told.rows, told.duplicates_dropped)
    assert ["at 1"] == ids_of(store.barriers(), "method")


def test_rows_whose_weights_are_lost_are_kept(store: Store) -> None:
    """A network whose weights are gone stays hidden, and is there again when its weights are."""
    weights = {"w": torch.ones(1, 2)}
    path = store.write_tensors("networks", weights)
    for minutes in (0, 1):
        store.commit("networks", [row("networks", f"n-{minutes}", checkpoint=path, row=0)])
    (store.path / path).unlink()
    compact(store, grace_seconds=0)
    assert (set(), 1) == (store.ids("network"), len(record_files(store, "networks")))
    store.write_tensors("networks", weights)
    assert {"n-0", "n-1"} == store.ids("network") == Store(store.path).ids("network")


def test_a_file_that_is_set_aside_is_not_touched(store: Store) -> None:
    """Damaged and foreign files stay where they are; a damaged compacted file is set aside like any other."""
    _commits(store, 4)
    torn = record_files(store, "barriers")[1]
    torn.write_bytes(torn.read_bytes()[:-20])
    foreign = torn.with_name("notes.txt")
    foreign.write_text("not a record")
    compact(store, grace_seconds=0)
    assert torn.exists()
    assert foreign.exists()
    assert {"0-0", "2-0", "3-0"} == store.ids("barrier")
    (compacted,) = [file for file in record_files(store, "barriers") if layout.is_compacted(file.name)]
    content = bytearray(compacted.read_bytes())
    content[len(content) // 3] ^= 16
    compacted.write_bytes(content)
    for reader in (store, Store(store.path)):
        assert set() == reader.ids("barrier")
        assert 3 == len(reader.problems())


def test_replaced_files_are_left_out_while_they_stay(store: Store) -> None:
    """Where old files lie beside the new, each row is read once, and without the new the old count again."""
    _commits(store, 3)
    before = record_files(store, "barriers")
    contents = {file: file.read_bytes() for file in before}
    compact(store, grace_seconds=0)
    for file, content in contents.items():
        file.write_bytes(content)
    for reader in (store, Store(store.path)):
        assert ["0-0", "1-0", "2-0"] == ids_of(reader.barriers(), "barrier_id")
        assert {"0-0", "1-0", "2-0"} == reader.ids("barrier")
    (compacted,) = set(record_files(store, "barriers")) - set(before)
    compacted.rename(store.path / "elsewhere")
    for reader in (store, Store(store.path)):
        assert ["0-0", "1-0", "2-0"] == ids_of(reader.barriers(), "barrier_id")


def test_some_of_the_new_files_without_the_last_double_nothing(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where a compaction died between two of its files, rows are shown once, and the next mends it."""
    monkeypatch.setattr("lmc_sweep.store.merged_files.FULL_ROWS", 4)
    monkeypatch.setattr("lmc_sweep.store.merged_files.ROW_GROUP_ROWS", 2)
    monkeypatch.setattr(tiers, "FULL_ROWS", 4)
    _commits(store, 10)
    expected = shown(store)
    contents = {file: file.read_bytes() for file in record_files(store, "barriers")}
    compact(store, grace_seconds=0)
    new = record_files(store, "barriers")
    assert 3 == len(new)
    new[-1].unlink()
    for file, content in contents.items():
        file.write_bytes(content)
    for reader in (store, Store(store.path)):
        assert (expected, []) == (shown(reader), findings(reader))
    report = compact(store, grace_seconds=0)
    assert [(12, 3, 10)] == [(one.files_before, one.files_after, one.rows) for one in report.tables]
    assert expected == shown(Store(store.path))


def test_replaced_files_stay_for_the_grace(store: Store) -> None:
    """A relation that was taken before a compaction answers until the grace is over."""
    _commits(store, 3)
    taken = store.barriers()
    answers = []

    def tell(line: str) -> None:
        if "stay for" in line:
            answers.append(ids_of(taken, "barrier_id"))

    compact(Store(store.path), grace_seconds=0.01, tell=tell)
    assert [["0-0", "1-0", "2-0"]] == answers
    assert 1 == len(record_files(store, "barriers"))


def test_abandoned_files_are_removed_and_young_ones_left(store: Store) -> None:
    """Unfinished files and folders that were not written to for an hour go; those of live writers stay."""
    _commits(store, 1)
    old, young = (store.path / "records" / "barriers" / f".{age}.tmp" for age in ("old", "young"))
    folder = store.path / ".compact" / ("d" * 32)
    folder.mkdir(parents=True)
    for path in (old, young, folder / "part-0"):
        path.write_bytes(b"unfinished")
    for path in (old, folder / "part-0", folder):
        os.utime(path, (time.time() - 4000,) * 2)
    assert 2 == compact(store, grace_seconds=0).temporaries_removed
    assert (False, True, False) == (old.exists(), young.exists(), folder.parent.exists())


def test_an_empty_store_has_nothing_to_compact(store: Store) -> None:
    """No table is told of, and nothing is made."""
    assert () == compact(store).tables
    assert ["store.json"] == [path.name for path in store.path.iterdir()]


def test_a_generation_that_names_nonsense_is_set_aside(store: Store) -> None:
    """A compacted file whose word on its siblings cannot be read is a problem, not a crash."""
    _commits(store, 2)
    compact(store, grace_seconds=0)
    (file,) = record_files(store, "barriers")
    table = pq.read_table(file).replace_schema_metadata(
        {**TABLES["barriers"].schema.metadata, b"lmc_sweep.compaction": json.dumps({"generation": 3})}
    )
    import hashlib
    import io

    sink = io.BytesIO()
    pq.write_table(table, sink)
    digest = hashlib.sha256(sink.getvalue()).hexdigest()
    made = layout.record_path("barriers", "20260101T000000000000Z", digest, "0" * 8, compacted=True)
    (store.path / made).write_bytes(sink.getvalue())
    (problem,) = store.problems()
    assert made == problem.path
    assert "compacted" in problem.reason
