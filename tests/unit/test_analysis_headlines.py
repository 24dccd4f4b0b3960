"""What a run says of the studies at its end, from small tables of known numbers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lmc_sweep.analysis.headlines import headline
from lmc_sweep.kinds import KINDS
from lmc_sweep.store.store import Store
from tests.support.cell_rows import commit, network_columns
from tests.support.store_rows import row

NAMES = ("one", "two")


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Networks of two cells, ``one`` of mnist and ``two`` of digits."""
    made = Store.create(tmp_path / "store")
    networks = [
        network_columns(dataset=data, cell_id=cell, spec_json=json.dumps({"dataset": data, "name": "mlp"}))
        for cell, data in zip(NAMES, ("mnist", "digits"), strict=True)
    ]
    commit(made, [], networks)
    return made


def asked(store: Store, table: str, kind: str, rows: list[dict[str, Any]]) -> str | None:
    """What is said of rows that a sweep asks for."""
    key = next(name for name in rows[0] if name.endswith("_id"))
    store.commit(table, rows)
    store.record_sweep("s", "name: s", [(kind, found[key]) for found in rows])
    return headline(kind, store, "s")


def test_nothing_is_said_where_nothing_was_measured(store: Store) -> None:
    """Of no kind."""
    store.record_sweep("s", "name: s", [])
    assert {None} == {headline(kind, store, "s") for kind in KINDS}


def test_distances_are_told_by_treatment(store: Store) -> None:
    """The last matrix of weights and all parameters, of the cell of most networks."""

    def form(name: str, treatment: str, cell: str, after: list[float], num: int) -> dict[str, Any]:
        described = {
            **{f"{what}_before": [2.0] * 4 for what in ("min", "max", "mean")},
            **{f"{what}_after": after for what in ("min", "max", "mean")},
            "key": None,
            "tensors": ["layers.0.weight", "layers.1.weight", "layers.1.bias", "all"],
            "num_bins": 1,
            "bin_edges": [0.0, 1.0] * 4,
            "bins_before": [1] * 4,
            "bins_after": [1] * 4,
        }
        text = json.dumps({"treatment": treatment})
        own = {"cell_id": cell, "treatment": treatment, "treatment_json": text}
        return {**row("canonical_forms", name), **described, **own, "num_networks": num, "num_finite": num}

    rows = [
        form("a", "raw", "one", [2.0] * 4, 200),
        form("b", "sorted", "one", [2.0, 1.9, 2.0, 1.98], 200),
        form("c", "matched", "one", [2.0, 1.5, 2.0, 1.0], 200),
        form("d", "sorted", "two", [1.0] * 4, 3),
    ]
    told = asked(store, "canonical_forms", "canonical_form", rows)
    assert (
        "mean distance of layers.1.weight and all parameters: sorted -5 % and -1 %; matched -25 % and -50 % "
        "(mnist mlp, 200 networks, 1 further cell in the table)" == told
    )


def test_errors_of_ensembles_are_told_by_method(store: Store) -> None:
    """Of the networks, of their average, of their averaged predictions, means over the pairs."""
    rows = [
        row(
            "ensembles",
            f"{method} {pair}",
            cell_id="one",
            pair_id=f"pair {pair}",
            method=method,
            method_json=json.dumps({"method": method}),
            spec_json=json.dumps({"splits": ["test"]}),
            test_first_error=0.1 + 0.2 * pair,
            test_second_error=0.1,
            test_weight_average_error=average,
            test_prediction_average_error=0.05,
        )
        for method, average in (("independent", 0.5), ("subspace", 0.25))
        for pair in range(2)
    ]
    assert (
        "test error of the networks, of their weight average and of their prediction average: "
        "independent 0.15, 0.5, 0.05; subspace 0.15, 0.25, 0.05 (mnist mlp, 2 pairs)"
    ) == asked(store, "ensembles", "ensemble", rows)


def test_barriers_of_all_pairs_are_told_with_the_ways_around(store: Store) -> None:
    """Means over pairs; of networks that diverged nothing is known, and a dash stands where no way is."""
    found = {
        "cell_id": "two",
        "split": "train",
        "height": "supremum",
        "correction": "none",
        "pairing": "all",
        "positions_a": [0, 0],
        "positions_b": [1, 2],
        "num_networks": 3,
        "spec_json": json.dumps({"alphas": [0, 1]}),
        "loss_barriers": [0.5, None],
        "loss_indirect_barriers": [None, None],
        "loss_bottlenecks": [0.25, None],
        "loss_bottleneck_legs": [2, None],
    }
    rows = [
        row("barrier_matrices", method, **found, method=method, method_json=json.dumps({"method": method}))
        for method in ("weight_matching", "identity")
    ]
    assert (
        "mean loss barrier direct, over a third network, over chains: before alignment 0.5, -, 0.25; "
        "weight matching 0.5, -, 0.25 (digits mlp, 1 pair, train)"
    ) == asked(store, "barrier_matrices", "barrier_matrix", rows)


def test_barriers_of_paths_are_told_by_width(store: Store) -> None:
    """In order; of more widths than fit their number; a path that diverged counts nowhere."""
    rows = [
        row(
            "permutation_paths",
            f"{width} {barrier}",
            dataset="mnist",
            activation="relu",
            loss="relative_squared",
            width=width,
            barrier=barrier,
        )
        for width in (25, 20, 15, 10, 5)
        for barrier in (0.5 / width, 1.5 / width, None)
    ]
    assert (
        "mean barrier of the relative squared loss: width 5 0.2; width 10 0.1; width 15 0.0667; "
        "width 20 0.05; 1 more (networks trained on mnist, 10 paths)"
    ) == asked(store, "permutation_paths", "permutation_path", rows)
