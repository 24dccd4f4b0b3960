"""What histograms, curves and the colored points draw and say, from small tables of known barriers."""

from __future__ import annotations

import json
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np

from lmc_sweep.analysis.cell_rows import BarrierQuestion, CellBarrier
from lmc_sweep.analysis.curves import of_one_grid
from lmc_sweep.analysis.indirect import indirect_barriers
from lmc_sweep.figures import curves, histograms, scatter
from lmc_sweep.figures.registry import draw
from lmc_sweep.store.store import Store
from tests.support.cell_rows import MATCHING, barrier, barrier_columns, commit, legend, panels, words
from tests.support.store_rows import row as store_row

QUESTION = BarrierQuestion()


def of_all_pairs(heights: dict[tuple[str, str], float], **other: Any) -> list[CellBarrier]:
    """Barriers between named networks of one cell."""
    return [
        barrier(height, number, network_a=first, network_b=second, **other)
        for number, ((first, second), height) in enumerate(heights.items())
    ]


def bars(axes: Any) -> list[list[int]]:
    """Heights of every outline, in the order of drawing."""
    return [
        [int(count) for count in patch.get_data().values] for patch in axes.patches if not patch.get_fill()
    ]


def test_the_indirect_barrier_is_the_lowest_pass_over_one_third_network() -> None:
    """From a to c by b at most 0.2, by d at most 0.5: 0.2, whatever lies directly between them."""
    direct = {("a", "c"): 0.9, ("a", "b"): 0.2, ("c", "b"): 0.1, ("a", "d"): 0.5, ("d", "c"): 0.3}
    found = indirect_barriers(direct)

    assert 0.2 == found["a", "c"]
    assert 0.9 == found["a", "b"]
    assert set(direct) == set(found)


def test_indirect_barriers_agree_with_all_thirds_tried() -> None:
    """Of ten networks with random barriers."""
    stream = np.random.default_rng(0)
    names = [f"n{k}" for k in range(10)]
    direct = {pair: float(stream.random()) for pair in combinations(names, 2)}

    def height(first: str, second: str) -> float:
        return direct.get((first, second)) or direct[second, first]

    expected = {
        (first, second): min(
            max(height(first, third), height(third, second))
            for third in names
            if third not in (first, second)
        )
        for first, second in direct
    }
    assert expected == indirect_barriers(direct)


def test_disjoint_pairs_have_no_indirect_barrier() -> None:
    """Nor has a network paired with its own permutation."""
    assert {} == indirect_barriers({("a", "b"): 0.1, ("c", "d"): 0.2, ("e", "e"): 0.3})


def test_histograms_count_direct_and_indirect_barriers() -> None:
    """Three networks: direct 0, 0.3 and 0.6; by the third 0.6, 0.6 and 0.3."""
    rows = of_all_pairs({("a", "b"): 0.0, ("b", "c"): 0.3, ("a", "c"): 0.6})
    figure = histograms.drawing(rows, QUESTION)
    found = panels(figure)

    assert [[1, 0, 0, 1, 0, 1]] == bars(found["mnist mlp, width 16, depth 1: direct"])
    assert [[0, 0, 0, 1, 0, 2]] == bars(found["mnist mlp, width 16, depth 1: indirect"])
    assert "known for 3 of 3 pairs" in words(figure)


def test_histograms_compare_methods_in_the_same_bins() -> None:
    """Before and after, each with a marker at its median."""
    pairs = {("a", "b"): 0.6, ("c", "d"): 0.55, ("e", "f"): 0.45}
    after = {pair: height - 0.43 for pair, height in pairs.items()}
    figure = histograms.drawing([*of_all_pairs(pairs), *of_all_pairs(after, method=MATCHING)], QUESTION)
    (axes,) = panels(figure).values()

    assert ["before alignment", "weight matching"] == legend(figure)
    assert [[0, 0, 0, 0, 1, 2], [1, 2, 0, 0, 0, 0]] == bars(axes)
    assert [0.55, 0.12] == [round(float(line.get_xdata()[0]), 9) for line in axes.lines]
    assert "Not shown: indirect barriers, for no two ends of a pair" in words(figure)


