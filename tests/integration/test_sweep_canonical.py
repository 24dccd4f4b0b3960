"""The study ``canonical`` end to end: computed, found again, recomputed, shown."""

from __future__ import annotations

import json
import shutil
from itertools import combinations
from pathlib import Path
from typing import Any

import pytest
import small_store
import torch
from typer.testing import CliRunner

from lmc_sweep.cli.app import app
from lmc_sweep.config import parse_sweep
from lmc_sweep.execution.bodies.inputs import inputs_of, labels_of, program_of
from lmc_sweep.planning.items import NetworkItem, items
from lmc_sweep.store.store import Store
from workers.evaluation import evaluate

SWEEP = """
name: forms
store: unused
networks:
  - dataset: digits
    architecture: {name: mlp, width: 6, depth: 2}
    training: {max_epochs: 3}
    seeds: 5
canonical:
  treatments:
    - {treatment: raw}
    - {treatment: sorted}
    - {treatment: sorted, key: power, power: 1.5}
    - {treatment: matched}
    - {treatment: merged}
  epsilons: [0.000001, 100]
  averages: [2, 5]
  groups: 2
"""


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A store that holds everything the sweep asks for."""
    return small_store.compute(tmp_path_factory.mktemp("whole") / "store", SWEEP).path


@pytest.fixture
def store(whole: Path, tmp_path: Path) -> Store:
    """A copy of it."""
    return Store(shutil.copytree(whole, tmp_path / "store"))


def rows(store: Store, query: str) -> list[dict[str, Any]]:
    """What a SELECT answers."""
    found: list[dict[str, Any]] = store.answer(query).to_pylist()
    return found


def test_distances_of_raw_networks_are_those_of_their_weights(store: Store) -> None:
    """Smallest, largest and mean of each tensor over the ten pairs, and of all tensors together."""
    ids = [row["network_id"] for row in rows(store, "SELECT network_id FROM networks ORDER BY seed")]
    stack = {name: tensor.double() for name, tensor in store.load_networks(ids).items()}
    (raw,) = rows(store, "SELECT * FROM canonical_forms WHERE treatment = 'raw'")
    distances = {
        name: torch.stack([(tensor[a] - tensor[b]).norm() for a, b in combinations(range(5), 2)])
        for name, tensor in stack.items()
    }
    distances["all"] = torch.stack(list(distances.values())).square().sum(0).sqrt()
    assert list(distances) == raw["tensors"]
    for when in ("before", "after"):
        for statistic in (torch.min, torch.max, torch.mean):
            expected = [float(statistic(values)) for values in distances.values()]
            assert expected == pytest.approx(raw[f"{statistic.__name__}_{when}"], rel=1e-10)
    assert (10, 0, 0) == (raw["num_pairs"], raw["num_duplicates"], raw["num_ambiguous"])
    assert ([0, 10], [0, 10]) == (raw["near_before"], raw["near_after"])
    assert len(raw["tensors"]) * (raw["num_bins"] + 1) == len(raw["bin_edges"])
    assert len(raw["tensors"]) * 10 == sum(raw["bins_before"])


def test_averages_are_those_of_the_weights(store: Store) -> None:
    """Of all five raw networks, on both splits; beside them the networks' own figures from their rows."""
    networks = rows(store, "SELECT * FROM networks ORDER BY seed")
    stack = store.load_networks([row["network_id"] for row in networks])
    mean = {name: tensor.double().mean(0, keepdim=True).float() for name, tensor in stack.items()}
    cell = next(i for i in items(parse_sweep(SWEEP))["network"] if isinstance(i, NetworkItem)).spec
    asked = "SELECT * FROM canonical_averages WHERE treatment = 'raw' AND num_networks = 5"
    found = {row["split"]: row for row in rows(store, asked)}
    assert {"train", "test"} == set(found)
    for split, row in found.items():
        inputs, labels = inputs_of(cell, split, "cpu"), labels_of(cell.data, split, 0.0, "cpu")  # type: ignore[arg-type]
        expected = evaluate(program_of(cell), mean, inputs, labels)
        assert float(expected.losses[0]) == pytest.approx(row["loss"], rel=1e-6)
        assert float(expected.errors[0]) == row["error"]
        of_members = [network[f"{split}_error"] for network in networks]
        assert sum(of_members) / 5 == pytest.approx(row["mean_member_error"])
        assert [network["network_id"] for network in networks] == row["networks"]


def test_every_treatment_has_its_averages(store: Store) -> None:
    """Two groups of two and one of five, on two splits; matched networks of a pair are merged ones."""
    counts = rows(
        store,
        "SELECT treatment_json, num_networks, count(*) n FROM canonical_averages GROUP BY ALL ORDER BY ALL",
    )
    assert [4, 2] * 5 == [row["n"] for row in counts]
    of_pairs = "SELECT loss FROM canonical_averages WHERE num_networks = 2 AND treatment = '{}' ORDER BY loss"
    matched, merged, raw = (rows(store, of_pairs.format(one)) for one in ("matched", "merged", "raw"))
    assert len(matched) == len(merged) == len(raw)
    assert all(row["loss"] is not None for row in (*matched, *merged, *raw))


