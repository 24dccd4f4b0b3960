"""Sweeps of searches, inline on digits: planted pairs, traces, layers, more than two networks, resuming."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

from lmc_sweep.config import parse_sweep
from lmc_sweep.execution.run import RunResult, run
from lmc_sweep.store.store import Store
from workers.datasets.tensors import Dataset
from workers.seeding import generator

SWEEP = """
name: searches
store: {store}
networks:
  - dataset: digits
    architecture: {{name: mlp, width: 6, depth: 2}}
    training: {{max_epochs: 8}}
    seeds: 4
barriers:
  worlds: [real, model, planted]
  planted_noise: [0, 0.3]
  alignments:
    - {{method: identity}}
    - {{method: oracle}}
    - {{method: weight_matching}}
    - {{method: simulated_annealing, steps: 60, restarts: 2, num_examples: 200}}
    - {{method: simulated_annealing, steps: 20, num_examples: 200, start: weight_matching}}
  interpolation: {{alphas: 3, splits: [test], layers: [all, each, cumulative]}}
"""


def run_searches(store: Path, *overrides: str) -> RunResult:
    """Runs the sweep into a store."""
    return run(parse_sweep(SWEEP.format(store=store), overrides=overrides), inline=True)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The store of the finished sweep."""
    path = tmp_path_factory.mktemp("searches") / "store"
    assert 0 == run_searches(path).exit_code
    return Store(path)


def test_the_oracle_recovers_everything(store: Store) -> None:
    """Every unit is put back, and without noise no barrier is left; the real world has no oracle."""
    query = "SELECT world, recovered, outcome, num_evaluations FROM alignments WHERE method = 'oracle'"
    rows = store.sql(query).fetchall()
    assert {("model", 1.0, "planted", 0), ("planted", 1.0, "planted", 0)} == set(rows)
    exact = store.sql(
        "SELECT max(loss_barrier), max(endpoint_disagreement) FROM barriers "
        "WHERE method = 'oracle' AND layers IS NULL AND coalesce(planted_noise, 0) = 0"
    ).fetchall()
    assert exact[0][0] < 1e-5
    assert 0.0 == exact[0][1]


def test_every_method_begins_with_the_same_planted_copy(store: Store) -> None:
    """The control recovers what the permutation leaves in place, the same for both levels of noise."""
    rows = store.sql(
        "SELECT a.networks[1], world, planted_noise, recovered FROM alignments a WHERE method = 'identity'"
    ).fetchall()
    shares: dict[str, set[float]] = {}
    for network, world, noise, share in rows:
        assert (world == "planted") == (noise is not None)
        assert (world == "real") == (share is None)
        if share is not None:
            shares.setdefault(network, set()).add(share)
    assert [1, 1] == [len(found) for found in shares.values()]


def test_a_planted_barrier_is_recomputed_from_the_files(store: Store) -> None:
    """What the store says, and the definition of the noise, give the copy and its curve."""
    rows = store.sql(
        "SELECT b.losses, a.networks[2], a.inputs_json, a.permutations, a.row, b.planted_noise "
        "FROM barriers b JOIN alignments a USING (alignment_id) "
        "WHERE b.planted_noise = 0.3 AND b.layers IS NULL AND b.method IN ('identity', 'oracle')"
    ).fetchall()
    assert 4 == len(rows)
    for losses, network, inputs_json, path, row, noise in rows:
        inputs = json.loads(inputs_json)
        ends = [load(store, inputs["networks"][member]) for member in (0, 1)]
        with safe_open(store.path / path, "pt") as file:
            spec = json.loads(file.metadata()["spec"])
            for name, tensor in ends[1].items():
                stream = generator("planted_noise", network, inputs["planted"]["pair_index"], 1, name)
                eps = torch.randn(tensor.shape, generator=stream, dtype=torch.float64)
                std = float(tensor.double().std(correction=0).float())
                ends[1][name] = (tensor.double() + noise * std * eps).float()
            for axis in spec["axes"]:
                group = axis["segments"][0]["group"]
                index = file.get_tensor(f"member1.{group}")[row]
                ends[1][axis["parameter"]] = ends[1][axis["parameter"]].index_select(axis["axis"], index)
        expected = [loss((1 - alpha) * 1.0, ends) for alpha in (0.0, 0.5, 1.0)]
        assert expected == pytest.approx(losses, rel=2e-4, abs=1e-6)


