"""What the figure and the section on ensembles say, from small tables of known ensembles."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from lmc_sweep.analysis.ensemble_rows import Ensemble, labels_of, method_means
from lmc_sweep.errors import SweepError
from lmc_sweep.figures import ensembles
from lmc_sweep.figures.registry import draw
from lmc_sweep.figures.sheet import shows_nothing
from lmc_sweep.store.store import Store
from tests.support.cell_rows import commit, legend, network_columns, panels, words
from tests.support.store_rows import row

SUBSPACE = {"method": "subspace", "strength": 1, "regularizer": "squared_cosine"}


def ensemble(
    pair: int, method: str = "independent", cell: str = "mnist mlp", error: float | None = 0.1, **options: Any
) -> Ensemble:
    """A row: the first network has the error, the second twice, the averages three and four times as much."""
    names = ("first", "second", "weight_average", "prediction_average")
    figures = {
        f"{split}_{name}_{quantity}": None if error is None else (1 + place) * error
        for split in ("train", "test")
        for place, name in enumerate(names)
        for quantity in ("error", "loss")
    }
    written = {"method": method, **options}
    return Ensemble(
        cell,
        {
            **figures,
            "train_disagreement": error,
            "test_disagreement": error,
            "cell_id": cell,
            "pair_id": f"{cell} {pair}",
            "method": method,
            "method_json": json.dumps(written),
            "spec_json": json.dumps({"splits": ["train", "test"]}),
        },
    )


def test_means_are_over_the_pairs_that_every_method_has() -> None:
    """A pair that one method lacks, or that diverged there, is left out of all, in its own cell alone."""
    rows = [
        *(ensemble(k, error=0.1 * (k + 1)) for k in range(4)),
        *(ensemble(k, "subspace", error=None if k == 1 else 0.2) for k in range(3)),
        ensemble(9, cell="digits mlp"),
    ]
    means, num_left_out = method_means(rows, "test", "error")
    assert 2 == num_left_out
    found = {(one.cell, one.method): one.means for one in means}
    plain = found["mnist mlp", "independent"]
    assert 2 == plain["networks"].num_values
    assert pytest.approx(1.5 * 0.2) == plain["networks"].value
    assert pytest.approx(3 * 0.2) == plain["weight_average"].value
    assert pytest.approx(4 * 0.2) == plain["prediction_average"].value
    assert pytest.approx(0.2) == plain["disagreement"].value
    assert 1 == found["digits mlp", "independent"]["networks"].num_values


def test_methods_stand_in_the_order_of_the_table() -> None:
    """The control first, both together last; variants are told by what differs."""
    rows = [
        ensemble(0, "subspace_functional_difference", assignment="greedy"),
        ensemble(0, "subspace", strength=1),
        ensemble(0, "subspace", strength=0),
        ensemble(0, "functional_difference", assignment="greedy"),
        ensemble(0),
    ]
    expected = [
        "independent",
        "functional difference",
        "subspace (strength 0)",
        "subspace (strength 1)",
        "subspace functional difference",
    ]
    assert expected == list(labels_of(rows).values())


def test_a_cell_has_a_row_of_panels() -> None:
    """Three places by method, and the disagreement beside them."""
    rows = [ensemble(k, name) for k in range(3) for name in ("independent", "subspace")]
    figure = ensembles.drawing(rows, "error", "test")
    left = panels(figure)["mnist mlp"]
    assert ["networks", "weight\naverage", "prediction\naverage"] == [
        tick.get_text() for tick in left.get_xticklabels()
    ]
    drawn = [list(bars.lines[0].get_ydata()) for bars in left.containers]
    assert [pytest.approx([0.15, 0.3, 0.4])] * 2 == drawn
    assert ["independent", "subspace"] == legend(figure)
    assert "3 pairs" in words(figure)


def test_what_is_not_there_is_said() -> None:
    """No ensembles; none on the split; none whose figures are finite."""
    only_test = ensemble(0)
    only_test.columns["spec_json"] = json.dumps({"splits": ["test"]})  # type: ignore[index]
    for rows, split, told in (
        ([], "test", "no ensembles here"),
        ([only_test], "train", "measured on train"),
        ([ensemble(0, error=None)], "test", "1 pair without finite figures"),
    ):
        assert told in (shows_nothing(ensembles.drawing(rows, "error", split)) or "")


def test_cells_are_chosen_by_what_their_networks_are(tmp_path: Path) -> None:
    """One data set of two, in a panel of its own; one that is not there is refused."""
    store = Store.create(tmp_path / "store")
    written = {
        "method": "independent",
        "method_json": json.dumps({"method": "independent"}),
        "spec_json": json.dumps({"splits": ["test"]}),
    }
    rows = [row("ensembles", name, cell_id=name, dataset=name, **written) for name in ("mnist", "digits")]
    store.commit("ensembles", rows)
    networks = [
        network_columns(dataset=name, cell_id=name, spec_json=json.dumps({"dataset": name, "name": "mlp"}))
        for name in ("mnist", "digits")
    ]
    commit(store, [], networks)

    def titles(**options: str) -> set[str]:
        return set(panels(draw("ensembles", store, options=options))) - {""}

    assert {"digits mlp", "mnist mlp"} == titles()
    assert {"digits mlp"} == titles(dataset="digits")
    with pytest.raises(SweepError, match=r"no ensemble that is left has dataset 'svhn'. Here: digits, mnist"):
        titles(dataset="svhn")