def test_keys_and_powers_stand_in_columns(store: Store) -> None:
    """Null where a treatment has none."""
    asked = "SELECT treatment, key, power FROM canonical_forms ORDER BY treatment, key, power"
    assert [
        ("matched", None, None),
        ("merged", None, None),
        ("raw", None, None),
        ("sorted", "lexicographic", None),
        ("sorted", "power", 1.5),
    ] == store.sql(asked).fetchall()


def test_treatments_bring_networks_no_farther_apart_than_they_must(store: Store) -> None:
    """Matched and merged networks are nearer than raw ones in the mean; distances before are all the same."""
    found = {row["treatment_json"]: row for row in rows(store, "SELECT * FROM canonical_forms")}
    assert 1 == len({tuple(row["mean_before"]) for row in found.values()})
    for row in found.values():
        if row["treatment"] in ("matched", "merged"):
            assert row["mean_after"][-1] < row["mean_before"][-1]


def test_what_is_there_is_not_computed_again(whole: Path, tmp_path: Path) -> None:
    """A second run finds nothing to do; another store gets the same ids and the same numbers."""
    runner = CliRunner()
    file = tmp_path / "forms.yaml"
    file.write_text(SWEEP)
    told = runner.invoke(app, ["plan", str(file), "--store", str(whole), "--json"])
    assert 0 == told.exit_code, told.output
    kinds = json.loads(told.stdout)["kinds"]
    assert (5, 0) == (kinds["canonical_form"]["items"], kinds["canonical_form"]["to_do"])
    done = runner.invoke(app, ["run", str(file), "--store", str(tmp_path / "again"), "--inline"])
    assert 0 == done.exit_code, done.output
    columns = "canonical_id, mean_after, min_after, max_after, near_after, num_duplicates"
    query = f"SELECT {columns} FROM canonical_forms ORDER BY ALL"
    assert Store(whole).sql(query).fetchall() == Store(tmp_path / "again").sql(query).fetchall()
    query = "SELECT average_id, loss, error, networks FROM canonical_averages ORDER BY ALL"
    assert Store(whole).sql(query).fetchall() == Store(tmp_path / "again").sql(query).fetchall()


def test_every_form_is_reproduced_bit_for_bit(store: Store) -> None:
    """From the weights that its row names."""
    for row in rows(store, "SELECT canonical_id FROM canonical_forms"):
        done = CliRunner().invoke(app, ["repro", str(store.path), row["canonical_id"], "--json"])
        assert 0 == done.exit_code, done.output
        assert "reproduced bit for bit" == json.loads(done.stdout)["verdict"]


def test_a_network_that_diverged_is_left_out(store: Store) -> None:
    """Its cell's row is of the others; the average of all cannot be formed."""
    networks = rows(store, "SELECT * FROM networks ORDER BY seed")
    weights = store.load_networks([networks[1]["network_id"]])
    weights["layers.0.weight"][0, 0, 0] = torch.nan
    path = store.write_tensors("networks", weights)
    earlier = networks[1]["created_at"].replace(year=2020)
    figures = {f"{split}_{figure}": None for split in ("train", "test") for figure in ("loss", "error")}
    diverged = {**networks[1], **figures, "checkpoint": path, "row": 0, "created_at": earlier}
    shutil.rmtree(store.path / "records" / "canonical_forms")
    shutil.rmtree(store.path / "records" / "canonical_averages")
    store.commit("networks", [diverged])
    store = Store(store.path)
    small_store.complete(store, parse_sweep(SWEEP))
    for row in rows(Store(store.path), "SELECT * FROM canonical_forms"):
        assert (5, 4, 6) == (row["num_networks"], row["num_finite"], row["num_pairs"])
    averaged = rows(store, "SELECT DISTINCT num_networks, networks FROM canonical_averages")
    assert {2} == {row["num_networks"] for row in averaged}
    assert all(networks[1]["network_id"] not in row["networks"] for row in averaged)


@pytest.mark.parametrize("figure_options", [[], ["--set", "quantity=loss"]], ids=["error", "loss"])
def test_the_figure_is_drawn(store: Store, tmp_path: Path, figure_options: list[str]) -> None:
    """Of a whole store and of one that lacks canonical forms, which says so."""
    for number, source in enumerate([store.path, Store.create(tmp_path / "empty").path]):
        file = tmp_path / f"{number}.png"
        command = ["plot", str(source), "canonical_distances", "--output", str(file), *figure_options]
        done = CliRunner().invoke(app, command)
        assert 0 == done.exit_code, done.output
        assert file.stat().st_size > 1000
        assert ("no networks were put in order" in done.output) == bool(number)


def test_the_report_tells_distances_and_averages(store: Store, tmp_path: Path) -> None:
    """In a section of their own, a row per treatment and tensor."""
    from lmc_sweep.report.canonical_section import canonical_section
    from lmc_sweep.report.scope import make_scope

    section = canonical_section(make_scope(store, "store", "forms", None))
    distances, averages = section.blocks
    assert 5 * 7 == len(distances.rows)  # type: ignore[union-attr]
    assert 5 * 2 * 2 == len(averages.rows)  # type: ignore[union-attr]
    empty = canonical_section(make_scope(Store.create(tmp_path / "none"), "none", None, None))
    assert () == empty.blocks
