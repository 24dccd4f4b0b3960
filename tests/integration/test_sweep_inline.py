"""A whole sweep, inline: from the file to the tables, again, extended, and recomputed from its artifacts."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import nn

import lmc_sweep
from lmc_sweep.config import parse_sweep
from lmc_sweep.execution.run import RunResult, run
from lmc_sweep.kinds import ALWAYS_SHOWN
from lmc_sweep.store.store import Store

SWEEP = """
name: tiny
store: {store}
networks:
  - dataset: digits
    architecture: {{name: mlp, width: [4, 16], depth: 1}}
    training: {{max_epochs: 3}}
    seeds: 4
barriers:
  alignments:
    - {{method: identity}}
    - {{method: random}}
    - {{method: weight_matching}}
    - {{method: simulated_annealing, steps: 30}}
  interpolation: {{alphas: 5}}
"""


def run_tiny(store: Path, *overrides: str) -> RunResult:
    """Runs the small sweep into a store."""
    return run(parse_sweep(SWEEP.format(store=store), overrides=overrides), inline=True)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """The store of one finished small sweep."""
    path = tmp_path_factory.mktemp("tiny") / "store"
    assert 0 == run_tiny(path).exit_code
    return Store(path)


def test_every_item_is_there_once(store: Store) -> None:
    """Eight networks, 2 cells x 2 worlds x 2 pairs x 4 methods alignments, twice as many barriers."""
    counts = [len(store.relation(table).fetchall()) for table in ("networks", "alignments", "barriers")]
    assert [8, 32, 64] == counts
    assert [] == store.failures().fetchall()
    assert [] == store.problems()


def test_a_rerun_does_nothing(store: Store) -> None:
    """The same command finds everything there."""
    before = sorted(p for p in store.path.rglob("*") if p.is_file())
    result = run_tiny(store.path)
    assert result.progress is None
    assert 0 == result.exit_code
    assert before == sorted(p for p in store.path.rglob("*") if p.is_file())


def test_more_seeds_train_only_the_new_networks(tmp_path: Path) -> None:
    """Two more seeds and no more pairs train exactly two networks per cell."""
    first = run_tiny(tmp_path / "s", "barriers.pairs=2")
    assert 8 == first.progress.kinds["network"].done if first.progress else False
    more = run_tiny(tmp_path / "s", "networks[0].seeds=6", "barriers.pairs=2")
    assert {"network": 4, "alignment": 0, "barrier": 0} == {k: more.plan.num_to_do(k) for k in ALWAYS_SHOWN}
    assert 12 == len(Store(tmp_path / "s").networks().fetchall())


def test_model_pairs_share_the_network_and_never_disagree(store: Store) -> None:
    """World model joins a network with its permutation: no disagreement, equal ends."""
    rows = store.sql(
        "SELECT network_a = network_b, endpoint_disagreement, losses[1] - losses[-1] FROM barriers "
        "WHERE world = 'model'"
    ).fetchall()
    assert all(
        same and disagreement == 0.0 and abs(difference) < 1e-5 for same, disagreement, difference in rows
    )


def test_weight_matching_solves_world_model(store: Store) -> None:
    """The permutation of a network is undone: its barrier is rounding."""
    rows = store.sql(
        "SELECT loss_barrier FROM barriers WHERE world = 'model' AND method = 'weight_matching'"
    ).fetchall()
    assert max(row[0] for row in rows) < 1e-5


def test_annealing_never_ends_above_its_start(store: Store) -> None:
    """The best state is returned, and the identity start is among the states."""
    rows = store.sql(
        "SELECT objective_end <= objective_start FROM alignments WHERE method = 'simulated_annealing'"
    ).fetchall()
    assert [(True,)] * 8 == rows


def test_every_barrier_is_recomputed_from_its_artifacts(store: Store) -> None:
    """Code that knows PyTorch and the layout of a store alone finds the stored curves and barriers."""
    for row in store.barriers().df().to_dict("records"):
        losses, errors = recompute(store, row)
        np.testing.assert_allclose(row["losses"], losses, rtol=2e-4, atol=1e-6)
        np.testing.assert_allclose(row["errors"], errors, atol=1.5 / row["num_examples"])
        chord = [(1 - alpha) * losses[0] + alpha * losses[-1] for alpha in row["alphas"]]
        barrier = max(loss - line for loss, line in zip(losses, chord, strict=True))
        np.testing.assert_allclose(row["loss_barrier"], barrier, rtol=2e-3, atol=1e-5)


def recompute(store: Store, row: dict[str, object]) -> tuple[list[float], list[float]]:
    """Losses and errors along the segment, from safetensors files and torch.nn alone."""
    alignment = store.sql(
        f"SELECT permutations, row FROM alignments WHERE alignment_id = '{row['alignment_id']}'"
    ).fetchall()[0]
    ends = []
    for end in ("a", "b"):
        checkpoint, position = store.sql(
            f"SELECT checkpoint, row FROM networks WHERE network_id = '{row['network_' + end]}'"
        ).fetchall()[0]
        weights = {name: t[position] for name, t in load_file(store.path / checkpoint).items()}
        with safe_open(store.path / alignment[0], "pt") as file:
            spec = json.loads(file.metadata()["spec"])
            keys = set(file.keys())
            for axis in spec["axes"]:
                group = axis["segments"][0]["group"]
                key = f"member{row['member_' + end]}.{group}"
                if key in keys:
                    index = file.get_tensor(key)[alignment[1]]
                    weights[axis["parameter"]] = weights[axis["parameter"]].index_select(axis["axis"], index)
        ends.append(weights)
    images, labels = digits(str(row["split"]))
    losses, errors = [], []
    for alpha in row["alphas"]:  # type: ignore[attr-defined]
        w = {name: (1 - alpha) * ends[0][name] + alpha * ends[1][name] for name in ends[0]}
        hidden = torch.relu(images @ w["layers.0.weight"].T + w["layers.0.bias"])
        logits = hidden @ w["layers.1.weight"].T + w["layers.1.bias"]
        losses.append(nn.functional.cross_entropy(logits.double(), labels).item())
        errors.append((logits.argmax(1) != labels).double().mean().item())
    return losses, errors


def digits(split: str) -> tuple[torch.Tensor, torch.Tensor]:
    """The digits as the contract defines them, read without the project's code."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    chosen = (np.arange(len(bunch.target)) % 5 == 4) == (split == "test")
    images = (torch.tensor(bunch.data[chosen], dtype=torch.float32) / 16 - 0.3053) / 0.3760
    return images, torch.tensor(bunch.target[chosen])


