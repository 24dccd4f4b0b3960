"""Lost power at every call: what was acknowledged is there, and nothing is half visible."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import torch
from lossy_disk import SURVIVALS, LossyDisk, Survival, lossy, materialize
from store_rows import ids_of, row

from lmc_sweep.store import environment
from lmc_sweep.store.compaction import compact
from lmc_sweep.store.local_files import LocalFiles
from lmc_sweep.store.merging import merge
from lmc_sweep.store.repair import set_aside
from lmc_sweep.store.store import Store

pytestmark = pytest.mark.fault


@dataclass
class Losses:
    """The trees that losses of power leave, each with what had been acknowledged by then.

    Trees that differ in nothing that a reader looks at are kept once.
    """

    folder: Path
    acknowledged: set[str] = field(default_factory=set)
    disk: LossyDisk | None = None
    trees: list[tuple[Path, str, frozenset[str]]] = field(default_factory=list)
    num_calls: int = 0
    _known: set[frozenset[object]] = field(default_factory=set)

    def at_call(self, call: str) -> None:
        """Materializes what would survive just before this call."""
        assert self.disk is not None
        self.num_calls += 1
        for survival in SURVIVALS:
            tree = self.disk.survivors(survival)
            shown = frozenset((path, held) for path, held in tree.items() if "/." not in f"/{path}")
            acknowledged = frozenset(self.acknowledged)
            if (state := frozenset((shown, acknowledged))) in self._known:
                continue
            self._known.add(state)
            target = self.folder / f"{len(self.trees)}"
            materialize(tree, target)
            self.trees.append((target, f"{survival} before {call}", acknowledged))


def _losses(root: Path, work: Callable[[Losses], None]) -> Losses:
    """Every loss of power during the work, and the one after it."""
    environment.describe()  # starts git, whose calls are not the store's
    folder = root.with_name("losses")
    folder.mkdir()
    losses = Losses(folder)
    with lossy(root, losses.at_call) as disk:
        losses.disk = disk
        work(losses)
        losses.at_call("the end")
    assert losses.num_calls > 15
    assert len(losses.trees) > 4
    return losses


def _seen(root: Path) -> set[str]:
    """All that a store shows, by name, each once; weights are read."""
    store = Store(root)
    items = store.sql("SELECT sweep || ' ' || item_id FROM sweep_items").fetchall()
    networks = ids_of(store.networks(), "network_id")
    shown = [*ids_of(store.barriers(), "barrier_id"), *networks, *(key for (key,) in items)]
    assert len(set(shown)) == len(shown)
    for network in networks:
        assert [3.0, 4.0, 5.0] == store.load_network(network)["w"].tolist()
    for (environment_id,) in store.sql("SELECT DISTINCT environment_id FROM barriers").fetchall():
        assert environment_id == "text" or (root / "environments" / f"{environment_id}.json").read_text()
    return set(shown)


@pytest.fixture
def prepared(tmp_path: Path) -> Path:
    """A store with one record."""
    store = Store.create(tmp_path / "store")
    store.commit("barriers", [row("barriers", "before")])
    return store.path


def _without_environment(table: str, key: str) -> dict[str, object]:
    """A row to which the environment of this process is added."""
    return {name: value for name, value in row(table, key).items() if name != "environment_id"}


def test_acknowledged_commits_survive_lost_power(prepared: Path) -> None:
    """What a commit acknowledged is there after a loss of power at any later call, whole; the rest is not."""

    def work(losses: Losses) -> None:
        store = Store(prepared)
        path = store.write_tensors("networks", {"w": torch.arange(6.0).reshape(2, 3)})
        store.commit("networks", [row("networks", "n", checkpoint=path, row=1)])
        losses.acknowledged |= {"n"}
        store.commit("barriers", [_without_environment("barriers", key) for key in ("a", "b")])
        losses.acknowledged |= {"a", "b"}
        store.commit("barriers", [row("barriers", "c")])
        losses.acknowledged |= {"c"}

    possible = [set(), {"n"}, {"n", "a", "b"}, {"n", "a", "b", "c"}]
    for tree, told, acknowledged in _losses(prepared, work).trees:
        seen = _seen(tree)
        assert seen - {"before"} in possible, told
        assert {"before"} | acknowledged <= seen, told


def test_a_recorded_sweep_survives_lost_power(prepared: Path) -> None:
    """A sweep that was recorded is there with all its items after any loss, or the newer plan, whole."""

    def work(losses: Losses) -> None:
        store = Store(prepared)
        store.record_sweep("s", "name: s\n", [("network", "a"), ("network", "b")])
        losses.acknowledged = {"s a", "s b"}
        store.record_sweep("s", "name: s\nmore: 1\n", [("network", "b"), ("network", "c")])
        losses.acknowledged = {"s b", "s c"}

    plans = [set(), {"s a", "s b"}, {"s b", "s c"}]
    for tree, told, acknowledged in _losses(prepared, work).trees:
        seen = _seen(tree) - {"before"}
        assert seen in plans, told
        assert plans.index(set(acknowledged)) <= plans.index(seen), told
        if acknowledged:
            assert (tree / "sweeps/s/sweep.yaml").read_text().startswith("name: s\n"), told


def test_a_created_store_survives_lost_power(tmp_path: Path) -> None:
    """Whenever power is lost, the directory is a store or becomes one by the same command."""
    root = tmp_path / "outer"
    root.mkdir()

    def work(losses: Losses) -> None:
        Store.create(root / "made" / "store")
        losses.acknowledged = {"store"}

    for tree, told, acknowledged in _losses(root, work).trees:
        if acknowledged:
            assert [] == Store(tree / "made" / "store").problems(), told
        assert [] == Store.create(tree / "made" / "store").problems(), told


def test_what_a_dead_writer_published_is_made_durable(
    prepared: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A record that another process published and did not come to sync survives once it was counted."""

    def work(losses: Losses) -> None:
        store = Store(prepared)
        with monkeypatch.context() as patched:  # a writer that died between link and the sync
            patched.setattr("lmc_sweep.store.publish.sync_directory", lambda _: None)
            path = store.write_tensors("networks", {"w": torch.arange(6.0).reshape(2, 3)})
            store.commit("networks", [row("networks", "n", checkpoint=path, row=1)])
        store.write_tensors("networks", {"w": torch.arange(6.0).reshape(2, 3)})
        store.record_sweep("s", "name: s\n", [])
        assert {"n"} == store.ids("network")
        losses.acknowledged |= {"n"}

    for tree, told, acknowledged in _losses(prepared, work).trees:
        assert {"before"} | acknowledged <= _seen(tree), told