def load(store: Store, origin: list) -> dict[str, torch.Tensor]:
    """The weights that lie at a checkpoint and row."""
    return {name: tensor[origin[1]] for name, tensor in load_file(store.path / origin[0]).items()}


def loss(share: float, ends: list[dict[str, torch.Tensor]]) -> float:
    """Mean cross-entropy on test of the network that is ``share`` of the first and the rest of the second."""
    from lmc_sweep import data
    from workers.datasets.inputs import ByteInputs
    from workers.specs import DataSpec

    w = {name: share * ends[0][name] + (1 - share) * ends[1][name] for name in ends[0]}
    digits: Dataset = data.load(DataSpec(dataset="digits"))
    inputs = digits.inputs("test", lambda images: images.flatten(1), "cpu")
    assert isinstance(inputs, ByteInputs | torch.Tensor)
    hidden = inputs[: len(inputs)]
    for layer in range(3):
        hidden = hidden @ w[f"layers.{layer}.weight"].T + w[f"layers.{layer}.bias"]
        hidden = torch.relu(hidden) if layer < 2 else hidden
    return float(nn.functional.cross_entropy(hidden.double(), digits.labels("test", 0.0)))


def test_every_chain_has_a_trace_that_ends_at_the_objective(store: Store) -> None:
    """One trace per chain, evaluations and seconds ascending, the best never rising; controls have none."""
    alignments = {
        row[0]: row[1:]
        for row in store.sql(
            "SELECT alignment_id, objective_end, json_extract(method_json, '$.restarts'), outcome "
            "FROM alignments WHERE method = 'simulated_annealing'"
        ).fetchall()
    }
    assert 16 == len(alignments)
    traces = store.search_traces().df().to_dict("records")
    assert {"simulated_annealing", "weight_matching"} == {trace["method"] for trace in traces}
    best: dict[str, list[float]] = {}
    for trace in traces:
        assert list(trace["evaluations"]) == sorted(trace["evaluations"])
        assert list(trace["seconds"]) == sorted(trace["seconds"])
        if trace["method"] == "simulated_annealing":
            assert list(trace["best_objectives"]) == sorted(trace["best_objectives"], reverse=True)
            assert len(trace["temperatures"]) == len(trace["objectives"])
            best.setdefault(trace["alignment_id"], []).append(trace["best_objectives"][-1])
    for alignment_id, (objective_end, restarts, outcome) in alignments.items():
        assert "steps_done" == outcome
        assert int(restarts or 1) == len(best[alignment_id])
        assert min(best[alignment_id]) == pytest.approx(objective_end, abs=1e-6)


def test_refinement_never_ends_worse_than_its_start(store: Store) -> None:
    """A search from weight matching starts at that permutation's energy and ends no higher."""
    rows = store.sql(
        "SELECT objective_start, objective_end FROM alignments "
        "WHERE method = 'simulated_annealing' AND contains(method_json, 'weight_matching')"
    ).fetchall()
    assert 8 == len(rows)
    assert all(end <= start for start, end in rows)


def test_layers_are_measured_from_the_chord_of_the_networks(store: Store) -> None:
    """All layers together are the usual curve; the others are at least 0, and their chord is recorded."""
    rows = store.sql(
        "SELECT alignment_id, layers, losses, loss_barrier, loss_midpoint_barrier, endpoint_disagreement, "
        "inputs_json FROM barriers"
    ).fetchall()
    whole = {row[0]: row for row in rows if row[1] is None}
    assert 7 * len(whole) == len(rows)
    for row in rows:
        of_all = whole[row[0]]
        assert of_all[5] == row[5]
        if row[1] is None:
            continue
        assert row[3] >= 0
        start, end = json.loads(row[6])["chord"]["losses"]
        assert (of_all[2][0], of_all[2][-1]) == (start, end)
        chord = [start, (start + end) / 2, end]
        heights = [value - line for value, line in zip(row[2], chord, strict=True)]
        assert max(heights) == pytest.approx(row[3], abs=1e-9)
        assert heights[1] == pytest.approx(row[4], abs=1e-9)
        assert row[2][0] == start
        if row[1] == "cumulative:layers.2":
            assert of_all[2:5] == row[2:5]


