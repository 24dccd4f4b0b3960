"""What every kind of store promises; another back end subclasses ``StoreContract``."""

from __future__ import annotations

import copy
import math
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import torch
from fake_objects import use_fake_objects
from s3_proxy import Fault, Proxy, some
from s3_server import S3Server, fresh_uri
from store_rows import NOON, ids_of, row

from lmc_sweep.errors import StoreError
from lmc_sweep.store.export import export_network
from lmc_sweep.store.schema import TABLES
from lmc_sweep.store.store import Store

RUN, OTHER_RUN = "0" * 32, "1" * 32


class StoreContract:
    """The promises. A subclass says where its stores lie."""

    def location(self, folder: Path) -> str:
        """URI of a store that does not exist yet."""
        raise NotImplementedError

    @pytest.fixture
    def store(self, tmp_path: Path) -> Store:
        """A new, empty store."""
        return Store.create(self.location(tmp_path))

    def test_every_table_of_an_empty_store_has_its_columns(self, store: Store) -> None:
        """A store without records answers every table with its columns in order and no row."""
        for name, table in TABLES.items():
            relation = store.relation(name)
            assert list(table.by_name) == relation.columns
            assert [] == relation.fetchall()

    @pytest.mark.parametrize("table", sorted(TABLES))
    def test_rows_round_trip(self, store: Store, table: str) -> None:
        """What was committed is what is read, column by column; times come back as UTC."""
        written = row(table, "a", **({"checkpoint": self._artifact(store)} if table == "networks" else {}))
        store.commit(table, [written])
        (read,) = store.relation(table).fetchall()
        expected = {**written, "created_at": NOON.replace(tzinfo=None)}
        assert expected == dict(zip(TABLES[table].by_name, read, strict=True))

    def test_a_commit_is_visible_to_open_stores_at_once(self, store: Store) -> None:
        """A store object that was opened before a commit sees it in ids, fetch and views."""
        other = Store(store.uri)
        assert set() == other.ids("barrier")
        store.commit("barriers", [row("barriers", "a")])
        assert {"a"} == other.ids("barrier")
        assert [("a",)] == other.sql("SELECT barrier_id FROM barriers").fetchall()

    def test_each_id_is_read_once_and_the_oldest_counts(self, store: Store) -> None:
        """Of two rows of one id the smallest (created_at, file) counts, in views and in fetch."""
        store.commit("barriers", [row("barriers", "a", minutes=5, method="later")])
        store.commit("barriers", [row("barriers", "a", minutes=1, method="earlier")])
        store.commit("barriers", [row("barriers", "b", minutes=9, method="other")])
        assert ["earlier", "other"] == ids_of(store.barriers(), "method")
        assert [{"method": "earlier"}] == store.fetch("barriers", ["a"], ["method"])

    def test_one_commit_may_hold_an_id_twice(self, store: Store) -> None:
        """An id that one file holds twice is read once."""
        store.commit("barriers", [row("barriers", "a"), row("barriers", "a")])
        assert 1 == len(store.barriers().fetchall())

    def test_fetch_keeps_the_order_and_names_a_missing_id(self, store: Store) -> None:
        """fetch answers in the order of the ids, repeats included; KeyError names a missing id."""
        store.commit("barriers", [row("barriers", key, seed_a=seed) for key, seed in [("a", 1), ("b", 2)]])
        store.commit("barriers", [row("barriers", "c", seed_a=3)])
        assert [3, 1, 2, 1] == [
            r["seed_a"] for r in store.fetch("barriers", ["c", "a", "b", "a"], ["seed_a"])
        ]
        with pytest.raises(KeyError, match="'z'"):
            store.fetch("barriers", ["a", "z"], ["seed_a"])

    def test_numbers_that_are_not_finite_become_null(self, store: Store) -> None:
        """NaN and infinities are stored as null, alone and in lists."""
        values: dict[str, Any] = {"loss_barrier": math.nan, "losses": [0.5, math.inf, -math.inf]}
        store.commit("barriers", [row("barriers", "a", **values)])
        assert [(None, [0.5, None, None])] == store.sql(
            "SELECT loss_barrier, losses FROM barriers"
        ).fetchall()

    def test_time_and_environment_are_added(self, store: Store) -> None:
        """A commit without created_at gets the time in UTC, and environment_id names a file that is there."""
        given = {k: v for k, v in row("barriers", "a").items() if k not in ("created_at", "environment_id")}
        before = datetime.now(UTC)
        store.commit("barriers", [given])
        (read,) = store.fetch("barriers", ["a"], ["created_at", "environment_id"])
        assert before <= read["created_at"] <= datetime.now(UTC)
        assert timedelta(0) == read["created_at"].utcoffset()
        assert (store.path / "environments" / f"{read['environment_id']}.json").is_file()

    @pytest.mark.parametrize(
        ("table", "change", "named"),
        [
            ("networks", {"wdth": 3}, "wdth"),
            ("networks", {"width": "wide"}, "networks.width"),
            ("networks", {"network_id": None}, "networks.network_id"),
            ("networks", {"label_noise": math.nan}, "networks.label_noise"),
            ("networks", {"checkpoint": "../../etc/passwd"}, "networks.checkpoint"),
            ("barriers", {"alphas": [0.0, "half"]}, "barriers.alphas"),
        ],
    )
    def test_what_does_not_fit_the_schema_is_refused(
        self, store: Store, table: str, change: dict[str, Any], named: str
    ) -> None:
        """A row that does not fit is refused by its column's name, and nothing is written."""
        with pytest.raises(StoreError, match=named):
            store.commit(table, [row(table, "a", **change)])
        assert [] == list(store.path.glob("records/*/*"))

    def test_weights_round_trip_bit_for_bit(self, store: Store) -> None:
        """Networks load in the order asked for, from several files, bit for bit."""
        stacks = [{"w": torch.randn(3, 4, 2), "b": torch.randn(3, 4)} for _ in range(2)]
        for file, stack in enumerate(stacks):
            path = store.write_tensors("networks", stack)
            rows = [row("networks", f"{file}{k}", checkpoint=path, row=k) for k in range(3)]
            store.commit("networks", rows)
        loaded = store.load_networks(["12", "00", "10", "02", "00"])
        order = [(1, 2), (0, 0), (1, 0), (0, 2), (0, 0)]
        for name in ("w", "b"):
            assert torch.equal(torch.stack([stacks[file][name][k] for file, k in order]), loaded[name])
        assert torch.equal(stacks[1]["w"][1], store.load_network("11")["w"])

    def test_networks_that_do_not_stack_are_refused(self, store: Store) -> None:
        """Networks of different shapes cannot be loaded as one stack, and the error names both shapes."""
        for width in (2, 3):
            path = store.write_tensors("networks", {"w": torch.zeros(1, width)})
            store.commit("networks", [row("networks", str(width), checkpoint=path, row=0)])
        with pytest.raises(StoreError, match=r"\(3,\).*\(2,\)"):
            store.load_networks(["2", "3"])

    def test_absent_permutations_mean_identity(self, store: Store) -> None:
        """Rows without a file, or whose file lacks a group, get the identity there."""
        swap, turn = torch.tensor([[1, 0, 2], [0, 2, 1]]), torch.tensor([[1, 2, 0]])
        first = store.write_tensors("permutations", {"member1.h": swap}, {"spec": "{}"})
        second = store.write_tensors("permutations", {"member1.h": turn, "member2.h": turn}, {"spec": "{}"})
        sources = [(first, 1), (None, None), (second, 0), (first, 0)]
        loaded = store.load_permutations([{"permutations": path, "row": index} for path, index in sources])
        identity = [0, 1, 2]
        assert [[0, 2, 1], identity, [1, 2, 0], [1, 0, 2]] == loaded["member1.h"].tolist()
        assert [identity, identity, [1, 2, 0], identity] == loaded["member2.h"].tolist()
        assert {} == store.load_permutations([{"permutations": None, "row": None}])

    def test_equal_tensors_are_one_file(self, store: Store) -> None:
        """Equal content gets one path, whatever the order of names; other content gets another."""
        a, b = torch.ones(2, 3), torch.zeros(2, 4, dtype=torch.int64)
        first = store.write_tensors("networks", {"a": a, "b": b}, {"x": "1", "y": "2"})
        assert first == store.write_tensors("networks", {"b": b, "a": a}, {"y": "2", "x": "1"})
        assert first != store.write_tensors("networks", {"a": a, "b": b}, {"x": "1", "y": "3"})
        assert first != store.write_tensors("networks", {"a": a + 1, "b": b}, {"x": "1", "y": "2"})

    def test_failures_leave_when_their_items_have_results(self, store: Store) -> None:
        """An item that has a result by now leaves its failure, and a failure without items is gone."""
        store.commit("failures", [row("failures", "f", kind="barrier", item_ids=["a", "b", "c"])])
        store.commit("failures", [row("failures", "g", kind="barrier", item_ids=["b"])])
        store.commit("failures", [row("failures", "h", kind="network", item_ids=["b"])])
        store.commit("barriers", [row("barriers", "b")])
        shown = store.sql("SELECT failure_id, item_ids FROM failures ORDER BY failure_id").fetchall()
        assert [("f", ["a", "c"]), ("h", ["b"])] == shown

    def test_a_sweep_shows_its_newest_plan_alone(self, store: Store) -> None:
        """sweep_items holds the last plan of each sweep, and an equal plan is not written again."""
        plans = [[("network", "a")], [("network", "b"), ("barrier", "c")]]
        for plan in (plans[0], plans[1], list(reversed(plans[1]))):
            store.record_sweep("s", "name: s\n", plan)
        store.record_sweep("t", "name: t\n", plans[0])
        assert ["b", "c"] == ids_of(store.sweep_items().filter("sweep = 's'"), "item_id")
        assert 3 == len(list(store.path.glob("records/sweep_items/*")))
        store.record_sweep("s", "name: s\n", plans[0])
        assert ["a"] == ids_of(store.sweep_items().filter("sweep = 's'"), "item_id")
        assert ["s", "t"] == store.sweeps()

    def test_progress_is_advice(self, store: Store) -> None:
        """Progress that is absent or cannot be read is nothing; what a run wrote last is what is read."""
        assert [] == store.read_runs("s")
        store.write_progress("s", RUN, {"done": 1, "updated_at": 5})
        store.write_progress("s", RUN, {"done": 2, "updated_at": 6})
        store.write_progress("s", OTHER_RUN, {"done": 7, "updated_at": 4})
        expected = [(OTHER_RUN, 7), (RUN, 2)]
        assert expected == [(run["run_id"], run["done"]) for run in store.read_runs("s")]

    def test_one_run_is_asked_to_stop_and_no_other(self, store: Store) -> None:
        """A wish to stop is for one run of one sweep."""
        store.request_cancel("s", RUN)
        assert store.cancel_requested("s", RUN)
        assert not store.cancel_requested("s", OTHER_RUN)
        assert not store.cancel_requested("t", RUN)

    def test_two_results_that_differ_are_reported(self, store: Store) -> None:
        """Two rows of one id that differ beyond rounding are named; times and devices may differ."""
        store.commit("networks", [row("networks", "same", checkpoint=self._artifact(store), train_loss=1.0)])
        again = {"train_loss": 1.0 + 1e-9, "train_seconds": 9.0, "device": "cuda", "row": 0}
        path = self._artifact(store)
        store.commit("networks", [row("networks", "same", minutes=1, checkpoint=path, **again)])
        assert [] == store.nondeterminism()
        store.commit("networks", [row("networks", "same", minutes=2, checkpoint=path, train_loss=1.1)])
        (found,) = store.nondeterminism()
        assert ("networks", "same", "train_loss", (1.0, 1.1)) == (
            found.table,
            found.id,
            found.column,
            found.values,
        )

    def test_a_relation_outlives_later_commits(self, store: Store) -> None:
        """A relation that was taken before a commit still answers, with what was there when it was taken."""
        store.commit("barriers", [row("barriers", "a")])
        taken = store.barriers()
        store.commit("barriers", [row("barriers", "b")])
        assert ["a", "b"] == ids_of(store.barriers(), "barrier_id")
        assert ["a"] == ids_of(taken, "barrier_id")

    def test_a_store_travels_as_its_path(self, store: Store) -> None:
        """A copy of a store object, as made to send it to a process, holds the path and reads the same."""
        store.commit("barriers", [row("barriers", "a")])
        assert {"a"} == copy.deepcopy(store).ids("barrier")

    def test_an_export_is_a_plain_state_dict(self, store: Store, tmp_path: Path) -> None:
        """An export has the names and shapes of one network, and replaces a file that is there."""
        from safetensors.torch import load_file

        stack = {"layers.0.weight": torch.randn(2, 4, 3), "layers.0.bias": torch.randn(2, 4)}
        path = store.write_tensors("networks", stack)
        store.commit("networks", [row("networks", "n", checkpoint=path, row=1)])
        output = tmp_path / "n.safetensors"
        output.write_text("old")
        export_network(store, "n", output)
        exported = load_file(output)
        assert set(stack) == set(exported)
        assert all(torch.equal(stack[name][1], exported[name]) for name in stack)
        with pytest.raises(StoreError, match="no network 'm'"):
            export_network(store, "m", output)

    def _artifact(self, store: Store) -> str:
        """Any file of weights."""
        return store.write_tensors("networks", {"w": torch.zeros(2, 1)})


