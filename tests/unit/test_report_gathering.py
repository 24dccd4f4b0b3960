"""What a report says of whole, empty, unfinished and damaged stores."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from report_store import METHODS, NAME, fill

from lmc_sweep.report import gathering
from lmc_sweep.report.density_plot import density_plot
from lmc_sweep.report.gathering import gather
from lmc_sweep.report.model import DensityPlot, Listing, Note, ReportData, Section, Table, Tiles
from lmc_sweep.report.page import render
from lmc_sweep.report.scope import Scope, make_scope
from lmc_sweep.store.store import Store

NOW = datetime(2026, 1, 2, tzinfo=UTC)


@pytest.fixture(autouse=True)
def _without_figures(monkeypatch: pytest.MonkeyPatch) -> None:
    """Figures have tests of their own, and take most of the time."""
    kept = tuple(one for one in gathering.SECTIONS if one[0] != "Figures")
    monkeypatch.setattr(gathering, "SECTIONS", kept)


@pytest.fixture(scope="module")
def wide(tmp_path_factory: pytest.TempPathFactory) -> Store:
    return fill(tmp_path_factory.mktemp("wide") / "store", num_cells=4)


@pytest.fixture(scope="module")
def whole(wide: Store) -> ReportData:
    return gather(wide, "runs/wide", now=NOW)


def section(data: ReportData, name: str) -> Section:
    return next(one for one in data.sections if one.name == name)


def table(data: ReportData, name: str) -> Table:
    blocks = [block for one in data.sections for block in one.blocks]
    return next(block for block in blocks if isinstance(block, Table) and block.name == name)


def notes(data: ReportData) -> str:
    """All warnings of a report."""
    blocks = [block for one in data.sections for block in one.blocks]
    return "\n".join([*data.warnings, *(b.text for b in blocks if isinstance(b, Note) and b.is_warning)])


def test_the_top_says_how_much_there_is_and_that_it_is_complete(whole: ReportData) -> None:
    """Networks, pairs and barriers are counted, and the sweep is called complete."""
    assert whole.headline[:2] == (
        "40 networks in 4 cells, 40 pairs, 240 barriers.",
        "Sweep wide is complete. No failures.",
    )
    (tiles,) = (block for block in section(whole, "summary").blocks if isinstance(block, Tiles))
    assert ("40", "20 real world, 20 our model") == (tiles.tiles[1].number, tiles.tiles[1].below)


def test_every_view_of_the_plot_has_the_points_of_its_cells(whole: ReportData) -> None:
    """Loss and error, both heights, both splits: each with a point per pair rank and method, by cell."""
    (plot,) = (block for block in section(whole, "density").blocks if isinstance(block, DensityPlot))
    assert 8 == len(plot.views)
    for view in plot.views:
        assert [20] * len(METHODS) == [len(cloud.cells) for cloud in view.clouds]
        assert {0, 1, 2, 3} == set(view.clouds[0].cells)


def test_cells_have_a_row_for_each_method_and_split(whole: ReportData) -> None:
    """Means and numbers of pairs of both worlds stand in one row."""
    found = table(whole, "cell-barriers")
    assert 4 * len(METHODS) * 2 == len(found.rows)
    place = [column.heading for column in found.columns].index("Pairs, real")
    assert {5} == {row[place] for row in found.rows}


def test_the_table_of_barriers_holds_them_all(whole: ReportData, wide: Store) -> None:
    """Every barrier of the store is a row, named by its id."""
    assert wide.ids("barrier") == {row[-1] for row in table(whole, "barriers").rows}


def test_what_is_alike_in_every_row_is_told_once(whole: ReportData) -> None:
    """A column of one value is a sentence above the table."""
    assert "correction none" in table(whole, "barriers").note


def test_a_report_tells_how_to_compute_it_again(whole: ReportData) -> None:
    """The sweep file and the commands are in the report."""
    listings = [block for block in section(whole, "provenance").blocks if isinstance(block, Listing)]
    assert ["Sweep file: wide", "Commands that reproduce and check this"] == [one.title for one in listings]
    assert "lmc-sweep verify runs/wide --sample 20" in listings[1].text


def test_without_pairs_of_our_model_nothing_is_compared_with_it(tmp_path: Path) -> None:
    """A sweep whose barriers are all there, of the real world alone, has no plot and no comparison."""
    store = fill(tmp_path / "store", num_cells=1)
    ids = {
        world: [
            row[0] for row in store.sql(f"SELECT barrier_id FROM barriers WHERE world = '{world}'").fetchall()
        ]
        for world in ("real", "model")
    }
    store.record_sweep("alone", "name: alone\n", [("barrier", one) for one in ids["real"]])
    store.record_sweep("both", "name: both\n", [("barrier", one) for own in ids.values() for one in own])

    told = {
        name: {one.name for one in gather(store, "s", name, now=NOW).sections} for name in ("alone", "both")
    }

    assert {"density", "comparison"} == told["both"] - told["alone"]


def test_an_empty_store_has_a_report_that_says_so(tmp_path: Path) -> None:
    """Every section is there, and says that there is nothing yet, but for those of other studies."""
    data = gather(Store.create(tmp_path / "store"), "runs/empty", now=NOW)
    of_barriers = ["summary", "density", "comparison", "claims", "cells", "barriers"]
    assert [*of_barriers, "failures", "provenance", "words"] == [one.name for one in data.sections]
    assert "No sweep is recorded in this store." in notes(data)
    assert "No barrier is measured yet." == table(data, "barriers").empty
    assert "No sweep is recorded." in render(data)


def test_an_unfinished_sweep_says_what_it_lacks(tmp_path: Path) -> None:
    """Items without results are counted, by kind."""
    store = fill(tmp_path / "store", num_cells=1)
    items = [(kind, item) for kind in ("network", "alignment", "barrier") for item in store.ids(kind)]
    store.record_sweep(NAME, "name: wide\n", [*items, ("barrier", "f" * 32), ("network", "e" * 32)])
    data = gather(store, "runs/wide", now=NOW)
    assert "Sweep wide (not running) lacks 1 network, 1 barrier. No failures." in data.headline


def test_a_damaged_store_has_a_report_that_names_the_damage(tmp_path: Path) -> None:
    """Torn records, a missing environment and a sweep file that is no text are told; the rest is shown."""
    folder = tmp_path / "store"
    fill(folder, num_cells=1)
    (torn,) = (folder / "records" / "networks").glob("*.parquet")
    torn.write_bytes(torn.read_bytes()[:100])
    (environment,) = (folder / "environments").glob("*.json")
    environment.unlink()
    (folder / "sweeps" / NAME / "sweep.yaml").write_bytes(b"\xff\xfe\x00")
    data = gather(Store(folder), "runs/damaged", now=NOW)
    told = notes(data)
    assert "1 file left out of every result" in told
    assert f"environments/{environment.name}: is missing." in told
    assert "is no text in UTF-8" in told
    assert f"records/networks/{torn.name}" in [row[1] for row in table(data, "left-out").rows]
    assert 60 == len(table(data, "barriers").rows)


def test_a_section_that_fails_says_why_and_costs_no_other(
    wide: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What the store cannot answer is a sentence in its place."""

    def fails(_: Any) -> Section:
        from lmc_sweep.errors import StoreError

        raise StoreError("the disk is gone")

    monkeypatch.setattr(gathering, "SECTIONS", (("Summary", fails), *gathering.SECTIONS[1:]))
    data = gather(wide, "runs/wide", now=NOW)
    assert "the disk is gone" in notes(data)
    assert 240 == len(table(data, "barriers").rows)


