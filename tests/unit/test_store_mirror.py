"""A store on object storage read through copies: what they may be, and what they never decide."""

from __future__ import annotations

import itertools
import os
import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from compacting import fill, shown
from fake_objects import Bucket, Buckets, use_fake_objects
from store_rows import row

from lmc_sweep.errors import DamageError, StoreError
from lmc_sweep.store import listed_objects
from lmc_sweep.store.compaction import compact
from lmc_sweep.store.marker import may_become
from lmc_sweep.store.mirror_space import make_room
from lmc_sweep.store.store import Store, open_if_exists, require_writable

URI = "s3://bucket/store"
RUN = "0" * 32

Elsewhere = Callable[[], Store]


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


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Elsewhere:
    """Opens the store as another machine would, which has no copies yet."""

    numbers = itertools.count()

    def opened() -> Store:
        with monkeypatch.context() as patched:
            patched.setenv("LMC_SWEEP_CACHE", str(tmp_path / f"there-{next(numbers)}"))
            return Store(URI)

    return opened


def add_network(store: Store, key: str, value: float = 1.0) -> str:
    """Commits a network of one weight; returns the path of its file."""
    path = store.write_tensors("networks", {"w": torch.full((1, 2), value)})
    store.commit("networks", [row("networks", key, checkpoint=path, row=0)])
    return path


def alter(bucket: Bucket, path: str) -> None:
    """Flips the last byte of an object."""
    content = bucket.content[path]
    bucket.content[path] = content[:-1] + bytes([content[-1] ^ 1])


def test_another_machine_reads_what_was_written(store: Store, elsewhere: Elsewhere) -> None:
    """Rows, weights, the sweep file and advice are there for a process that has no copies."""
    add_network(store, "a", 3.0)
    store.record_sweep("s", "name: s\n", [("network", "a")])
    store.write_progress("s", RUN, {"done": 1})
    there = elsewhere()
    assert {"a"} == there.ids("network")
    assert [[3.0, 3.0]] == there.load_networks(["a"])["w"].tolist()
    assert f"{URI}/sweeps/s/sweep.yaml" == there.sweep_file("s")
    assert b"name: s\n" == there.files.content("sweeps/s/sweep.yaml")
    assert [1] == [told["done"] for told in there.read_runs("s")]
    assert {"a"} == there.item_ids("s", "network")


def test_deleted_copies_cost_downloads_and_nothing_else(store: Store) -> None:
    """A store that is open goes on answering when the mirror is deleted under it."""
    add_network(store, "a")
    assert {"a"} == store.ids("network")
    shutil.rmtree(store.path)
    assert [("a",)] == store.sql("SELECT network_id FROM networks").fetchall()
    assert [[1.0, 1.0]] == store.load_networks(["a"])["w"].tolist()
    add_network(store, "b")
    assert {"a", "b"} == store.ids("network")


def test_an_altered_copy_is_brought_again(store: Store) -> None:
    """Copies of records and of weights that were altered on this machine cost neither rows nor weights."""
    path = add_network(store, "a")
    for copy in (store.path / path, *store.path.glob("records/networks/*")):
        content = copy.read_bytes()
        copy.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    again = Store(URI)
    assert {"a"} == again.ids("network")
    assert [] == again.problems()
    assert [[1.0, 1.0]] == again.load_networks(["a"])["w"].tolist()


def test_an_altered_object_is_set_aside_and_written_anew(
    store: Store, bucket: Bucket, elsewhere: Elsewhere
) -> None:
    """Weights altered on the object storage are refused, set aside by copy and delete, and may come back."""
    from lmc_sweep.store.repair import set_aside

    path = add_network(store, "a")
    alter(bucket, path)
    there = elsewhere()
    with pytest.raises(DamageError, match=f"{URI}/{path}.*verify {URI} --repair") as refused:
        there.load_networks(["a"])
    assert path == refused.value.path
    assert f"quarantine/{path}" == set_aside(there.files, path)
    assert (False, True) == (path in bucket.content, f"quarantine/{path}" in bucket.content)
    assert set() == store.ids("network")
    add_network(store, "a")
    assert {"a"} == elsewhere().ids("network")
    assert set_aside(there.files, path) is None
    assert path in bucket.content


def test_weights_that_are_altered_are_replaced_by_who_writes_them_again(store: Store, bucket: Bucket) -> None:
    """A name that is taken by other content gets the content that the name promises."""
    path = add_network(store, "a")
    good = bucket.content[path]
    alter(bucket, path)
    assert path == store.write_tensors("networks", {"w": torch.full((1, 2), 1.0)})
    assert good == bucket.content[path]


def test_a_repair_that_died_between_copy_and_deletion_is_finished(store: Store, bucket: Bucket) -> None:
    """One copy is set aside, and another damaged file of that name gets a number."""
    from lmc_sweep.store.repair import set_aside

    store.commit("barriers", [row("barriers", "a")])
    (record,) = (path for path in bucket.content if path.startswith("records/barriers/"))
    for name in (f"quarantine/{record}",):
        bucket.content[name], bucket.stamps[name] = bucket.content[record], bucket.stamps[record]
    assert f"quarantine/{record}" == set_aside(store.files, record)
    store.files.publish(record, [b"torn"], True)
    assert f"quarantine/{record}.1" == set_aside(store.files, record)
    assert b"torn" == bucket.content[f"quarantine/{record}.1"]