class TestLocalStore(StoreContract):
    """A directory on this machine."""

    def location(self, folder: Path) -> str:
        """A directory whose parents are missing, with characters that SQL would have to quote."""
        return str(folder / "it's" / "a store")


class TestMirroredStore(StoreContract):
    """Object storage in this process, read through a mirror."""

    @pytest.fixture(autouse=True)
    def _buckets(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        use_fake_objects(monkeypatch, tmp_path / "cache")

    def location(self, folder: Path) -> str:
        """A prefix whose bucket is empty."""
        return "s3://bucket/it is/a store"


class TestS3Store(StoreContract):
    """A prefix of a bucket on an S3 server."""

    @pytest.fixture(autouse=True)
    def _server(self, s3: S3Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LMC_SWEEP_CACHE", str(tmp_path / "cache"))

    def location(self, folder: Path) -> str:
        """A prefix that nobody has used."""
        return f"{fresh_uri()}/it is/a store"


class TestFailingS3Store(StoreContract):
    """The same where a tenth of the requests is refused, broken off, or done without an answer."""

    @pytest.fixture(autouse=True)
    def _server(self, s3_proxy: Proxy, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("LMC_SWEEP_CACHE", str(tmp_path / "cache"))
        s3_proxy.rule = some(0.1, Fault("refuse"), Fault("reset"), Fault("lose"), seed=7)

    def location(self, folder: Path) -> str:
        """A prefix that nobody has used."""
        return f"{fresh_uri()}/it is/a store"