def _several(root: Path) -> Store:
    """A store with several record files of a table, some rows twice, and weights."""
    store = Store(root)
    path = store.write_tensors("networks", {"w": torch.arange(6.0).reshape(2, 3)})
    store.commit("networks", [row("networks", "n", checkpoint=path, row=1)])
    for minutes in (1, 2, 3):
        keys = ("before", "a", f"a{minutes}")
        store.commit("barriers", [row("barriers", key, minutes=minutes) for key in keys])
    return store


def test_a_compaction_survives_lost_power(prepared: Path) -> None:
    """At no call of a compaction does a loss of power change what the store shows."""
    _several(prepared)
    expected = _seen(prepared)
    for tree, told, _ in _losses(prepared, lambda _: compact(Store(prepared), grace_seconds=0)).trees:
        assert expected == _seen(tree), told
        assert [] == Store(tree).nondeterminism(), told
        compact(Store(tree), grace_seconds=0)
        assert expected == _seen(tree), told


def test_setting_aside_survives_lost_power(prepared: Path) -> None:
    """A damaged file is at its old place or in quarantine after any loss of power, never gone."""
    _several(prepared)
    victim = next((prepared / "networks").iterdir())
    damaged = victim.read_bytes()[:-1] + b"!"
    victim.write_bytes(damaged)
    path = str(victim.relative_to(prepared))
    for tree, told, _ in _losses(prepared, lambda _: set_aside(LocalFiles(prepared), path)).trees:
        held = [file.read_bytes() for file in tree.rglob(f"{victim.name}*") if file.is_file()]
        assert damaged in held, told
        set_aside(LocalFiles(tree), path)
        assert not (tree / path).exists(), told
        assert damaged == (tree / "quarantine" / path).read_bytes(), told


def test_a_merge_survives_lost_power(prepared: Path, tmp_path: Path) -> None:
    """A merge that ended is there after a loss of power; one that was cut short is carried on."""
    other = tmp_path / "other"
    shutil.copytree(prepared, other)
    expected = _seen(_several(other).path)

    def work(losses: Losses) -> None:
        merge(Store(prepared), Store(other))
        losses.acknowledged |= expected

    for tree, told, acknowledged in _losses(prepared, work).trees:
        assert {"before"} | acknowledged <= _seen(tree) <= expected, told
        merge(Store(tree), Store(other))
        assert expected == _seen(tree), told


def test_the_disk_loses_what_was_not_synced(tmp_path: Path) -> None:
    """The layer itself: content, entries and directories are lost until each was synced."""
    root = tmp_path / "root"
    root.mkdir()
    with lossy(root, lambda _: None) as disk:
        (root / "folder").mkdir()
        made = os.open(root / "folder" / "file", os.O_WRONLY | os.O_CREAT)
        os.write(made, b"content")

        def held(survival: Survival) -> dict[str, bytes]:
            tree = disk.survivors(survival)
            return {path: content for path, content in tree.items() if content is not None}

        assert {} == held("synced")
        assert {"folder/file": b""} == held("entries")
        assert {"folder/file": b"con"} == held("torn")
        os.fsync(made)
        os.close(made)
        assert {} == held("synced")
        assert {"folder/file": b"content"} == held("entries")
        for folder in (root, root / "folder"):
            opened = os.open(folder, os.O_RDONLY)
            os.fsync(opened)
            os.close(opened)
        assert {"folder/file": b"content"} == held("synced")
        (root / "folder" / "file").rename(root / "file")
        assert {"folder/file": b"content"} == held("synced")
        assert {} == held("removals")
        assert {"file": b"content"} == held("entries")
