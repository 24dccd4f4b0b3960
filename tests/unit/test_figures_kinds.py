"""Which kinds of network the figures show, and how noisy labels are kept apart."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lmc_sweep.analysis.cell_rows import BarrierQuestion
from lmc_sweep.analysis.search_rows import Searched, SearchQuestion
from lmc_sweep.errors import SweepError
from lmc_sweep.figures import barrier_sizes, search_cost, search_methods
from lmc_sweep.figures.kinds_asked import KINDS, of_kinds, spread, with_most
from lmc_sweep.figures.looks import family_looks
from lmc_sweep.figures.registry import draw
from lmc_sweep.store.store import Store
from tests.support.cell_rows import barrier, barrier_columns, commit, panels, words
from tests.support.search_rows import IDENTITY, MATCHING, row

DEFAULTS = {option.name: option.default for option in KINDS}
HEIGHTS = {0.0: 0.25, 0.2: 0.5, 0.4: 0.75}


def noisy(method: dict[str, Any] = MATCHING) -> list[Searched]:
    """Two widths of one kind for each noise of the labels, each with its own height."""
    return [
        row(method, 0, height, width=width, label_noise=noise, cell_id=f"{width}-{noise}")
        for noise, height in HEIGHTS.items()
        for width in (16, 1024)
    ]


def asked(rows: list[Searched], **values: str) -> tuple[list[Searched], list[str]]:
    """What the options leave."""
    return of_kinds("search_methods", rows, {**DEFAULTS, **values}, lambda one: one.place)


def test_labels_as_they_are_come_alone_and_the_others_are_counted() -> None:
    """Unasked, noisy labels are left out; asked for, they are what is shown; without others, they are too."""
    rows = noisy()

    clean, notes = asked(rows)
    assert {0.0} == {one.place.label_noise for one in clean}
    assert ["Not shown: 4 kinds of network with label noise (label_noise=all, or shares)."] == notes
    assert (rows, []) == asked(rows, label_noise="all")
    assert {0.2, 0.4} == {one.place.label_noise for one in asked(rows, label_noise="0.2, 0.4")[0]}
    assert (rows[2:], []) == asked(rows[2:])


def test_no_line_pools_labels_of_different_noise() -> None:
    """All shown, each noise has panels of its own, at its own height."""
    found = panels(search_methods.drawing([*noisy(IDENTITY), *noisy()], SearchQuestion()))

    heights = {
        title: {float(y) for bars in axes.containers for y in bars.lines[0].get_ydata()}
        for title, axes in found.items()
    }
    assert {
        "mnist mlp, depth 1": {0.25},
        "mnist mlp, depth 1, label noise 0.2": {0.5},
        "mnist mlp, depth 1, label noise 0.4": {0.75},
    } == heights


def test_costs_of_different_noise_have_panels_of_their_own() -> None:
    """Six kinds, of two widths and three noises; those of labels as they are come first."""
    found = panels(search_cost.drawing([*noisy(IDENTITY), *noisy()], SearchQuestion()))
    titles = [title.replace("\n", " ") for title in found]

    assert 6 == len(titles)
    assert ["mnist mlp, width 16, depth 1", "mnist mlp, width 1,024, depth 1"] == titles[:2]
    assert "mnist mlp, width 1,024, depth 1, label noise 0.4" == titles[-1]


def test_kinds_are_chosen_by_value_and_a_wrong_one_is_refused() -> None:
    """Width 1024 alone; width 5 is not there, and those that are stand in the message."""
    assert {1024} == {one.place.width for one in asked(noisy(), width="1024", label_noise="all")[0]}
    with pytest.raises(SweepError, match=r"search_methods: .* has width '5'. Here: 16, 1024"):
        asked(noisy(), width="5")


def test_a_store_draws_clean_labels_unless_asked(tmp_path: Any) -> None:
    """From barriers in a store: those of a noisy cell come by label_noise alone."""
    store = Store.create(tmp_path / "store")
    rows = [
        {**barrier_columns(k, cell_id=f"c{k}", label_noise=noise), "error_midpoint_barrier": 0.1}
        for k, noise in enumerate((0.0, 0.2))
    ]
    commit(store, rows, [])

    assert "Not shown: 1 kind of network with label noise" in words(draw("histograms", store))
    assert ["mnist mlp, width 16, depth 1, label noise 0.2: direct"] == [
        title.replace("\n", " ")
        for title in panels(draw("histograms", store, options={"label_noise": "0.2"}))
    ]


def test_the_choice_of_kinds_is_even_among_equals() -> None:
    """First and last are among those shown; larger counts come before all of them."""
    assert [0, 4, 9] == spread(range(10), 3)
    assert [0, 1] == spread(range(2), 3)
    assert [7, 0, 9] == with_most(range(10), {**dict.fromkeys(range(10), 6), 7: 8}, 3)


def test_no_tick_label_touches_another() -> None:
    """Of thirteen widths in a column of print, both ends and powers of two keep their names."""
    widths = (4, 6, 8, 12, 16, 24, 32, 48, 64, 128, 256, 512, 1024)
    rows = [row(method, 0, 0.4, width=width) for method in (IDENTITY, MATCHING) for width in widths]
    figure = search_methods.drawing(rows, SearchQuestion())
    figure.draw_without_rendering()
    (axes,) = panels(figure).values()

    shown = [label for label in axes.get_xticklabels() if label.get_text()]
    boxes = [label.get_window_extent() for label in shown]
    assert {"4", "16", "1,024"} <= {label.get_text() for label in shown}
    assert np.all(np.array([box.x1 for box in boxes[:-1]]) < [box.x0 for box in boxes[1:]])


def test_many_lines_of_a_family_are_told_apart() -> None:
    """Eleven widths have eleven colors and eleven markers."""
    looks = family_looks([("mlp", width) for width in range(11)]).values()

    assert 11 == len({look.color for look in looks}) == len({look.marker for look in looks})


def test_many_lines_stay_at_their_size() -> None:
    """Of eleven widths at three depths, no point lies nearer to another depth than to its own."""
    rows = [barrier(0.4, 0, width=2**k, depth=depth) for k in range(11) for depth in (1, 2, 4)]
    figure = barrier_sizes.drawing(rows, BarrierQuestion(), by="depth", splits=("train",))
    (axes,) = panels(figure).values()

    for bars in axes.containers:
        places = np.asarray(bars.lines[0].get_xdata(), dtype=float)
        assert [0, 1, 2] == np.log2(places).round().astype(int).tolist()
        assert np.all(np.abs(np.log2(places) - [0, 1, 2]) < 0.2)
