"""A store of every released schema version can be read for ever."""

from __future__ import annotations

import shutil
from datetime import datetime
from pathlib import Path

import pyarrow.parquet as pq
import pytest
import torch
from store_rows import row

from lmc_sweep.store.schema import SCHEMA_VERSION, TABLES
from lmc_sweep.store.store import Store
from lmc_sweep.store.study_tables import STUDY_TABLES

GOLDEN = Path(__file__).parent


@pytest.fixture(params=range(1, SCHEMA_VERSION + 1))
def store(request: pytest.FixtureRequest) -> Store:
    """The store that each released schema version wrote."""
    return Store(GOLDEN / f"store_v{request.param}")


def test_every_version_has_a_golden_store() -> None:
    """There is one golden store for each schema version up to today's."""
    expected = [f"store_v{version}" for version in range(1, SCHEMA_VERSION + 1)]
    assert expected == sorted(path.name for path in GOLDEN.glob("store_v*"))


def test_nothing_of_it_is_set_aside(store: Store) -> None:
    """No file of the old store is a problem, and all of today's columns can be asked for."""
    assert [] == store.problems()
    for name, table in TABLES.items():
        assert list(table.by_name) == store.relation(name).columns


def test_its_rows_are_those_that_were_written(store: Store) -> None:
    """Identities, numbers, nulls, lists and times of the old store come out as they went in."""
    assert {"network0", "network1", "diverged"} == store.ids("network")
    networks = store.sql("SELECT network_id, width, seed, train_loss, created_at FROM networks ORDER BY seed")
    assert [
        ("network0", 3, 0, 0.5, datetime(2026, 1, 2, 12)),
        ("network1", 3, 1, 0.5, datetime(2026, 1, 2, 12)),
        ("diverged", 3, 2, None, datetime(2026, 1, 2, 12, 1)),
    ] == networks.fetchall()
    assert [("barrier", 0.25, [0.0, 0.5, 1.0])] == store.sql(
        "SELECT barrier_id, loss_barrier, alphas FROM barriers"
    ).fetchall()
    assert [("failure", ["missing"])] == store.sql("SELECT failure_id, item_ids FROM failures").fetchall()
    items = store.sql("SELECT kind, item_id FROM sweep_items WHERE sweep = 'golden' ORDER BY kind")
    assert [("barrier", "barrier"), ("network", "network0")] == items.fetchall()
    assert ["golden"] == store.sweeps()


def test_its_weights_and_permutations_load(store: Store) -> None:
    """Tensors of the old store have their names, shapes, types and values; a null path is the identity."""
    loaded = store.load_networks(["network1", "network0"])
    assert torch.equal(torch.arange(12.0).reshape(2, 3, 2).flip(0), loaded["layers.0.weight"])
    rows = store.fetch("alignments", ["real", "model"], ["permutations", "row"])
    assert [[0, 1, 2], [2, 0, 1]] == store.load_permutations(rows)["member1.layers.0"].tolist()


def test_its_doubled_barrier_is_reported(store: Store) -> None:
    """The old store's one id with two results is reported with both."""
    (found,) = store.nondeterminism()
    assert ("barrier", "loss_barrier", (0.25, 0.75)) == (found.id, found.column, found.values)


def test_todays_rows_join_those_of_a_store_of_version_1(tmp_path: Path) -> None:
    """A network that was trained elsewhere can be committed to an old store, and both are read."""
    shutil.copytree(GOLDEN / "store_v1", tmp_path / "store")
    old = Store(tmp_path / "store")
    unknown = dict.fromkeys(
        ("learning_rate", "batch_size", "max_epochs", "epochs_trained", "stop_reason", "optimizer")
    )
    old.commit("networks", [row("networks", "elsewhere", checkpoint=old_checkpoint(old), row=0, **unknown)])
    found = Store(tmp_path / "store").sql(
        "SELECT network_id, learning_rate, num_train FROM networks ORDER BY 1"
    )
    assert [
        ("diverged", 0.5, None),
        ("elsewhere", None, 1),
        ("network0", 0.5, None),
        ("network1", 0.5, None),
    ] == (found.fetchall())


def test_traces_of_version_3_come_out_as_they_went_in() -> None:
    """The one trace has its points; earlier versions have none."""
    query = "SELECT trace_id, evaluations, seconds, temperatures FROM search_traces"
    assert [("trace", [1, 2, 3], [0.0, 0.5, 1.0], [])] == Store(GOLDEN / "store_v3").sql(query).fetchall()
    assert [] == Store(GOLDEN / "store_v2").sql(query).fetchall()


def test_attempts_and_retries_of_version_4_come_out_as_they_went_in() -> None:
    """The one attempt and the one released failure are there; earlier versions have none."""
    store = Store(GOLDEN / "store_v4")
    assert [("attempt", "deadline", 1)] == store.sql(
        "SELECT attempt_id, cause, attempt FROM attempts"
    ).fetchall()
    assert [("failure", "golden")] == store.sql("SELECT failure_id, sweep FROM retries").fetchall()
    assert [] == Store(GOLDEN / "store_v3").sql("SELECT * FROM attempts").fetchall()


@pytest.mark.parametrize(("version", "later"), [(5, {"start_vectors", "point_vectors"}), (6, set())])
def test_rows_of_studies_come_out_as_they_went_in(version: int, later: set[str]) -> None:
    """Every table of a study has its one row, null in columns of later versions; version 4 has none."""
    store = Store(GOLDEN / f"store_v{version}")
    for table in STUDY_TABLES:
        (found,) = store.relation(table.name).fetchall()
        written = row(table.name, f"of {table.name}")
        assert f"of {table.name}" == found[0]
        for column, value in zip(table.columns, found, strict=True):
            if column.name not in ("created_at", "environment_id"):
                expected = None if column.name in later else written[column.name]
                assert expected == value, column.name
        assert [] == Store(GOLDEN / "store_v4").relation(table.name).fetchall()


def test_a_compacted_file_of_version_4_is_read() -> None:
    """Both results of the doubled barrier stand in the one compacted file, and the first counts."""
    (file,) = (GOLDEN / "store_v4" / "records" / "barriers").iterdir()
    assert file.name.endswith(".compact.parquet")
    assert [0.25, 0.75] == pq.read_table(file).column("loss_barrier").to_pylist()


def old_checkpoint(store: Store) -> str:
    """The file of weights that the store's networks share."""
    return str(store.fetch("networks", ["network0"], ["checkpoint"])[0]["checkpoint"])
