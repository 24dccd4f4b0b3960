"""Damaged and foreign files are named, left out of results, and repaired by doing the work again."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from store_rows import ids_of, row

from lmc_sweep.errors import StoreError
from lmc_sweep.store.schema import TABLES
from lmc_sweep.store.store import Store

pytestmark = pytest.mark.fault


def _cut(path: Path) -> None:
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _empty(path: Path) -> None:
    path.write_bytes(b"")


def _zero(path: Path) -> None:
    path.write_bytes(b"\0" * path.stat().st_size)


def _zero_tail(path: Path) -> None:
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2] + b"\0" * (len(content) - len(content) // 2))


def _text(path: Path) -> None:
    path.write_text("not Parquet at all\n")


def _foreign_parquet(path: Path) -> None:
    path.unlink()
    pq.write_table(pa.table({"barrier_id": ["damaged"], "x": [1]}), path.with_name("foreign.parquet"))


def _foreign_kind(path: Path) -> None:
    path.rename(path.with_name("notes.txt"))


def _directory(path: Path) -> None:
    path.unlink()
    path.mkdir()


def _link_outside(path: Path) -> None:
    path.rename(path.parents[3] / "elsewhere.parquet")
    path.symlink_to(path.parents[3] / "elsewhere.parquet")


def _newer(path: Path) -> None:
    path.unlink()
    table = pa.table({"barrier_id": ["damaged"]})
    metadata = {"lmc_sweep.schema_version": "99", "lmc_sweep.table": "barriers"}
    pq.write_table(table.replace_schema_metadata(metadata), path.with_name("newer.parquet"))


def _of_another_table(path: Path) -> None:
    content = path.read_bytes()
    path.unlink()
    folder = path.parents[1] / "networks"
    folder.mkdir(exist_ok=True)
    (folder / path.name).write_bytes(content)


DAMAGES = [
    _cut,
    _empty,
    _zero,
    _zero_tail,
    _text,
    _foreign_parquet,
    _foreign_kind,
    _directory,
    _link_outside,
    _newer,
    _of_another_table,
]


def _two_records(folder: Path) -> tuple[Store, Path]:
    """A store with a good record, and a second one that is about to be damaged."""
    store = Store.create(folder / "store")
    store.commit("barriers", [row("barriers", "good")])
    return store, store.path / store.commit("barriers", [row("barriers", "damaged", loss_barrier=1.5)])


@pytest.mark.parametrize("damage", DAMAGES, ids=lambda damage: damage.__name__.strip("_"))
def test_a_damaged_record_is_named_and_repaired(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """Whatever happened to a record, it alone is set aside, by name, and committing again repairs it."""
    store, victim = _two_records(tmp_path)
    assert {"good", "damaged"} == store.ids("barrier")
    damage(victim)
    for reader in (store, Store(store.path)):
        assert {"good"} == reader.ids("barrier")
        assert ["good"] == ids_of(reader.barriers(), "barrier_id")
        (problem,) = reader.problems()
        assert (store.path / problem.path).parent in (victim.parent, victim.parents[1] / "networks")
        assert problem.reason
    store.commit("barriers", [row("barriers", "damaged", loss_barrier=1.5)])
    assert ["damaged", "good"] == ids_of(store.barriers(), "barrier_id")
    assert [{"loss_barrier": 1.5}] == store.fetch("barriers", ["damaged"], ["loss_barrier"])


def test_every_flipped_bit_of_a_record_is_found(tmp_path: Path) -> None:
    """No single flipped bit, wherever it lies in a record, reaches a result."""
    store, victim = _two_records(tmp_path)
    content = victim.read_bytes()
    for position in range(0, len(content), max(1, len(content) // 64)):
        flipped = bytearray(content)
        flipped[position] ^= 1 << (position % 8)
        victim.write_bytes(flipped)
        assert {"good"} == Store(store.path).ids("barrier"), position


def test_a_flipped_bit_is_found_without_a_hash_in_the_name(tmp_path: Path) -> None:
    """A record under a name of somebody else's making is decoded in full before it is believed."""
    store, victim = _two_records(tmp_path)
    copied = victim.with_name("copied.parquet")
    victim.rename(copied)
    assert {"good", "damaged"} == store.ids("barrier")
    content = bytearray(copied.read_bytes())
    content[len(content) // 8] ^= 4
    copied.write_bytes(content)
    assert {"good"} == Store(store.path).ids("barrier")


def test_unfinished_files_are_not_looked_at(tmp_path: Path) -> None:
    """What a dead writer left under a temporary name is neither a result nor a problem."""
    store, victim = _two_records(tmp_path)
    victim.rename(victim.with_name(f".{victim.name}.tmp"))
    assert {"good"} == store.ids("barrier")
    assert [] == store.problems()


@pytest.mark.parametrize("damage", [_cut, _empty, _text, Path.unlink, _directory])
def test_networks_without_whole_weights_are_set_aside(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    """A network whose weights are gone or cut short is missing until they are written again."""
    store = Store.create(tmp_path / "store")
    stacks = [{"w": torch.full((2, 3), float(k))} for k in range(2)]
    paths = [store.write_tensors("networks", stack) for stack in stacks]
    for k, path in enumerate(paths):
        store.commit("networks", [row("networks", f"{k}{r}", checkpoint=path, row=r) for r in range(2)])
    assert 4 == len(store.ids("network"))
    damage(store.path / paths[0])
    for reader in (store, Store(store.path)):
        assert {"10", "11"} == reader.ids("network")
        assert ["10", "11"] == ids_of(reader.networks(), "network_id")
        assert [paths[0]] == [problem.path for problem in reader.problems()]
        with pytest.raises(KeyError, match="'00'"):
            reader.load_network("00")
    if damage is _directory:
        (store.path / paths[0]).rmdir()
    assert paths[0] == store.write_tensors("networks", stacks[0])
    store.commit("networks", [row("networks", "00", minutes=9, checkpoint=paths[0], row=0)])
    assert [] == store.problems()
    assert torch.equal(stacks[0]["w"][0], store.load_network("00")["w"])


def test_other_weights_take_the_place_of_lost_ones(tmp_path: Path) -> None:
    """Where training again gave other weights, the record whose weights can be read counts."""
    store = Store.create(tmp_path / "store")
    lost, found = (store.write_tensors("networks", {"w": torch.full((1, 2), value)}) for value in (1.0, 2.0))
    store.commit("networks", [row("networks", "n", minutes=0, checkpoint=lost, row=0)])
    store.commit("networks", [row("networks", "n", minutes=1, checkpoint=found, row=0)])
    assert [1.0, 1.0] == store.load_network("n")["w"].tolist()
    (store.path / lost).unlink()
    assert [2.0, 2.0] == store.load_network("n")["w"].tolist()
    assert [(found,)] == store.sql("SELECT checkpoint FROM networks").fetchall()


def test_altered_weights_are_written_anew(tmp_path: Path) -> None:
    """A flipped bit in a file of weights is found when the same weights are written again, and repaired."""
    store = Store.create(tmp_path / "store")
    stack = {"w": torch.arange(8.0).reshape(2, 4)}
    path = store.path / store.write_tensors("networks", stack)
    whole = path.read_bytes()
    path.write_bytes(whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:])
    store.write_tensors("networks", stack)
    assert whole == path.read_bytes()


def test_a_file_system_without_links_is_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where link() is refused, rename publishes, and nothing unfinished stays behind."""

    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EOPNOTSUPP, "Operation not supported")

    monkeypatch.setattr(os, "link", refuse)
    store = Store.create(tmp_path / "store")
    store.commit("barriers", [row("barriers", "a")])
    assert {"a"} == store.ids("barrier")
    assert [] == list(store.path.glob("**/.*"))


@pytest.mark.parametrize("call", ["write", "fsync", "link"])
def test_a_full_disk_is_one_line_and_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    """A full disk is told with the file and the remedy; nothing of the commit is seen; later it succeeds."""
    store, _ = _two_records(tmp_path)

    def full(*_: Any, **__: Any) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patched:
        patched.setattr(os, call, full)
        with pytest.raises(StoreError, match=r"No space left on device\. Free some space"):
            store.commit("barriers", [row("barriers", "late")])
    assert {"good", "damaged"} == store.ids("barrier")
    assert [] == list(store.path.glob("**/.*"))
    store.commit("barriers", [row("barriers", "late")])
    assert {"good", "damaged", "late"} == store.ids("barrier")


def test_an_older_record_may_lack_later_columns(tmp_path: Path) -> None:
    """Files of an earlier schema version are read beside today's; what they lack is null."""
    store, _ = _two_records(tmp_path)
    table = TABLES["barriers"]
    written = store.path / store.commit("barriers", [row("barriers", "old")])
    older = pq.read_table(written)
    written.unlink()
    metadata = {**table.schema.metadata, b"lmc_sweep.schema_version": b"0"}
    older = older.drop_columns(["endpoint_disagreement"]).replace_schema_metadata(metadata)
    pq.write_table(older, written.with_name("older.parquet"))
    query = "SELECT barrier_id, endpoint_disagreement FROM barriers ORDER BY barrier_id"
    assert [("damaged", 0.5), ("good", 0.5), ("old", None)] == store.sql(query).fetchall()
    assert [{"endpoint_disagreement": None}] == store.fetch("barriers", ["old"], ["endpoint_disagreement"])
    assert [] == store.nondeterminism()