def test_label_noise_is_trained_on_and_measured_on(tmp_path: Path) -> None:
    """Half of the labels redrawn: the loss on train says so, and curves on train use the same labels."""
    sweep = SWEEP.format(store=tmp_path / "s")
    run(
        parse_sweep(sweep, overrides=["networks[0].label_noise=0.5", "networks[0].architecture.width=16"]),
        inline=True,
    )
    opened = Store(tmp_path / "s")
    noisy = {row[0]: row[1] for row in opened.sql("SELECT network_id, train_loss FROM networks").fetchall()}
    assert min(noisy.values()) > 1.0
    for network, loss in opened.sql(
        "SELECT network_a, losses[1] FROM barriers WHERE split = 'train'"
    ).fetchall():
        assert noisy[network] == pytest.approx(loss, rel=1e-5)


def test_diverged_networks_have_rows_and_null_barriers(tmp_path: Path) -> None:
    """A learning rate that explodes is an outcome, not a failure."""
    sweep = SWEEP.format(store=tmp_path / "s")
    result = run(parse_sweep(sweep, overrides=["networks[0].training.learning_rate=1.0e+30"]), inline=True)
    assert 0 == result.exit_code
    opened = Store(tmp_path / "s")
    assert [("diverged",)] == opened.sql("SELECT DISTINCT stop_reason FROM networks").fetchall()
    assert [(64, 0)] == opened.sql("SELECT count(*), count(loss_barrier) FROM barriers").fetchall()


