"""Sweeps of permutation paths, inline: random and trained networks, stored, resumed, recomputed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from lmc_sweep.config import parse_sweep
from lmc_sweep.execution.agreement import EQUAL, compare
from lmc_sweep.execution.recomputation import recompute, scratch_store
from lmc_sweep.execution.run import RunResult, run
from lmc_sweep.planning.reconstruction import items_of
from lmc_sweep.store.store import Store
from lmc_sweep.store.verification import verify
from workers.permutation_points.dense import DenseShape, flattened
from workers.permutation_points.pairs import ranked_pairs

SWEEP = """
name: paths
store: {store}
networks:
  - dataset: digits
    architecture: {{name: mlp, width: 4, depth: 2}}
    training: {{max_epochs: 3, learning_rate: [0.05, 1e30]}}
    seeds: 2
permutation_paths:
  - {{layer: 2, pairs: {{cosine: 2}}, num_examples: 200, loss: [relative_squared, cross_entropy],
     num_steps: 3, max_evaluations: 15, output_weights: held, precision: [float32, float64]}}
  - {{teachers: {{hidden: [3], activation: tanh, num_points: 50, seeds: 2}}, pairs: all, num_steps: 4,
     max_evaluations: 40, variant: [constrained, penalized], permutation_points: {{lowest: 3}}}}
"""


def run_paths(store: Path, *overrides: str) -> RunResult:
    """Runs the sweep into a store."""
    return run(parse_sweep(SWEEP.format(store=store), overrides=overrides), inline=True)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The store of the finished sweep."""
    path = tmp_path_factory.mktemp("paths") / "store"
    assert 0 == run_paths(path).exit_code
    return Store(path)


def rows(store: Store, where: str = "true", columns: str = "*") -> list[dict[str, Any]]:
    """Rows of ``permutation_paths`` by column."""
    query = f"SELECT {columns} FROM permutation_paths WHERE {where} ORDER BY path_id"
    found: list[dict[str, Any]] = store.answer(query).to_pylist()
    return found


def test_every_path_has_a_row_and_those_that_asked_their_point(store: Store) -> None:
    """Four networks, two pairs, four questions; two teachers, three pairs, two variants, and points."""
    counted = store.sql("SELECT start, count(*) FROM permutation_paths GROUP BY start").fetchall()
    assert {"trained": 32, "random": 12} == dict(counted)
    query = "SELECT count(*) FROM permutation_points JOIN permutation_paths p USING (path_id)"
    assert [(12,)] == store.sql(f"{query} WHERE p.start = 'random'").fetchall()
    assert [(12,)] == store.sql("SELECT count(*) FROM permutation_points").fetchall()


def test_rows_tell_the_whole_path(store: Store) -> None:
    """From a network to itself with two neurons interchanged; the barrier is the height of its losses."""
    for row in rows(store, "kind IS NOT NULL"):
        points = 2 * (row["num_steps"] + 2) - 1
        lists = ["times", "losses", "distances", "squared_distances", "output_distances", "gradient_norms"]
        assert {points} == {len(row[name]) for name in lists}
        assert points - 1 == len(row["losses_between"])
        assert row["num_steps"] + 1 == len(row["num_evaluations"]) == len(row["outcomes"])
        assert [0.0, 0.5, 1.0] == [row["times"][at] for at in (0, points // 2, -1)]
        assert row["point_loss"] == row["losses"][points // 2]
        assert max(row["losses"]) - row["losses"][0] == row["barrier"] <= row["barrier_between"]
        assert row["squared_distances"] == [distance**2 for distance in row["distances"]]
        assert (row["errors"] is None) == (row["start"] == "random")
        if row["loss"] != "cross_entropy":
            assert 0 <= row["start_loss"] < 1e-9


def test_neurons_with_two_inputs_are_kept(store: Store) -> None:
    """Before the path and where two are one: as far apart as the distances say; of other layers none."""
    for row in rows(store, "kind IS NOT NULL"):
        is_plane = row["sizes"][row["layer"] - 1] == 2
        assert is_plane == (row["start_vectors"] is not None) == (row["point_vectors"] is not None)
        for name, time in (("start_vectors", 0), ("point_vectors", len(row["times"]) // 2)):
            if is_plane:
                neurons = torch.tensor(row[name], dtype=torch.float64).reshape(row["width"], 3)
                first, second = neurons[row["neurons"]]
                assert row["distances"][time] == pytest.approx(float((first - second).norm()), abs=1e-12)


def test_networks_that_diverged_have_rows_without_figures(store: Store) -> None:
    """Half of the trained ones: one entry, null."""
    query = "network_id IN (SELECT network_id FROM networks WHERE stop_reason = 'diverged')"
    found = rows(store, query)
    assert 16 == len(found)
    for row in found:
        assert [None] == row["losses"]
        assert [] == row["losses_between"]
        assert {None} == {row[name] for name in ("kind", "barrier", "neurons", "errors", "point_loss")}


def test_pairs_by_rule_are_those_of_the_stored_weights(store: Store) -> None:
    """The rank counts from the two neurons with the largest cosine."""
    shape = DenseShape((64, 4, 4, 10), "relu")
    found = rows(store, "start = 'trained' AND kind IS NOT NULL AND numeric_precision = 'float64'")
    for row in found:
        flat = flattened(store.load_rows(store.origins([row["network_id"]])))[0]
        expected = ranked_pairs(shape, flat, 2, "cosine")[row["pair_rank"]]
        assert expected == tuple(row["neurons"])
        first, second = (flat[shape.neuron(2, index)].double() for index in expected)
        cosine = torch.nn.functional.cosine_similarity(first, second, dim=0)
        assert row["cosine"] == pytest.approx(float(cosine), abs=1e-12)


def test_a_path_alone_has_the_numbers_that_it_has_in_company(store: Store, tmp_path: Path) -> None:
    """The row of a smaller sweep is that of the larger one, and a second run finds everything there."""
    alone = (
        SWEEP.split("networks:")[0]
        + """
permutation_paths:
  teachers: {{hidden: [3], activation: tanh, num_points: 50, seeds: [1]}}
  pairs: [[0, 2]]
  num_steps: 4
  max_evaluations: 40
  permutation_points: {{lowest: 3}}
"""
    )
    small = parse_sweep(alone.format(store=tmp_path / "store"))
    assert 0 == run(small, inline=True).exit_code
    assert run(small, inline=True).progress is None
    (row,) = rows(Store(tmp_path / "store"))
    (beside,) = rows(store, f"path_id = '{row['path_id']}'")
    apart = ("measure_seconds", "created_at", "environment_id")
    assert {name: row[name] for name in row if name not in apart} == {
        name: beside[name] for name in beside if name not in apart
    }


def test_rows_are_recomputed_from_what_they_say(store: Store) -> None:
    """Of a random and of a trained network: all columns come out the same."""
    for where in ("start = 'random' AND variant = 'penalized'", "start = 'trained' AND kind IS NOT NULL"):
        (item,) = items_of(store, "permutation_path", [rows(store, where, "path_id")[0]["path_id"]])
        with scratch_store() as scratch:
            recompute(store, scratch, item, user_code=False)
            assert {EQUAL} == {one.verdict for one in compare(store, scratch, item)}


def test_the_store_verifies(store: Store) -> None:
    """Every file is whole; a path of a random network reads none, another one its checkpoint."""
    assert () == tuple(verify(store).findings)
    for row in rows(store, columns="network_id, inputs_json"):
        assert (row["network_id"] is None) == (json.loads(row["inputs_json"])["networks"] == [])
