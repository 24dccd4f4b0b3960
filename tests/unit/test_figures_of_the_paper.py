"""What holds for every figure along width, depth and task: empty, old and partial stores are drawn."""

from __future__ import annotations

from pathlib import Path

import pytest

from lmc_sweep.figures.registry import FIGURES, draw
from lmc_sweep.figures.saving import save
from lmc_sweep.store.store import Store
from tests.support.cell_rows import barrier_columns, commit, network_columns, words

OF_THE_PAPER = (
    "barrier_width",
    "barrier_depth",
    "difficulty",
    "train_test",
    "worlds",
    "label_noise",
    "histograms",
    "curves",
    "scatter",
)
GOLDEN = Path(__file__).resolve().parents[1] / "golden"
VERSIONS = sorted(path.name for path in GOLDEN.glob("store_v*"))


@pytest.mark.parametrize("name", OF_THE_PAPER)
def test_an_empty_store_draws_what_is_missing(tmp_path: Path, name: str) -> None:
    """With every value of every option that has choices."""
    store = Store.create(tmp_path / "store")

    for option in FIGURES[name].options:
        for value in option.choices or (option.default,):
            assert "Not shown" in words(draw(name, store, options={option.name: value}))


@pytest.mark.parametrize("name", OF_THE_PAPER)
@pytest.mark.parametrize("version", VERSIONS)
def test_stores_of_every_version_are_drawn(version: str, name: str) -> None:
    """Columns that an old store lacks are empty, and each figure draws."""
    assert words(draw(name, Store(GOLDEN / version)))


@pytest.mark.parametrize("name", OF_THE_PAPER)
def test_each_figure_is_written(tmp_path: Path, name: str) -> None:
    """A drawing of a store becomes a file."""
    path = tmp_path / f"{name}.svg"
    save(draw(name, Store(GOLDEN / VERSIONS[-1])), path)

    assert path.read_text().startswith("<?xml")


@pytest.mark.parametrize("name", OF_THE_PAPER)
def test_networks_that_all_diverged_are_no_error(tmp_path: Path, name: str) -> None:
    """Every figure null: the caption says what is not shown."""
    store = Store.create(tmp_path / "store")
    none = dict.fromkeys(
        (
            "loss_barrier",
            "error_barrier",
            "loss_midpoint_barrier",
            "error_midpoint_barrier",
            "losses",
            "errors",
        )
    )
    figures = dict.fromkeys(("train_loss", "test_loss", "train_error", "test_error"))
    commit(store, [{**barrier_columns(), **none}], [{**network_columns(seed), **figures} for seed in (0, 1)])

    assert "Not shown" in words(draw(name, store))


@pytest.mark.parametrize("name", OF_THE_PAPER)
def test_a_sweep_that_still_runs_says_what_is_not_there(tmp_path: Path, name: str) -> None:
    """Of three items asked for, two have no result."""
    store = Store.create(tmp_path / "store")
    commit(store, [barrier_columns(alphas=[0.0, 0.5, 1.0])], [network_columns()])
    (network,) = store.ids("network")
    items = [("network", network), ("barrier", "b0")]
    items += [(kind, f"missing{k}") for kind in ("network", "barrier") for k in (1, 2)]
    store.record_sweep("half", "name: half", items)

    kind = "networks" if name == "train_test" else "barriers"
    assert f"Not shown: 2 of the sweep's 3 {kind}, not there so far." in words(draw(name, store, "half"))