def test_a_rerun_finds_everything_there(store: Store) -> None:
    """Nothing of the sweep is computed twice, and the plan says what is left out."""
    again = run_searches(store.path)
    assert again.progress is None
    assert ["oracle: it undoes what was planted, and in world real nothing is"] == list(again.plan.left_out)


def test_lost_alignments_come_back_bit_for_bit(store: Store, tmp_path: Path) -> None:
    """In other batches, planted copies and permutations are the same, and so is every curve; traces stay."""
    fewer = ("networks[0].seeds=2", "barriers.interpolation.layers=all", "barriers.worlds=[planted]")
    run_searches(tmp_path / "s", "execution={max_stack_bytes: 1}", *fewer)
    again = Store(tmp_path / "s")
    for table in ("alignments", "barriers"):
        for path in (tmp_path / "s" / "records" / table).glob("*.parquet"):
            path.unlink()
    assert 0 == run_searches(tmp_path / "s", *fewer).exit_code
    query = "SELECT barrier_id, losses, errors FROM barriers WHERE layers IS NULL ORDER BY 1"
    assert 10 == len(again.sql(query).fetchall())
    assert set(map(str, again.sql(query).fetchall())) <= set(map(str, store.sql(query).fetchall()))
    traces = "SELECT trace_id, evaluations, objectives, temperatures FROM search_traces ORDER BY 1"
    assert set(map(str, again.sql(traces).fetchall())) <= set(map(str, store.sql(traces).fetchall()))
    assert [] == again.nondeterminism()


def test_two_network_methods_align_more_than_two(tmp_path: Path) -> None:
    """Each of the others is aligned to the first; all pairs are measured under one permutation each."""
    result = run_searches(
        tmp_path / "s",
        "barriers={worlds: [real, planted], networks_per_alignment: 3, pairs: 1, "
        "alignments: [{method: weight_matching}, {method: oracle}, "
        "{method: simulated_annealing, objective: average_error, steps: 20}], "
        "interpolation: {splits: [test]}}",
    )
    assert 0 == result.exit_code
    store = Store(tmp_path / "s")
    rows = store.sql(
        "SELECT world, method, recovered, json_extract(details_json, '$.cycle_error')::DOUBLE, "
        "len(networks), (SELECT count(*) FROM barriers b WHERE b.alignment_id = a.alignment_id) "
        "FROM alignments a ORDER BY ALL"
    ).fetchall()
    assert 5 == len(rows)
    assert {(3, 3)} == {row[4:] for row in rows}
    found = {row[:2]: row[2:4] for row in rows}
    assert 1.0 == found["planted", "oracle"][0]
    assert (1.0, 0.0) == found["planted", "weight_matching"]
    assert 0.0 <= found["real", "weight_matching"][1] <= 1.0


def test_networks_that_diverged_are_told_as_such(tmp_path: Path) -> None:
    """Nothing fails: the identity is kept, and nothing is said of barriers, layers or recovery."""
    result = run_searches(
        tmp_path / "s",
        "networks[0].training.learning_rate=1e30",
        "networks[0].seeds=2",
        "barriers.alignments=[{method: simulated_annealing, steps: 9}, {method: weight_matching}]",
    )
    assert 0 == result.exit_code
    store = Store(tmp_path / "s")
    assert [("non_finite", None, None)] == store.sql(
        "SELECT DISTINCT outcome, objective_end, recovered FROM alignments"
    ).fetchall()
    query = "SELECT DISTINCT loss_barrier, error_midpoint_barrier, endpoint_disagreement FROM barriers"
    assert [(None, None, None)] == store.sql(query).fetchall()