def test_a_torn_record_is_set_aside_and_repaired(tmp_path: Path) -> None:
    """Half a record file: named, left out, and its items computed again."""
    run_tiny(tmp_path / "s", "networks[0].architecture.width=4")
    victim = next((tmp_path / "s" / "records" / "barriers").glob("*.parquet"))
    victim.write_bytes(victim.read_bytes()[: victim.stat().st_size // 2])
    opened = Store(tmp_path / "s")
    assert [victim.name] == [Path(problem.path).name for problem in opened.problems()]
    again = run_tiny(tmp_path / "s", "networks[0].architecture.width=4")
    assert again.plan.num_to_do("barrier") > 0
    assert 0 == again.plan.num_to_do("network")
    assert 32 == len(Store(tmp_path / "s").barriers().fetchall())


def test_an_item_that_fails_is_recorded_and_the_rest_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One network that raises is listed as failed, what needs it as blocked; once released, it is retried."""
    from lmc_sweep.execution import bodies

    whole = bodies.train_batch

    def fragile(store: Store, items: list, device: str) -> None:
        if any(item.spec.seed == 2 and item.spec.architecture.width == 4 for item in items):
            raise RuntimeError("seed 2 cannot be trained")
        whole(store, items, device)

    monkeypatch.setitem(bodies.BODIES, "network", fragile)
    broken = run_tiny(tmp_path / "s")
    assert 1 == broken.exit_code
    assert broken.progress is not None
    assert 1 == broken.progress.kinds["network"].failed
    assert [("RuntimeError", 1)] == broken.store.sql(
        "SELECT error_type, len(item_ids) FROM failures"
    ).fetchall()
    assert 7 == len(broken.store.networks().fetchall())
    monkeypatch.undo()
    held = run_tiny(tmp_path / "s")
    assert (1, None) == (held.exit_code, held.progress)
    ((failure_id,),) = held.store.sql("SELECT failure_id FROM failures").fetchall()
    held.store.commit("retries", [{"failure_id": failure_id}])
    mended = run_tiny(tmp_path / "s")
    assert 0 == mended.exit_code
    assert 64 == len(mended.store.barriers().fetchall())
    assert [] == mended.store.failures().fetchall()


def test_out_of_memory_halves_the_stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Batches of more than one network run out of memory; all networks are trained all the same."""
    from lmc_sweep.execution import bodies

    whole = bodies.train_batch

    def small(store: Store, items: list, device: str) -> None:
        if len(items) > 1:
            raise torch.OutOfMemoryError("too large")
        whole(store, items, device)

    monkeypatch.setitem(bodies.BODIES, "network", small)
    assert 0 == run_tiny(tmp_path / "s").exit_code
    assert 8 == len(Store(tmp_path / "s").networks().fetchall())


def test_batching_changes_no_number(store: Store, tmp_path: Path) -> None:
    """One network per batch gives the rows that whole stacks gave, bit for bit."""
    run_tiny(tmp_path / "s", "execution={max_stack_bytes: 1}")
    query = "SELECT barrier_id, losses, errors, endpoint_disagreement FROM barriers ORDER BY barrier_id"
    assert store.sql(query).fetchall() == Store(tmp_path / "s").sql(query).fetchall()


def test_the_public_python_is_enough(store: Store) -> None:
    """A notebook opens a store, queries it, and loads a network."""
    opened = lmc_sweep.Store(str(store.path))
    network_id = opened.networks().df()["network_id"][0]
    assert {"layers.0.weight", "layers.0.bias", "layers.1.weight", "layers.1.bias"} == set(
        opened.load_network(network_id)
    )


def test_a_torn_network_record_is_trained_again_before_it_is_read(tmp_path: Path) -> None:
    """Networks and barriers lost, alignments kept: the barriers wait for the networks they read."""
    overrides = ["networks[0].architecture.width=4", "barriers.alignments=[{method: weight_matching}]"]
    run_tiny(tmp_path / "s", *overrides)
    before = Store(tmp_path / "s").sql("SELECT barrier_id, losses FROM barriers ORDER BY 1").fetchall()
    for table in ("networks", "barriers"):
        for record in (tmp_path / "s" / "records" / table).glob("*.parquet"):
            record.unlink()
    again = run_tiny(tmp_path / "s", *overrides)
    assert 0 == again.exit_code
    assert {"network": 4, "alignment": 0, "barrier": 8} == {k: again.plan.num_to_do(k) for k in ALWAYS_SHOWN}
    assert (
        before == Store(tmp_path / "s").sql("SELECT barrier_id, losses FROM barriers ORDER BY 1").fetchall()
    )


def test_a_store_that_refuses_commits_is_not_blamed_on_items(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A full disk stops the run in order once patience ends: nothing is halved or failed; again mends it."""
    from lmc_sweep.errors import StoreError
    from lmc_sweep.execution import bodies, patience

    monkeypatch.setattr(patience, "PATIENCE_SECONDS", 0.5)

    calls = []
    whole = bodies.train_batch

    def full(store: Store, items: list, device: str) -> None:
        calls.append(len(items))
        raise StoreError("no space left on device")

    monkeypatch.setitem(bodies.BODIES, "network", full)
    broken = run_tiny(tmp_path / "s")
    assert 1 == broken.exit_code
    assert "no space left on device" in str(broken.stop_reason)
    assert {4} == set(calls)
    assert ((), 0) == (broken.failures, broken.num_failed)
    monkeypatch.setitem(bodies.BODIES, "network", whole)
    assert 0 == run_tiny(tmp_path / "s").exit_code


def test_the_closing_table_has_one_group_per_cell(tmp_path: Path) -> None:
    """Cells that differ in the learning rate alone are told apart, and not averaged."""
    from lmc_sweep.analysis.summary import barrier_summary

    overrides = [
        "networks[0].architecture.width=4",
        "networks[0].training.learning_rate=[0.01, 0.1]",
        "barriers.alignments=[{method: identity}]",
    ]
    result = run_tiny(tmp_path / "s", *overrides)
    worlds, cells = barrier_summary(result.store, "tiny")
    assert ["real", "model"] == worlds
    assert ["learning_rate 0.01", "learning_rate 0.1"] == [cell.label.split("width 4 ")[1] for cell in cells]
    for cell in cells:
        ((method, entries),) = cell.methods
        assert ("before alignment", worlds) == (method, list(entries))
        assert all(entry.endswith("(2)") for entry in entries.values())


def test_a_last_step_that_explodes_is_divergence(tmp_path: Path) -> None:
    """One full-batch epoch with a huge learning rate: the mean before it is fine."""
    overrides = [
        "networks[0].training={learning_rate: 1.0e+25, batch_size: 2000, max_epochs: 1}",
        "barriers.alignments=[{method: identity}]",
    ]
    result = run_tiny(tmp_path / "s", *overrides)
    found = result.store.sql("SELECT DISTINCT stop_reason, train_loss, train_error FROM networks").fetchall()
    assert [("diverged", None, None)] == found