def test_one_sweep_of_several_is_reported_alone(tmp_path: Path) -> None:
    """Of a store with two sweeps, a report of one shows that one's items."""
    store = fill(tmp_path / "store", num_cells=2)
    some = sorted(store.ids("barrier"))[:7]
    store.record_sweep("part", "name: part\n", [("barrier", item) for item in some])
    data = gather(store, "runs/two", "part", now=NOW)
    assert ("part", some) == (data.title, sorted(str(row[-1]) for row in table(data, "barriers").rows))


def test_failures_are_told_without_secrets(tmp_path: Path) -> None:
    """A failure is a row with the command that shows it, and its traceback is there; keys are not."""
    store = fill(tmp_path / "store", num_cells=1)
    items = [("network", "d" * 32)]
    store.record_sweep("failing", "name: failing\n", items)
    failure = {
        "kind": "network",
        "item_ids": ["d" * 32],
        "error_type": "ValueError",
        "message": "s3://user:geheim1@bucket is gone",
        "traceback": "Traceback: password='geheim1'",
        "attempts": 3,
        "sweep": "failing",
        "cause": "exception",
    }
    store.commit("failures", [failure])
    data = gather(store, "runs/failing", "failing", now=NOW)
    (row,) = table(data, "failures").rows
    assert ("failing", "network", "ValueError", 3) == (row[0], row[1], row[3], row[6])
    assert f"lmc-sweep repro runs/failing {'d' * 32}" in str(row[8])
    assert "geheim1" not in render(data)


class RealAlone(Scope):
    """A store whose sweep asked for one world."""

    def ask(self, query: str) -> list[dict[str, Any]]:
        return [row for row in super().ask(query) if row["world"] == "real"]


def test_a_store_of_one_world_says_what_it_lacks_in_place_of_a_plot(wide: Store) -> None:
    """With barriers of the real world alone there is no plot without a point, but a sentence."""
    (block,) = density_plot(RealAlone(**vars(make_scope(wide, "here", None, None)))).blocks
    assert isinstance(block, Note)
    assert "There are barriers of the real world alone" in block.text
