"""Rows of canonical forms as values: labels, histograms, and which of them a figure shows."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from store_rows import row

from lmc_sweep.analysis.canonical_rows import Form, Spread, of_one_cell, once, read
from lmc_sweep.errors import SweepError
from lmc_sweep.figures.canonical_distances import drawing
from lmc_sweep.figures.registry import draw
from lmc_sweep.figures.sheet import shows_nothing
from lmc_sweep.store.store import Store


def form_row(canonical_id: str, treatment: str = "raw", **values: Any) -> dict[str, Any]:
    """A row of ``canonical_forms`` with two tensors and four bins each."""
    described: dict[str, Any] = {
        "treatment": treatment,
        "key": None,
        "power": None,
        "treatment_json": json.dumps({"treatment": treatment}),
        "tensors": ["weight", "all"],
        "num_bins": 4,
        "bin_edges": [0.0, 1.0, 2.0, 3.0, 4.0, 0.0, 2.0, 4.0, 6.0, 8.0],
    }
    for when, shift in (("before", 0.0), ("after", -1.0 if treatment != "raw" else 0.0)):
        described |= {f"min_{when}": [2.0 + shift, 4.0], f"max_{when}": [4.0 + shift, 8.0]}
        described |= {f"mean_{when}": [3.0 + shift, 0.0], f"bins_{when}": [1, 2, 3, 4, 0, 0, 0, 10]}
    return {**row("canonical_forms", canonical_id), **described, **values}


def average_row(key: str, canonical_id: str, **values: Any) -> dict[str, Any]:
    """A row of ``canonical_averages``."""
    return row("canonical_averages", key, canonical_id=canonical_id, split="test", **values)


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Three treatments of one cell, one of a larger one, and averages of which one has no form yet."""
    made = Store.create(tmp_path / "store")
    rows = [
        form_row("c", "merged", cell_id="small"),
        form_row("b", "sorted", cell_id="small", key="power", power=1.5),
        form_row("a", "raw", cell_id="small"),
        form_row("d", "raw", cell_id="large", num_networks=5),
    ]
    made.commit("canonical_forms", rows)
    averages = [
        average_row("1", "a", num_networks=2, group_index=1, error=0.25),
        average_row("2", "a", num_networks=2, group_index=0, error=0.5),
        average_row("3", "x", num_networks=2, group_index=0, error=0.5),
    ]
    made.commit("canonical_averages", averages)
    return made


def test_forms_are_read_in_the_order_of_treatments(store: Store) -> None:
    """With their averages by group; those of a form that has no row are left out."""
    forms = read(store, None)
    assert ["raw", "raw", "sorted, power 1.5", "merged"] == [form.label for form in forms]
    (raw,) = [form for form in forms if form.columns["canonical_id"] == "a"]
    assert [0.5, 0.25] == [average.error for average in raw.averages]
    assert [] == read(store, "no such sweep")


def test_spreads_are_those_of_the_tensor(store: Store) -> None:
    """Lists of all tensors are cut where one ends and the next begins; the change is of the mean."""
    (merged,) = [form for form in read(store, None) if form.label == "merged"]
    assert Spread(4.0, 8.0, 0.0, (0.0, 2.0, 4.0, 6.0, 8.0), (0, 0, 0, 10)) == merged.spread("all", "after")
    assert 2 / 3 - 1 == pytest.approx(merged.change("weight"))
    assert merged.change("all") is None


def test_bins_are_joined_until_they_suit_the_pairs() -> None:
    """Ten pairs: four bins of forty; no pair is lost, and the area is 1."""
    counts = tuple(1 if k % 4 == 0 else 0 for k in range(40))
    spread = Spread(0.0, 4.0, 2.0, tuple(k / 10 for k in range(41)), counts)
    coarse = spread.coarser()
    assert (3, 2, 3, 2) == coarse.counts
    assert (0.0, 1.0, 2.0, 3.0, 4.0) == coarse.edges
    assert 1.0 == pytest.approx(sum(density * 1.0 for density in coarse.densities))


def test_equal_distances_have_no_density() -> None:
    """Bins without width: nothing is divided by 0."""
    assert [0.0, 0.0] == Spread(1.0, 1.0, 1.0, (1.0, 1.0, 1.0), (0, 3)).densities


def test_one_cell_is_shown(store: Store) -> None:
    """That of most networks, or the one that is named; each treatment once, with most averages."""
    forms = read(store, None)
    assert ["d"] == [form.columns["canonical_id"] for form in of_one_cell(forms)]
    assert ["a", "b", "c"] == [form.columns["canonical_id"] for form in of_one_cell(forms, "sm")]
    again = Form({**forms[1].columns, "canonical_id": "again"}, ())
    assert ["a"] == [form.columns["canonical_id"] for form in once([again, forms[1]])]


def test_cells_are_chosen_by_what_their_networks_are(tmp_path: Path) -> None:
    """Width 4 in place of that of most networks; noisy labels by asking alone, by kind or by cell."""
    made = Store.create(tmp_path / "store")
    sizes = {"wide": (16, 9, 0.0), "narrow": (4, 3, 0.0), "noisy": (16, 10, 0.2)}
    made.commit(
        "canonical_forms",
        [
            form_row(cell, cell_id=cell, width=width, num_networks=num, num_finite=num, label_noise=noise)
            for cell, (width, num, noise) in sizes.items()
        ],
    )

    def told(**options: str) -> str:
        texts = draw("canonical_distances", made, options=options).texts
        return " ".join(text.get_text() for text in texts).replace("\n", " ")

    assert "9 networks of" in told()
    assert "1 kind of network with label noise" in told()
    assert "3 networks of" in told(width="4")
    assert "10 networks of" in told(label_noise="0.2")
    assert "10 networks of" in told(cell="noisy")
    with pytest.raises(SweepError, match=r"no cell that is left has width '5'. Here: 4, 16"):
        told(width="5")


def test_the_figure_says_what_is_not_shown(store: Store) -> None:
    """Another cell, one that does not exist, and a cell without two finite networks."""
    forms = read(store, None)
    told = " ".join(text.get_text() for text in drawing(forms).texts).replace("\n", " ")
    assert "Not shown: 1 further cell; dataset=..., architecture=..., width=..., depth=... and " in told
    assert "label_noise=... choose, and cell=... by its id." in told
    assert "no cell_id begins with 'medium'" in str(shows_nothing(drawing(forms, begins="medium")))
    (empty,) = [Form({**forms[0].columns, "tensors": []}, ())]
    assert "fewer than two networks" in str(shows_nothing(drawing([empty])))
    panels = drawing(forms, "error", "small").axes
    assert ["weight", "All parameters", "Averages, test"] == [axes.get_title(loc="left") for axes in panels][
        :3
    ]