def test_histograms_show_the_grouping_with_most_pairs(tmp_path: Path) -> None:
    """Three networks aligned at once have three pairs; one pair aligned by itself is left to networks=2."""
    store = Store.create(tmp_path / "store")
    commit(store, [barrier_columns(0)], [])
    rows = [
        {
            **barrier_columns(9, network_a=names[0], network_b=names[1], member_a=a, member_b=b),
            "error_midpoint_barrier": 0.25,
        }
        for (a, b), names in (((0, 1), "ab"), ((0, 2), "ac"), ((1, 2), "bc"))
    ]
    whole = {"layers": None, "save_at": None, "correction": "none", "planted_noise": None}
    store.commit(
        "barriers",
        [
            store_row("barriers", f"g{k}", **{**whole, "method": "identity", "alignment_id": "g", **row})
            for k, row in enumerate(rows)
        ],
    )
    store.commit("alignments", [store_row("alignments", "g", networks=["a", "b", "c"])])

    assert "3 pairs in 1 cell" in words(draw("histograms", store))
    assert "3 networks aligned at a time" in words(draw("histograms", store))
    assert "Not shown: pairs of 2 networks aligned at a time" in words(draw("histograms", store))
    assert "1 pair in 1 cell" in words(draw("histograms", store, options={"networks": "2"}))