def test_what_leaves_the_store_leaves_the_mirror(
    store: Store, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that is deleted counts no more, and its copy goes unless it may be newer than the listing."""
    store.commit("barriers", [row("barriers", "a")])
    (record,) = store.path.glob("records/barriers/*")
    bucket.content.pop(record.relative_to(store.path).as_posix())
    bucket.stamps.pop(record.relative_to(store.path).as_posix())
    assert set() == store.ids("barrier")
    assert record.exists()
    monkeypatch.setattr("lmc_sweep.store.copies._SETTLED_SECONDS", -1.0)
    assert set() == store.ids("barrier")
    assert not record.exists()


def test_rows_whose_weights_are_gone_do_not_count(store: Store, bucket: Bucket) -> None:
    """The object storage says what exists, whatever copies there are."""
    path = add_network(store, "a")
    bucket.content.pop(path)
    bucket.stamps.pop(path)
    assert set() == store.ids("network")
    assert [(path, "is missing")] == [(found.path, found.reason) for found in store.problems()]


def test_a_commit_is_one_put(store: Store, bucket: Bucket) -> None:
    """A commit asks whether the store is the same, puts the record, and asks nothing more."""
    store.commit("barriers", [row("barriers", "a")])
    bucket.asked.clear()
    store.commit("barriers", [row("barriers", "b")])
    assert {"get": 1, "put": 1} == dict(bucket.asked)


def test_looking_again_costs_a_listing(store: Store, bucket: Bucket) -> None:
    """Records are brought once; after that a look is one request, and one per folder of named tensors."""
    for key in ("a", "b", "c"):
        store.commit("barriers", [row("barriers", key)])
    store.ids("barrier")
    bucket.asked.clear()
    store.ids("barrier")
    assert {"list": 1} == dict(bucket.asked)


def test_a_put_that_fails_leaves_nothing_here_either(store: Store, bucket: Bucket) -> None:
    """What the object storage did not take has no copy, so that nobody counts it."""
    store.record_environment()
    bucket.away()
    with pytest.raises(StoreError, match=f"{URI}.*cannot be reached"):
        store.commit("barriers", [row("barriers", "a")])
    assert [] == list(store.path.glob("records/barriers/*"))
    bucket.back()
    assert set() == store.ids("barrier")


def test_a_writer_waits_for_a_service_that_is_away(
    store: Store, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With patience a commit is tried again until the service answers."""
    store.record_environment()
    store.patience_seconds = 60.0
    bucket.away()
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            bucket.back()

    monkeypatch.setattr("lmc_sweep.store.terms.time.sleep", pause)
    store.commit("barriers", [row("barriers", "a")])
    assert 3 == len(pauses)
    assert {"a"} == store.ids("barrier")


def test_a_store_that_is_gone_or_another_is_not_written(store: Store, bucket: Bucket) -> None:
    """A deleted store is not made again, and another one in its place is not filled."""
    store.record_environment()
    marker = bucket.content.pop("store.json")
    with pytest.raises(StoreError, match="is gone"):
        store.commit("barriers", [row("barriers", "a")])
    bucket.content["store.json"] = marker.replace(b'"store_id": "', b'"store_id": "0')
    with pytest.raises(StoreError, match="another store"):
        store.commit("barriers", [row("barriers", "a")])
    assert not store.is_as_opened()
    assert not any(path.startswith("records/barriers") for path in bucket.content)


def test_of_two_that_make_a_store_both_get_the_same(bucket: Bucket) -> None:
    """Whoever comes second finds the first one's marker, even between its look and its PUT."""
    made: list[Store] = []

    def other_first(verb: str, path: str) -> None:
        if verb == "put" and not made:
            bucket.back()
            made.append(Store.create(URI))

    bucket.before = other_first
    second = Store.create(URI)
    assert made[0].terms.marker == second.terms.marker
    made[0].commit("barriers", [row("barriers", "a")])
    assert {"a"} == second.ids("barrier")


def test_where_nothing_is_there_is_no_store_and_nothing_is_written(bucket: Bucket) -> None:
    """An empty prefix may become a store; one that holds something else is refused by the name of that."""
    assert open_if_exists(URI) is None
    assert may_become(URI)
    with pytest.raises(StoreError, match="there is no store here"):
        Store(URI)
    require_writable(URI)
    assert {} == bucket.content
    bucket.content["thesis.tex"] = b"x"
    bucket.stamps["thesis.tex"] = mirror_stamp()
    assert not may_become(URI)
    with pytest.raises(StoreError, match="not empty"):
        Store(URI)
    with pytest.raises(StoreError, match=r"thesis\.tex"):
        Store.create(URI)


def mirror_stamp() -> object:
    """What a listing says of some object."""
    from fake_objects import FakeStamp

    return FakeStamp(1, 0, None)


def test_reading_without_the_service_says_so(store: Store, bucket: Bucket) -> None:
    """A service that is away is named with the remedy, whatever copies there are."""
    store.commit("barriers", [row("barriers", "a")])
    bucket.away()
    with pytest.raises(StoreError, match=r"cannot be reached\. Check the network"):
        store.ids("barrier")
    with pytest.raises(StoreError, match="cannot be reached"):
        Store(URI)


def test_advice_that_failed_is_not_waited_for_again(store: Store, bucket: Bucket) -> None:
    """After a piece of advice failed the next ones are given up at once for a while."""
    bucket.away()
    with pytest.raises(StoreError):
        store.write_progress("s", RUN, {})
    bucket.asked.clear()
    with pytest.raises(StoreError):
        store.write_progress("s", RUN, {})
    assert not bucket.asked


def test_a_listing_of_many_pages_beside_compaction_is_read_again(
    store: Store, bucket: Bucket, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A listing that missed the merged file and the old ones too is not believed."""
    monkeypatch.setattr(listed_objects, "_PAGE", 0)
    for key in ("a", "b", "c"):
        store.commit("barriers", [row("barriers", key)])
    fell = []
    real = type(store.files.objects).list  # type: ignore[attr-defined]

    def falls_between(objects: object, prefix: str = "") -> object:
        if prefix == "records/barriers" and not fell:
            fell.append(prefix)
            compact(Store(URI), grace_seconds=0)
            return {}
        return real(objects, prefix)

    monkeypatch.setattr(type(store.files.objects), "list", falls_between)  # type: ignore[attr-defined]
    assert {"a", "b", "c"} == Store(URI).ids("barrier")
    assert fell


def test_compaction_leaves_what_is_shown_as_it_was(
    store: Store, bucket: Bucket, elsewhere: Elsewhere
) -> None:
    """Few objects take the place of many, and stores that were open elsewhere show the same rows."""
    fill(store)
    add_network(store, "a")
    add_network(store, "b", 2.0)
    there = elsewhere()
    before = shown(there)
    compact(store, grace_seconds=0)
    assert 1 == sum(path.startswith("records/barriers/") for path in bucket.content)
    assert before == shown(there) == shown(store) == shown(elsewhere())
    assert not [path for path in bucket.content if "/." in path or path.startswith(".")]


def test_the_copies_that_were_not_used_for_longest_go_first(tmp_path: Path) -> None:
    """Over the limit the oldest go, until a tenth of it is free; what was just used stays in any case."""
    folder = tmp_path / "networks"
    folder.mkdir()
    now = time.time()
    for number in range(5):
        file = folder / f"{number}.safetensors"
        file.write_bytes(bytes(100))
        os.utime(file, (now - 1000 + number, now))
    make_room(tmp_path, 400)
    assert ["2.safetensors", "3.safetensors", "4.safetensors"] == sorted(p.name for p in folder.iterdir())
    os.utime(folder / "4.safetensors")
    make_room(tmp_path, 0)
    assert ["4.safetensors"] == [path.name for path in folder.iterdir()]


def test_a_limit_that_is_no_number_is_refused(bucket: Bucket, monkeypatch: pytest.MonkeyPatch) -> None:
    """LMC_SWEEP_CACHE_BYTES must be a number of bytes."""
    monkeypatch.setenv("LMC_SWEEP_CACHE_BYTES", "much")
    with pytest.raises(StoreError, match="LMC_SWEEP_CACHE_BYTES"):
        Store.create(URI)


def test_a_tiny_limit_costs_downloads_alone(
    store: Store, elsewhere: Elsewhere, monkeypatch: pytest.MonkeyPatch
) -> None:
    """With a limit that no copy keeps to, weights are still loaded."""
    for key in ("a", "b"):
        add_network(store, key, ord(key))
    monkeypatch.setenv("LMC_SWEEP_CACHE_BYTES", "0")
    assert [[97.0, 97.0], [98.0, 98.0]] == elsewhere().load_networks(["a", "b"])["w"].tolist()


def test_a_path_that_a_row_names_stays_in_the_mirror(store: Store, bucket: Bucket) -> None:
    """Nothing is asked of the service for a path that leads out of the store."""
    bucket.asked.clear()
    store.files.bring(["../../secret", "networks/../../secret", "/etc/passwd"])
    assert not bucket.asked
    with pytest.raises(StoreError, match="no file of this store"):
        store.load_rows([("../secret", 0)])


def test_a_cache_that_cannot_be_written_is_named(
    store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A folder for copies that cannot be made is no reason to count fewer results."""
    store.commit("barriers", [row("barriers", "a")])
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("LMC_SWEEP_CACHE", str(tmp_path / "file"))
    with pytest.raises(StoreError, match="LMC_SWEEP_CACHE"):
        Store(URI).ids("barrier")
    monkeypatch.setenv("LMC_SWEEP_CACHE", "/proc/nowhere")
    with pytest.raises(StoreError, match="LMC_SWEEP_CACHE"):
        Store(URI).ids("barrier")
