"""A store under any sequence of what may befall it shows what was acknowledged, each id once."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path
from typing import Any

import torch
from faulty_files import Fault, failing
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from store_rows import row

from lmc_sweep.store.compaction import compact
from lmc_sweep.store.local_files import LocalFiles
from lmc_sweep.store.merging import merge
from lmc_sweep.store.repair import repair
from lmc_sweep.store.store import Store
from lmc_sweep.store.verification import verify

KEYS = st.sampled_from([f"id{k}" for k in range(8)])
SOME_KEYS = st.lists(KEYS, min_size=1, max_size=3, unique=True)
MINUTES = st.integers(-(10**6), 10**6)  # two years: clocks of machines may say anything
CALLS = st.integers(0, 60)


class Cut(BaseException):
    """A process that ends at this call, and makes none after it."""


class Death(Fault):
    """Lets calls pass up to one, and none from there on: not even those that clean up."""

    def answer(self, call: Any) -> Any:
        """Makes the call, or ends the process that would."""
        if self.struck or len(self.calls) == self.at:
            self.struck = call.name
            raise Cut
        self.calls.append(call.name)
        return call.perform()


def _barrier(key: str, minutes: int) -> dict[str, Any]:
    """A row whose numbers follow from its id."""
    return row("barriers", key, minutes=minutes, loss_barrier=float(key[2:]) / 7)


def _weights(key: str) -> dict[str, torch.Tensor]:
    """Weights that follow from an id."""
    return {"w": torch.arange(6.0).reshape(2, 3) + float(key[2:])}


class StoreMachine(RuleBasedStateMachine):
    """The model: ids that were acknowledged and not damaged since, and ids that may be there or not."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp(prefix="store-machine-"))
        self.writers = [Store.create(self.folder / "store") for _ in range(2)]
        self.path = self.writers[0].path
        self.acknowledged: dict[str, set[str]] = {"barriers": set(), "networks": set()}
        self.possible: dict[str, set[str]] = {"barriers": set(), "networks": set()}
        self.plan: tuple[str, ...] = ()
        self.possible_plans: list[tuple[str, ...]] = []
        self.num_failures = 0

    def teardown(self) -> None:
        shutil.rmtree(self.folder)

    def _write(self, table: str, keys: list[str], minutes: int, writer: int) -> None:
        store = self.writers[writer]
        if table == "barriers":
            store.commit("barriers", [_barrier(key, minutes) for key in keys])
            return
        for key in keys:
            path = store.write_tensors("networks", _weights(key))
            store.commit("networks", [row("networks", key, minutes=minutes, checkpoint=path, row=1)])

    tables = st.sampled_from(["barriers", "networks"])
    writer_numbers = st.integers(0, 1)

    @rule(table=tables, keys=SOME_KEYS, minutes=MINUTES, writer=writer_numbers)
    def commit(self, table: str, keys: list[str], minutes: int, writer: int) -> None:
        """A batch ends well; its ids may be there already."""
        self._write(table, keys, minutes, writer)
        self.acknowledged[table] |= set(keys)

    @rule(table=tables, keys=SOME_KEYS, minutes=MINUTES, at=CALLS)
    def die(self, table: str, keys: list[str], minutes: int, at: int) -> None:
        """A process dies at some call of a commit."""
        try:
            with failing(self.path, Death(at)):
                self._write(table, keys, minutes, 0)
        except Cut:
            self.writers[0] = Store(self.path)
            self.possible[table] |= set(keys)
        else:
            self.acknowledged[table] |= set(keys)

    @rule(table=tables)
    def resume(self, table: str) -> None:
        """A run computes what it asked for and cannot see."""
        asked = self.possible[table] | self.acknowledged[table]
        missing = asked - self.writers[1].held(table.removesuffix("s"), asked)
        if missing:
            self._write(table, sorted(missing), 0, 1)
        self.acknowledged[table] |= asked
        self.possible[table] -= asked

    @rule()
    def compaction(self) -> None:
        """All small files are merged."""
        compact(Store(self.path), grace_seconds=0)

    @rule(at=st.integers(0, 150))
    def dying_compaction(self, at: int) -> None:
        """A compaction dies at some call."""
        try:
            with failing(self.path, Death(at)):
                compact(Store(self.path), grace_seconds=0)
        except Cut:
            pass

    @rule(keys=SOME_KEYS, writer=writer_numbers)
    def plan_sweep(self, keys: list[str], writer: int) -> None:
        """A sweep is recorded that shares items with others."""
        self.writers[writer].record_sweep("s", "name: s\n", [("barrier", key) for key in sorted(keys)])
        self.plan, self.possible_plans = tuple(sorted(keys)), []

    @rule(keys=SOME_KEYS, at=CALLS)
    def dying_plan(self, keys: list[str], at: int) -> None:
        """Recording a sweep is cut short."""
        try:
            with failing(self.path, Death(at)):
                Store(self.path).record_sweep("s", "name: s\n", [("barrier", key) for key in sorted(keys)])
        except Cut:
            self.possible_plans.append(tuple(sorted(keys)))
        else:
            self.plan, self.possible_plans = tuple(sorted(keys)), []

    @rule(keys=SOME_KEYS)
    def fail(self, keys: list[str]) -> None:
        """A batch fails, and is released for another try."""
        failure = row("failures", kind="barrier", item_ids=keys)
        failure.pop("failure_id")
        self.writers[0].commit("failures", [failure])
        self.num_failures += 1

    @precondition(lambda self: any(self.path.glob("records/*/*.parquet")))
    @rule(data=st.data(), how=st.sampled_from(["cut", "flip", "gone"]))
    def damage(self, data: st.DataObject, how: str) -> None:
        """A record or a file of weights is cut, altered or deleted: what only it held is missing."""
        files = [*self.path.glob("records/[bn]*/*.parquet"), *self.path.glob("networks/*")]
        if not files:
            return
        names = sorted(str(path.relative_to(self.path)) for path in files)
        names.sort(key=lambda name: (name.split("/")[0:2], self._held_by(name)))  # names are random
        victim = self.path / names[data.draw(st.integers(0, len(names) - 1))]
        content = victim.read_bytes()
        if how == "gone":
            victim.unlink()
        elif how == "cut":
            victim.write_bytes(content[: len(content) // 2])
        elif victim.parent.name == "networks":  # found by verify, below, and by whoever loads them
            victim.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
        else:
            middle = len(content) // 2
            victim.write_bytes(content[:middle] + bytes([content[middle] ^ 4]) + content[middle + 1 :])
        found = verify(Store(self.path))
        repair(LocalFiles(self.path), found.findings)
        # What was lost is known from the files alone, read by a fresh reader.
        for table in self.acknowledged:
            seen = Store(self.path).ids(table.removesuffix("s"))
            lost = self.acknowledged[table] - seen
            touched = "barriers" if "barriers" in str(victim.relative_to(self.path)) else "networks"
            assert not lost or table == touched
            self.acknowledged[table] -= lost
            self.possible[table] |= lost

    def _held_by(self, name: str) -> list[str]:
        """What a file holds, by which files are told from each other without their random names."""
        return [str((self.path / name).stat().st_size)]

    @rule(other=st.booleans())
    def merge_into_another(self, other: bool) -> None:
        """All of the store is brought into another one, with which the work goes on."""
        target = Store.create(Path(tempfile.mkdtemp(dir=self.folder)) / "store")
        if other and self.acknowledged["barriers"]:  # which holds some of it already
            target.commit("barriers", [_barrier(sorted(self.acknowledged["barriers"])[0], 0)])
        merge(target, Store(self.path))
        self.path = target.path
        self.writers = [target, Store(self.path)]

    @invariant()
    def what_is_shown_is_what_was_acknowledged(self) -> None:
        """Each acknowledged id once, with its values; of all else only what a dying writer had published.

        However often an id was computed, nothing is reported as nondeterminism. The plan is the one that
        was recorded last, or one whose recording was cut short since. A failure is shown with those of
        its items alone that are missing.
        """
        store = Store(self.path)
        barriers = store.sql("SELECT barrier_id, loss_barrier FROM barriers").fetchall()
        networks = [key for (key,) in store.sql("SELECT network_id FROM networks").fetchall()]
        for table, seen in (("barriers", [key for key, _ in barriers]), ("networks", networks)):
            assert len(set(seen)) == len(seen)
            assert self.acknowledged[table] <= set(seen)
            assert set(seen) <= self.acknowledged[table] | self.possible[table]
            for reader in (store, *self.writers):
                assert set(seen) == reader.ids(table.removesuffix("s"))
        assert all(float(key[2:]) / 7 == value for key, value in barriers)
        for key in networks:
            assert torch.equal(_weights(key)["w"][1], store.load_network(key)["w"])
        assert [] == store.nondeterminism()
        assert tuple(sorted(store.item_ids("s", "barrier"))) in (self.plan, *self.possible_plans)
        failures = store.sql("SELECT item_ids FROM failures").fetchall()
        assert len(failures) <= self.num_failures
        assert all(ids and {key for key, _ in barriers}.isdisjoint(ids) for (ids,) in failures)


TestStoreMachine = StoreMachine.TestCase
TestStoreMachine.settings = settings(
    max_examples=15,
    stateful_step_count=12,
    deadline=None,
    derandomize=False,
    print_blob=True,
    database=None,
    phases=[Phase.generate],  # to shrink twelve steps takes longer than to read them
    suppress_health_check=list(HealthCheck),
)
