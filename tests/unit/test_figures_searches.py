"""What the figures of searches draw and say, from small tables of known barriers."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmc_sweep.analysis.search_rows import Place, SearchQuestion
from lmc_sweep.analysis.traces import Trace
from lmc_sweep.errors import SweepError
from lmc_sweep.figures import (
    annealing_scaling,
    layers,
    planted_recovery,
    search_cost,
    search_gap,
    search_methods,
    search_traces,
)
from lmc_sweep.figures.looks import METHOD_LOOKS, label_order, method_looks
from lmc_sweep.figures.registry import FIGURES, draw
from lmc_sweep.figures.saving import save
from lmc_sweep.store.store import Store
from tests.support.search_rows import BRUTE, IDENTITY, MATCHING, ORACLE, annealing, row
from tests.support.store_rows import row as store_row
from workers.alignment.methods import METHODS
from workers.ensembles.specs import ENSEMBLE_METHODS

MIDPOINT = SearchQuestion()
PLACE = Place("mnist", "mlp", 16, 1, 2)
GOLDEN = Path(__file__).resolve().parents[1] / "golden"
OF_SEARCHES = (
    "annealing_scaling",
    "search_methods",
    "search_cost",
    "search_traces",
    "planted_recovery",
    "search_gap",
    "layers",
)


def words(figure: Any) -> str:
    """The caption on one line."""
    return " ".join(text.get_text() for text in figure.texts).replace("\n", " ")


def legend(figure: Any) -> list[str]:
    """The labels of the legend, in order."""
    return [text.get_text() for box in figure.legends for text in box.get_texts()]


def panels(figure: Any) -> list[Any]:
    """The axes that can be seen."""
    return [axes for axes in figure.axes if axes.get_visible()]


def lines(axes: Any) -> list[list[list[float]]]:
    """Points of every line of means, in the order of drawing."""
    points = (np.array(bars.lines[0].get_data(orig=True), dtype=float).T for bars in axes.containers)
    return [line.round(6).tolist() for line in points]


def test_every_method_has_a_look_of_its_own() -> None:
    """Color and marker of no two methods of one study agree, and no method lacks them."""
    assert set(METHODS) | set(ENSEMBLE_METHODS) == set(METHOD_LOOKS)
    for methods in (METHODS, ENSEMBLE_METHODS):
        looks = [METHOD_LOOKS[name] for name in methods]
        assert len(methods) == len({look.color + look.marker for look in looks})
        assert len(methods) == len({look.marker for look in looks})


def test_variants_keep_the_marker_and_differ() -> None:
    """Four ways to anneal have one marker; no two look the same."""
    looks = method_looks([("simulated_annealing", str(k)) for k in range(4)]).values()

    assert {"^"} == {look.marker for look in looks}
    assert 4 == len({(look.color, str(look.line), look.filled) for look in looks})


def test_labels_are_sorted_by_their_numbers() -> None:
    """100 steps before 1,000, and without options first."""
    labels = ["annealing (100 steps)", "annealing (1,000 steps)", "annealing (5,000 steps)", "sinkhorn"]

    assert ["annealing", *labels] == sorted([*reversed(labels), "annealing"], key=label_order)


def test_scaling_names_the_steps_that_were_taken() -> None:
    """Ticks at 500 and 3,000 alone; with thousands that leave no room, names that touch none."""
    few = [row(annealing(steps), 0, 0.4) for steps in (500, 3000)]
    many = [
        row(annealing(steps, start=start), 0, 0.4)
        for start in ("identity", "random", MATCHING)
        for steps in (10, 1000, 1500, 50_000)
    ]

    (axes,) = panels(annealing_scaling.drawing(few, MIDPOINT))
    crowded = panels(annealing_scaling.drawing(many, MIDPOINT))[0]

    assert ["500", "3,000"] == [tick.get_text() for tick in axes.get_xticklabels()]
    assert [] == list(axes.get_xticks(minor=True))
    assert ["10", "1k", "", "50k"] == [tick.get_text() for tick in crowded.get_xticklabels()]


def test_no_title_and_no_line_of_the_caption_leaves_the_figure() -> None:
    """With the longest titles: layers of five networks, and ways to anneal with options."""
    rows = [row(IDENTITY, 0, 0.4, num_networks=num, layers="each:stem") for num in (2, 5)]
    ways: list[dict[str, Any]] = [
        {"objective": "average_error"},
        {"objective": "pairwise_barrier"},
        {"start": MATCHING},
    ]
    annealed = [row(annealing(10, **way), 0, 0.4) for way in ways]

    for figure in (layers.drawing(rows, MIDPOINT), annealing_scaling.drawing(annealed, MIDPOINT)):
        figure.draw_without_rendering()
        texts = [*figure.texts, *(axes._left_title for axes in panels(figure))]
        boxes = [text.get_window_extent() for text in texts]
        assert all(0 <= box.x0 and box.x1 <= figure.bbox.x1 and box.y1 <= figure.bbox.y1 for box in boxes)
        tops = [box.y0 for box in boxes[len(figure.texts) :]]
        assert all(axes.bbox.y1 <= top for axes, top in zip(panels(figure), tops, strict=True))


def test_scaling_draws_means_against_steps_for_each_width() -> None:
    """Two widths, two numbers of steps, two pairs: two lines of means."""
    values = {16: {10: (0.4, 0.6), 100: (0.1, 0.3)}, 32: {10: (0.3, 0.3), 100: (0.2, 0.0)}}
    rows = [
        row(annealing(steps), pair, value, width=width)
        for width, by_steps in values.items()
        for steps, pairs in by_steps.items()
        for pair, value in enumerate(pairs)
    ]

    figure = annealing_scaling.drawing([*rows, row(IDENTITY, 0, 0.9)], MIDPOINT)
    (axes,) = panels(figure)

    assert ["width 16", "width 32"] == legend(figure)
    assert [[[10, 0.5], [100, 0.2]], [[10, 0.3], [100, 0.1]]] == lines(axes)
    assert "log" == axes.get_xscale()
    assert "4 pairs in all" in words(figure)


def test_scaling_shows_the_papers_values_where_they_are_of_the_same_thing() -> None:
    """On MNIST at the printed widths, error at 1/2; else a sentence says why they are not there."""
    rows = [row(annealing(steps), pair, 0.1) for steps in (10, 100) for pair in range(2)]

    with_paper = annealing_scaling.drawing(rows, MIDPOINT, with_paper=True)
    of_loss = annealing_scaling.drawing(rows, SearchQuestion(quantity="loss"), with_paper=True)
    of_digits = annealing_scaling.drawing(
        [row(annealing(10), 0, 0.1, dataset="digits")], MIDPOINT, with_paper=True
    )

    assert ["width 16", "width 16, printed in the paper"] == legend(with_paper)
    (axes,) = panels(with_paper)
    assert [0.470, 0.331, 0.190, 0.105, 0.055] in [list(line.get_ydata()) for line in axes.lines]
    assert ".995 there read as .0995" in words(with_paper)
    assert ["width 16"] == legend(of_loss)
    assert "not drawn: they are error barriers at 1/2" in words(of_loss)
    assert "not drawn: they are of MLPs of width 16, 32, 64 on MNIST" in words(of_digits)


def test_scaling_has_a_panel_for_each_way_to_anneal() -> None:
    """From a random start and refined: two panels with names, on one scale; budgets are told."""
    rows = [row(annealing(10, start="random"), 0, 0.4)]
    rows += [row(annealing(10, start=MATCHING), 0, 0.2, outcome="max_seconds")]

    figure = annealing_scaling.drawing(rows, MIDPOINT)

    titles = ["annealing from random", "annealing from weight matching"]
    assert titles == [axes.get_title(loc="left") for axes in panels(figure)]
    assert 1 == len({axes.get_ylim() for axes in panels(figure)})
    assert "A budget ended 1 of 2 searches" in words(figure)


def test_methods_has_a_column_for_each_number_of_networks() -> None:
    """Two at a time and five at a time, before and after, by width; the control first."""
    rows = [row(IDENTITY, 0, 0.4, width=width) for width in (16, 32)]
    rows += [row(MATCHING, 0, 0.2, width=width) for width in (16, 32)]
    rows += [row(IDENTITY, 0, 0.5, num_networks=5), row(annealing(10), 0, 0.3, num_networks=5)]

    figure = search_methods.drawing(rows, MIDPOINT)

    assert ["before alignment", "annealing", "weight matching"] == legend(figure)
    titles = ["mnist mlp, depth 1, n = 2", "mnist mlp, depth 1, n = 5"]
    assert titles == [axes.get_title(loc="left") for axes in panels(figure)]
    two, five = panels(figure)
    assert [[0.4, 0.4], [0.2, 0.2]] == [[y for _, y in line] for line in lines(two)]
    assert [[0.5], [0.3]] == [[y for _, y in line] for line in lines(five)]
    assert two.get_ylim() == five.get_ylim()
    assert "2 pairs of networks aligned 2 at a time and 1 pair of networks aligned 5" in words(figure)


def test_kinds_of_one_size_are_left_out_where_others_have_several() -> None:
    """Depth 1 has two widths and depth 4 one: the panel of depth 4 would show no course."""
    rows = [row(IDENTITY, 0, 0.4, width=width) for width in (16, 64)]
    rows += [row(IDENTITY, 0, 0.4, width=64, depth=4)]

    figure = search_methods.drawing(rows, MIDPOINT)

    assert ["mnist mlp, depth 1"] == [axes.get_title(loc="left") for axes in panels(figure)]
    assert "2 pairs" in words(figure)
    assert "Not shown: 1 kind of network with one width alone" in words(figure)
    assert 1 == len(panels(search_methods.drawing(rows[-1:], MIDPOINT)))


def test_pairs_that_one_method_lacks_are_left_out_and_counted() -> None:
    """In every figure that compares methods."""
    rows = [row(IDENTITY, 0, 0.4), row(IDENTITY, 1, 0.4), row(MATCHING, 0, 0.2)]

    for figure in (search_methods.drawing(rows, MIDPOINT), search_cost.drawing(rows, MIDPOINT)):
        assert "Left out: 1 pair that not every method has measured" in words(figure)


@pytest.mark.parametrize("figure", [annealing_scaling, layers, search_cost, search_gap, search_methods])
def test_the_caption_says_that_pairs_of_shared_networks_are_drawn_together(figure: Any) -> None:
    """Where pairs share networks, and nowhere else."""

    def caption(first: str) -> str:
        ends, moved = [("a", "b"), (first, "c")], "each:0" if figure is layers else None
        found = [
            row(method, pair, 0.2 + 0.1 * pair, outcome="exact", networks=ends[pair], layers=moved)
            for method in (BRUTE, MATCHING, annealing(10))
            for pair in range(2)
        ]
        return words(figure.drawing(found, MIDPOINT))

    told = "Intervals draw pairs that share networks together; where all do, there is none."
    assert told in caption("a")
    assert told not in caption("d")


def test_cost_joins_the_variants_of_a_method_in_the_order_of_their_time() -> None:
    """Steps 10 and 1000 are one line from 0.1 to 10 s; the control is a level, the bound a mark."""
    rows = [row(IDENTITY, 0, 0.5, align_seconds=0.0)]
    rows += [row(annealing(1000, max_seconds=10.0), 0, 0.1, align_seconds=10.0, outcome="max_seconds")]
    rows += [row(annealing(10, max_seconds=10.0), 0, 0.3, align_seconds=0.1)]
    rows += [row(MATCHING, 0, 0.2, align_seconds=0.01)]

    figure = search_cost.drawing(rows, MIDPOINT)
    (axes,) = panels(figure)

    assert ["before alignment", "annealing", "weight matching"] == legend(figure)
    assert [[0.1, 0.3], [10.0, 0.1]] in lines(axes)
    assert [[0.01, 0.2]] in lines(axes)
    levels = [list(line.get_ydata()) for line in axes.lines if list(line.get_xdata()) == [0, 1]]
    assert [[0.5, 0.5]] == levels
    assert ["10 s"] == [text.get_text() for text in axes.texts]


def test_recovery_draws_shares_and_heights_above_the_oracle() -> None:
    """Without an oracle there is one panel, and the caption says why."""
    rows = [
        row(method, pair, value * noise, planted_noise=noise, recovered=share)
        for method, value, share in ((ORACLE, 0.1, 1.0), (MATCHING, 0.3, 0.5))
        for noise in (0.0, 1.0)
        for pair in range(2)
    ]
    question = SearchQuestion(world="planted")

    figure = planted_recovery.drawing(rows, question)
    left, right = panels(figure)

    assert [[1.0, 1.0], [0.5, 0.5]] == [[y for _, y in line] for line in lines(left)]
    assert [[0.0, 0.0], [0.0, 0.2]] == [[y for _, y in line] for line in lines(right)]
    alone = planted_recovery.drawing([one for one in rows if one.name != "oracle"], question)
    assert 1 == len(panels(alone))
    assert "method oracle was not asked for" in words(alone)


def test_gap_draws_what_is_above_the_optimum() -> None:
    """Matching is 0.1 above brute force on one of two pairs: mean 0.05, half of them solved."""
    rows = [row(BRUTE, pair, 0.2, width=4, outcome="exact") for pair in range(2)]
    rows += [row(MATCHING, 0, 0.2, width=4), row(MATCHING, 1, 0.3, width=4)]

    left, right = panels(search_gap.drawing(rows, MIDPOINT))

    assert [[0.0], [0.05]] == [[y for _, y in line] for line in lines(left)]
    assert [[1.0], [0.5]] == [[y for _, y in line] for line in lines(right)]
    assert "no finished brute force of midpoint_loss" in words(
        search_gap.drawing(rows, SearchQuestion(quantity="loss"))
    )


def test_layers_lie_along_the_depth_in_the_order_of_the_network() -> None:
    """Not in that of the alphabet; one panel for each way to move them."""
    rows = [
        row(IDENTITY, pair, height, layers=f"{group}:{name}")
        for group in ("each", "cumulative")
        for pair in range(2)
        for name, height in (("stem", 0.1), ("body", 0.3), ("head", 0.2))
    ]

    figure = layers.drawing(rows, MIDPOINT)
    each, cumulative = panels(figure)

    assert ["stem", "body", "head"] == [tick.get_text() for tick in each.get_xticklabels()]
    assert [[[0, 0.1], [1, 0.3], [2, 0.2]]] == lines(each) == lines(cumulative)
    assert "mnist mlp, width 16, depth 1: each layer alone" == each.get_title(loc="left")


def test_traces_draw_one_objective_at_a_time() -> None:
    """That of the most traces; the others are named in the caption."""
    points = np.array([1.0, 10.0, 100.0])
    best = np.array([0.4, 0.2, 0.1])
    traces = [
        Trace(f"a{k}", PLACE, objective, json.dumps(annealing(10)), 0, points, points / 10, best, best)
        for k, objective in enumerate(["midpoint_error", "midpoint_error", "midpoint_loss"])
    ]

    figure = search_traces.drawing(traces)
    left, right = panels(figure)

    assert ["Evaluations", "Seconds of search"] == [axes.get_xlabel() for axes in (left, right)]
    assert "Midpoint error (fraction)" == left.get_ylabel()
    assert "2 chains of 2 searches" in words(figure)
    assert "Not shown: traces of midpoint_loss" in words(figure)
    assert 0.1 == pytest.approx(left.lines[-1].get_ydata()[-1])


def test_traces_are_of_annealing_first() -> None:
    """One annealing goes before two searches by weights, unless their objective is asked for."""
    points = np.array([1.0, 10.0])
    methods = [("weight_inner_product", MATCHING)] * 2 + [("midpoint_error", annealing(10))]
    traces = [
        Trace(f"a{k}", PLACE, objective, json.dumps(method), 0, points, points, points, points)
        for k, (objective, method) in enumerate(methods)
    ]

    assert "objective midpoint_error" in words(search_traces.drawing(traces))
    assert "2 chains of 2 searches" in words(search_traces.drawing(traces, "weight_inner_product"))


def test_objectives_of_pairs_and_of_all_networks_share_no_panel() -> None:
    """Of five networks, matching goes pair by pair and gives way to what joins all; of two it stays."""
    points = np.array([1.0, 10.0])
    five = replace(PLACE, num_networks=5)
    traces = [
        Trace(f"a{k}", place, "weight_inner_product", json.dumps(method), 0, points, points, points, points)
        for k, (place, method) in enumerate(
            [(PLACE, MATCHING), (five, MATCHING), (five, {"method": "merge_many"})]
        )
    ]

    both, pairwise = search_traces.drawing(traces), search_traces.drawing(traces[:2])

    assert "2 chains of 2 searches" in words(both)
    assert "aligned at a time: weight matching, whose objectives are of single pairs" in words(both)
    assert "2 chains of 2 searches" in words(pairwise)
    assert "single pairs" not in words(pairwise)


def test_of_searches_that_differ_in_steps_the_longest_is_kept() -> None:
    """Ten steps of a random start go, a thousand stay; those from matching are another search."""
    points = np.array([1.0, 2.0])
    methods = [annealing(10), annealing(1000), annealing(10, start=MATCHING), MATCHING]
    traces = [
        Trace("a", PLACE, "midpoint_error", json.dumps(method), 0, points, points, points, points)
        for method in methods
    ]

    assert traces[1:] == search_traces.of_most_steps(traces)


@pytest.mark.parametrize("name", OF_SEARCHES)
def test_an_empty_store_draws_a_sentence(tmp_path: Path, name: str) -> None:
    """With every value of every option that has choices."""
    store = Store.create(tmp_path / "store")

    for option in FIGURES[name].options:
        for value in option.choices or (option.default,):
            assert "Not shown" in words(draw(name, store, options={option.name: value}))


@pytest.mark.parametrize("name", [name for name in OF_SEARCHES if name != "annealing_scaling"])
def test_methods_that_are_not_there_are_refused(tmp_path: Path, name: str) -> None:
    """The text lists those that are."""
    store = Store.create(tmp_path / "store")
    store.commit(
        "barriers", [store_row("barriers", "b0", method="identity", method_json=json.dumps(IDENTITY))]
    )

    with pytest.raises(SweepError, match=r"no barrier has method 'sinkhorn'. Here: identity"):
        draw(name, store, options={"methods": "sinkhorn"})


def stored(store: Store) -> None:
    """Commits two pairs, before and after two methods, with traces; a sweep asks for pair 0 alone."""
    for number, method in enumerate((IDENTITY, MATCHING, annealing(10))):
        for pair in range(2):
            key = f"{method['method']}{pair}"
            common = {
                "cell_id": "c",
                "pair_id": f"p{pair}",
                "world": "real",
                "method": method["method"],
                "method_json": json.dumps(method),
            }
            store.commit(
                "alignments",
                [store_row("alignments", key, networks=["a", "b"], planted_noise=None, **common)],
            )
            store.commit("search_traces", [store_row("search_traces", f"t{key}", alignment_id=key, **common)])
            measured = {
                "alignment_id": key,
                "split": "train",
                "correction": "none",
                "planted_noise": None,
                "error_midpoint_barrier": 0.4 - 0.1 * number,
                **common,
            }
            store.commit("barriers", [store_row("barriers", key, layers=None, **measured)])
            store.commit("barriers", [store_row("barriers", f"l{key}", layers="each:stem", **measured)])
    items = [("barrier", f"{name}0") for name in ("identity", "weight_matching", "simulated_annealing")]
    store.record_sweep("small", "name: small", items)


def test_figures_read_the_store_and_one_sweep_of_it(tmp_path: Path) -> None:
    """Two pairs in the store, one in the sweep; layers are in their own figure only."""
    store = Store.create(tmp_path / "store")
    stored(store)

    for name in ("search_methods", "search_cost", "annealing_scaling"):
        assert "2 pairs" in words(draw(name, store))
        assert "1 pair " in words(draw(name, store, sweep="small"))
    (axes,) = panels(draw("search_methods", store))
    assert [[0.4], [0.2], [0.3]] == [[y for _, y in line] for line in lines(axes)]
    (axes,) = panels(draw("layers", store, options={"at": "midpoint"}))
    assert ["stem"] == [tick.get_text() for tick in axes.get_xticklabels()]


@pytest.mark.parametrize("version", ["store_v1", "store_v2", "store_v3"])
def test_stores_of_every_version_are_drawn(version: str) -> None:
    """Columns and tables that an old store lacks are empty, and each figure draws."""
    store = Store(GOLDEN / version)

    for name in OF_SEARCHES:
        assert words(draw(name, store))


def test_two_sweeps_can_be_shown_beside_each_other(tmp_path: Path) -> None:
    """Each pair once, though both sweeps ask for it; a second sweep without a first is refused."""
    store = Store.create(tmp_path / "store")
    stored(store)
    store.record_sweep("large", "name: large", [("barrier", row[0]) for row in ids(store)])

    assert "2 pairs" in words(draw("search_methods", store, "small", {"beside": "large"}))
    with pytest.raises(SweepError, match="needs --sweep"):
        draw("search_methods", store, None, {"beside": "large"})
    with pytest.raises(SweepError, match=r"no sweep 'huge' here. Known: large, small"):
        draw("search_methods", store, "small", {"beside": "huge"})


def ids(store: Store) -> list[tuple[str]]:
    """Ids of all barriers."""
    found: list[tuple[str]] = store.barriers().project("barrier_id").fetchall()
    return found


@pytest.mark.parametrize("suffix", ["png", "svg", "pdf"])
def test_the_same_rows_give_the_same_file(tmp_path: Path, suffix: str) -> None:
    """Byte for byte, intervals included."""
    rows = [row(annealing(10), pair, 0.1 * pair) for pair in range(4)]

    files = [tmp_path / f"{k}.{suffix}" for k in range(2)]
    for path in files:
        save(annealing_scaling.drawing(rows, MIDPOINT), path)

    assert files[0].read_bytes() == files[1].read_bytes()