def curve(pair: int, heights: list[float], **other: Any) -> dict[CellBarrier, Any]:
    """One pair's curve."""
    return {barrier(heights[len(heights) // 2], pair, **other): np.array(heights)}


def test_a_curve_is_the_mean_over_pairs_at_each_alpha() -> None:
    """Before and after a method, with a band from the one pair to the other."""
    found = {
        **curve(0, [0.0, 1.0, 2.0, 1.0, 0.0]),
        **curve(1, [0.2, 1.2, 4.0, 1.2, 0.2]),
        **curve(0, [0.0, 0.1, 0.2, 0.1, 0.0], method=MATCHING),
        **curve(1, [0.2, 0.3, 0.4, 0.3, 0.2], method=MATCHING),
    }
    figure = curves.drawing(found, QUESTION)
    (axes,) = panels(figure).values()

    assert ["before alignment", "weight matching"] == legend(figure)
    assert [[0.1, 1.1, 3.0, 1.1, 0.1], [0.1, 0.2, 0.3, 0.2, 0.1]] == [
        np.asarray(line.get_ydata()).round(9).tolist() for line in axes.lines
    ]
    band = axes.collections[0].get_paths()[0].vertices
    assert {2.0, 4.0} == set(band[band[:, 0] == 0.5][:, 1].round(9).tolist())


def test_curves_on_another_grid_are_left_out_and_counted() -> None:
    """A mean needs one grid: that of most pairs."""
    coarse = curve(2, [0.0, 9.0, 0.0], alphas=[0.0, 0.5, 1.0])
    found = {**curve(0, [0.0, 1.0, 2.0, 1.0, 0.0]), **curve(1, [0.0, 1.0, 4.0, 1.0, 0.0]), **coarse}
    figure = curves.drawing(found, QUESTION)
    (axes,) = panels(figure).values()

    assert 3.0 == max(axes.lines[0].get_ydata())
    assert "Not shown: 1 curve on other alphas" in words(figure)
    assert 1 == of_one_grid(list(found))[1]


def test_curves_are_read_from_their_columns(tmp_path: Path) -> None:
    """Losses or errors, as asked; a diverged pair has none."""
    store = Store.create(tmp_path / "store")
    rows = [
        {**barrier_columns(0, alphas=[0.0, 0.5, 1.0]), "losses": [0.1, 0.9, 0.2], "errors": [0.0, 0.5, 0.1]},
        {**barrier_columns(1, alphas=[0.0, 0.5, 1.0]), "losses": None, "errors": None},
    ]
    commit(store, rows, [])

    for quantity, expected in (("loss", [0.1, 0.9, 0.2]), ("error", [0.0, 0.5, 0.1])):
        (axes,) = panels(draw("curves", store, options={"quantity": quantity})).values()
        assert expected == axes.lines[0].get_ydata().tolist()


def two_worlds(heights: dict[str, list[float]], **other: Any) -> list[CellBarrier]:
    """World to the barriers of its pairs."""
    return [
        barrier(height, pair, world=world, **other)
        for world, values in heights.items()
        for pair, height in enumerate(values)
    ]


def drawn(axes: Any) -> dict[tuple[str, bool], list[tuple[float, float]]]:
    """Color, and whether the markers are filled, to the points drawn so; not the diagonal."""
    return {
        (line.get_color(), line.get_markerfacecolor() != "white"): sorted(
            zip(line.get_xdata(), line.get_ydata(), strict=True)
        )
        for line in axes.lines
        if line.get_marker() != "None" and len(line.get_xdata())
    }


def test_the_four_panels_show_the_same_points() -> None:
    """Ranks of a cell joined, open before and filled after; colors by what each panel is about."""
    rows = [
        *two_worlds({"real": [0.3, 0.1], "model": [0.2, 0.4]}),
        *two_worlds({"real": [0.05, 0.15], "model": [0.0, 0.0]}, method=MATCHING),
        *two_worlds({"real": [0.5], "model": [0.6]}, dataset="svhn", architecture="vgg", width=64, depth=16),
    ]
    figure = scatter.drawing(rows, QUESTION)
    found = panels(figure)

    assert ["By family", "By data set", "By width", "By depth"] == list(found)
    for axes in found.values():
        points = drawn(axes)
        assert 3 == len(points)
        every = sorted(point for at in points.values() for point in at)
        assert [(0.05, 0.0), (0.1, 0.2), (0.15, 0.0), (0.3, 0.4), (0.5, 0.6)] == every
        assert [(0.05, 0.0), (0.15, 0.0)] == next(at for (_, filled), at in points.items() if filled)
        assert 2 == len({color for color, _ in points})
    assert "5 points" in words(figure)
    assert "3 before and 2 after a search, of 2 cells" in words(figure)


def test_by_cell_a_point_is_its_means() -> None:
    """One point of two pairs."""
    rows = two_worlds({"real": [0.3, 0.1], "model": [0.2, 0.6]})
    axes = panels(scatter.drawing(rows, QUESTION, points="cell"))["By width"]

    assert [[(0.2, 0.4)]] == [[(round(x, 9), round(y, 9)) for x, y in at] for at in drawn(axes).values()]


def test_many_widths_share_colors_in_ranges() -> None:
    """Fourteen widths in seven colors, each range named by its ends."""
    names = scatter.ranges([2**k for k in range(2, 16)])

    assert 7 == len(set(names.values()))
    assert ("4 to 8", "4 to 8", "16 to 32") == (names[4], names[8], names[16])
    assert {4: "4", 8: "8"} == scatter.ranges([8, 4])


def test_one_world_alone_is_said_to_lack_the_other() -> None:
    """There are no points without both."""
    figure = scatter.drawing(two_worlds({"real": [0.3]}), QUESTION)

    assert "Not shown: no barriers of world model here." in words(figure)


def test_what_solves_our_model_is_ticks_as_in_the_density_plot() -> None:
    """Matching leaves losses of 0 in our model: ticks; of annealing one pair is left, and all are points."""
    annealing = {"method": "simulated_annealing", "steps": 10}
    left = {json.dumps(MATCHING): (0.0, 0.0), json.dumps(annealing): (0.0, 0.1)}
    rows = [
        barrier(height if world == "model" else 0.3, pair, method=json.loads(text), world=world)
        for text, heights in left.items()
        for world in ("real", "model")
        for pair, height in enumerate(heights)
    ]
    solved = scatter.solvers(rows)
    figure = scatter.drawing(rows, QUESTION, solved=solved)
    drawn = panels(figure)["By family"].lines

    assert {json.dumps(MATCHING)} == solved
    assert 2 == sum(len(line.get_xdata()) for line in drawn if line.get_marker() == "|")
    assert 2 == sum(len(line.get_xdata()) for line in drawn if line.get_marker() == "o")
    assert "Ticks: weight matching, solved exactly in every pair of our model" in words(figure)
