"""A mirror that is shared, deleted, full, read-only or out of date; objects that are not what they were."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from compacting import fill, shown
from fake_objects import Bucket, Buckets, FakeObjects, use_fake_objects
from store_rows import row

from lmc_sweep.errors import StoreError
from lmc_sweep.store import compaction, layout
from lmc_sweep.store.store import Store

URI = "s3://bucket/store"


@pytest.fixture
def buckets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Buckets:
    """Object storage in memory."""
    return use_fake_objects(monkeypatch, tmp_path / "here")


@pytest.fixture
def bucket(buckets: Buckets) -> Bucket:
    """The bucket of the store."""
    return buckets[URI]


@pytest.fixture
def store(bucket: Bucket) -> Store:
    """A new store."""
    return Store.create(URI)


def alter(bucket: Bucket, path: str) -> None:
    """Flips the last byte of an object."""
    content = bucket.content[path]
    bucket.content[path] = content[:-1] + bytes([content[-1] ^ 1])


def test_a_damaged_record_is_downloaded_once(store: Store, bucket: Bucket) -> None:
    """A record that the bucket holds damaged is asked for again by the first look, and by none after it."""
    path = store.commit("barriers", [row("barriers", "a")])
    alter(bucket, path)
    shutil.rmtree(store.path)
    one, other = Store(URI), Store(URI)
    for reader in (one, other, one, other):
        assert set() == reader.ids("barrier")
    bucket.asked.clear()
    for reader in (one, other):
        assert [path] == [problem.path for problem in reader.problems()]
    assert 0 == bucket.asked["get"]


def test_a_mirror_that_is_deleted_during_a_download_is_made_again(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder that vanishes while a copy is written says nothing of the object."""
    path = store.write_tensors("networks", {})
    shutil.rmtree(store.path)
    download, left = FakeObjects.download, [3]

    def into_nothing(self: FakeObjects, path: str, target: Path) -> None:
        if left[0]:
            left[0] -= 1
            shutil.rmtree(target.parent)
            (target.parent / "copy").write_bytes(b"")
        download(self, path, target)

    monkeypatch.setattr(FakeObjects, "download", into_nothing)
    store.files.bring([path])
    assert 0 == left[0]
    assert (store.path / path).exists()


def test_a_mirror_that_cannot_be_written_does_not_keep_a_commit_away(
    store: Store, bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Results in hand, and all that belongs to them, are written without any room for copies."""
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LMC_SWEEP_CACHE", str(tmp_path / "file"))
    writer = Store(URI)
    path = writer.write_tensors("networks", {})
    record = writer.commit("networks", [row("networks", "a", checkpoint=path, row=0)])
    assert {path, record} <= bucket.content.keys()
    assert {"a"} == store.ids("network")


def test_a_copy_of_another_is_used(store: Store, bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the time of a copy's use cannot be set, as on a mirror that is read-only, the copy is used."""
    path = store.write_tensors("networks", {})

    def refuse(*_: Any, **__: Any) -> None:
        raise PermissionError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "utime", refuse)
    bucket.asked.clear()
    store.files.bring([path])
    assert 0 == bucket.asked["get"]


def test_compaction_deletes_nothing_on_the_word_of_a_copy(store: Store, bucket: Bucket) -> None:
    """Where the merged file was altered in the bucket the files that it replaces stay, good copy or not."""
    fill(store)
    before = shown(store)
    kept: dict[str, bytes] = {}

    def spoil(seconds: float) -> None:
        merged = [path for path in bucket.content if layout.is_compacted(path.rpartition("/")[2])]
        assert merged
        kept.update(bucket.content)
        for path in merged:
            alter(bucket, path)

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(compaction.time, "sleep", spoil)
        compaction.compact(store)
    assert {path for path in kept if path.startswith("records/")} <= bucket.content.keys()
    assert before == shown(Store(URI))


def test_a_file_that_promises_nothing_is_never_read_from_an_old_copy(store: Store, bucket: Bucket) -> None:
    """A record without a hash in its name is read as the bucket has it now, though the size be the same."""
    named = "records/barriers/mine.parquet"
    for key in ("a", "b"):
        written = store.commit("barriers", [row("barriers", key)])
        content, stamp = bucket.content.pop(written), bucket.stamps.pop(written)
        bucket.content[named], bucket.stamps[named] = content, stamp
        assert {key} == store.ids("barrier")
        assert {key} == Store(URI).ids("barrier")
    bucket.asked.clear()
    assert {"b"} == store.ids("barrier")
    assert 0 == bucket.asked["get"]


def test_advice_that_rests_is_not_taken_for_a_full_disk(store: Store, bucket: Bucket) -> None:
    """While advice is given up because the service did not answer, what is told names the service."""
    store.record_sweep("s", "name: s\n", [])
    bucket.away()
    with pytest.raises(StoreError):
        store.write_progress("s", "0" * 32, {})
    with pytest.raises(StoreError, match="did not answer") as told:
        store.sweeps()
    assert "LMC_SWEEP_CACHE" not in str(told.value)


def test_a_name_too_long_for_this_machine_stands_in_nobodys_way(store: Store, bucket: Bucket) -> None:
    """An object of somebody else's whose name no file can have is named, and the rest is read."""
    store.commit("barriers", [row("barriers", "a")])
    foreign = f"records/barriers/{'x' * 300}.parquet"
    bucket.content[foreign], bucket.stamps[foreign] = b"y", next(iter(bucket.stamps.values()))
    assert {"a"} == Store(URI).ids("barrier")
    assert [foreign] == [problem.path for problem in Store(URI).problems()]
