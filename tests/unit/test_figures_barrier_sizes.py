"""What barriers against width and depth draw and say, from small tables of known barriers."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lmc_sweep.analysis.cell_rows import BarrierQuestion, CellBarrier, barrier_mean
from lmc_sweep.errors import SweepError
from lmc_sweep.figures.barrier_sizes import drawing
from lmc_sweep.figures.registry import draw
from lmc_sweep.store.store import Store
from tests.support.cell_rows import (
    MATCHING,
    barrier,
    barrier_columns,
    commit,
    intervals,
    legend,
    panels,
    points,
    words,
)

QUESTION = BarrierQuestion()


def of_widths(**other: Any) -> list[CellBarrier]:
    """Two pairs at widths 4 and 16, train and test: 0.1 and 0.3, half of that, and on test 0.1 less."""
    return [
        barrier(value * factor - less, pair, width=width, split=split, **other)
        for width, factor in ((4, 1.0), (16, 0.5))
        for split, less in (("train", 0.0), ("test", 0.1))
        for pair, value in enumerate((0.1, 0.3))
    ]


def test_a_point_is_the_mean_over_pairs() -> None:
    """0.2 at width 4 and 0.1 at width 16 on train, 0.1 less on test, each in its panel."""
    found = panels(drawing(of_widths(), QUESTION, by="width"))

    assert ["mnist, train", "mnist, test"] == list(found)
    assert [[[4, 0.2], [16, 0.1]]] == points(found["mnist, train"])
    assert [[[4, 0.1], [16, 0.0]]] == points(found["mnist, test"])


def test_intervals_reach_over_the_pairs() -> None:
    """Of two pairs, resampled means reach from the one to the other."""
    found = panels(drawing(of_widths(), QUESTION, by="width"))

    assert [[[0.1, 0.3], [0.05, 0.15]]] == intervals(found["mnist, train"])


def test_pairs_that_share_networks_are_drawn_together() -> None:
    """The pairs of three networks are one draw; of two triples the interval reaches from one to the other."""
    ends = [("a", "b"), ("a", "c"), ("b", "c"), ("d", "e"), ("d", "f"), ("e", "f")]
    rows = [
        replace(barrier(0.1 + 0.2 * (pair // 3), pair, width=4), network_a=a, network_b=b)
        for pair, (a, b) in enumerate(ends)
    ]

    mean, alone = barrier_mean(rows), barrier_mean(rows[:3])

    assert pytest.approx((0.2, 0.1, 0.3)) == (mean.value, mean.low, mean.high)
    assert (None, None) == (alone.low, alone.high)
    told = "Intervals draw pairs that share networks together"
    assert told in words(drawing(rows, QUESTION, by="width", splits=["train"]))
    assert told not in words(drawing(of_widths(), QUESTION, by="width"))


def test_one_pair_has_no_interval_and_the_caption_says_so() -> None:
    """A single value tells nothing of its spread."""
    figure = drawing([barrier(0.2, width=4), barrier(0.1, width=8)], QUESTION, by="width", splits=["train"])

    assert "No interval at 2 points, of one pair or group." in words(figure)


def test_lines_are_families_and_panels_data_sets() -> None:
    """Two families on one data set are two lines; the other data set has a panel of its own."""
    rows = [*of_widths(), *of_widths(architecture="shallow_cnn", depth=2), *of_widths(dataset="digits")]
    figure = drawing(rows, QUESTION, by="width")

    assert ["mlp, depth 1", "shallow_cnn, depth 2"] == legend(figure)
    assert ["digits, train", "digits, test", "mnist, train", "mnist, test"] == list(panels(figure))
    assert 2 == len(points(panels(figure)["mnist, train"]))
    assert 1 == len(points(panels(figure)["digits, train"]))


def test_the_width_axis_has_base_2_and_names_the_widths() -> None:
    """Ticks stand at the widths that were trained, and nowhere else."""
    axes = panels(drawing(of_widths(), QUESTION, by="width"))["mnist, train"]

    assert ["4", "16"] == [label.get_text() for label in axes.get_xticklabels()]
    assert 2 == axes.xaxis.get_transform().base


def test_a_network_without_company_on_its_line_is_left_out_and_counted() -> None:
    """A deep network of one width is no line along width; it is one along depth."""
    rows = [*of_widths(), barrier(0.9, width=16, depth=4)]

    by_width = drawing(rows, QUESTION, by="width")
    by_depth = drawing(rows, QUESTION, by="depth", splits=["train"])

    assert ["mlp, depth 1"] == legend(by_width)
    assert "Not shown: 1 kind of network with one width alone." in words(by_width)
    assert ["mlp, width 16"] == legend(by_depth)
    assert [[[1, 0.1], [4, 0.9]]] == points(panels(by_depth)["mnist, train"])


def test_label_noise_is_another_figure() -> None:
    """Networks trained on wrong labels do not enter the means."""
    figure = drawing([*of_widths(), *of_widths(label_noise=0.2)], QUESTION, by="width")

    assert [[[4, 0.2], [16, 0.1]]] == points(panels(figure)["mnist, train"])
    assert "Not shown: 2 kinds of network with label noise" in words(figure)


def test_diverged_pairs_are_left_out_and_counted() -> None:
    """A null barrier enters no mean."""
    figure = drawing([*of_widths(), barrier(None, 2, width=4)], QUESTION, by="width")

    assert [[[4, 0.2], [16, 0.1]]] == points(panels(figure)["mnist, train"])
    assert "Not shown: 1 barrier, because a network diverged." in words(figure)


def test_world_and_method_choose_the_barriers() -> None:
    """Of two worlds and two methods, the one asked for is drawn alone."""
    rows = [
        *of_widths(),
        *of_widths(method=MATCHING, world="model"),
        *[barrier(0.7, pair, width=width, world="model") for width in (4, 16) for pair in (0, 1)],
    ]

    model = drawing(rows, QUESTION, by="width", splits=["train"], world="model")
    after = drawing(rows, QUESTION, by="width", splits=["train"], world="model", method="weight_matching")

    assert [[[4, 0.7], [16, 0.7]]] == points(panels(model)["mnist, train"])
    assert [[[4, 0.2], [16, 0.1]]] == points(panels(after)["mnist, train"])
    assert "World model, weight matching" in words(after)


def test_one_variant_of_a_method_is_shown_and_the_others_named() -> None:
    """Two annealings of different length do not mix."""
    short, long = ({"method": "simulated_annealing", "steps": steps} for steps in (100, 2000))
    rows = [
        *of_widths(method=long),
        *[barrier(0.9, pair, short, width=w) for w in (4, 16) for pair in (0, 1)],
    ]

    first = drawing(rows, QUESTION, by="width", splits=["train"], method="simulated_annealing")
    named = drawing(rows, QUESTION, by="width", splits=["train"], method="annealing (2,000 steps)")

    assert [[[4, 0.9], [16, 0.9]]] == points(panels(first)["mnist, train"])
    assert "Not shown: 'annealing (2,000 steps)'" in words(first)
    assert [[[4, 0.2], [16, 0.1]]] == points(panels(named)["mnist, train"])


def test_a_store_is_read_by_its_columns(tmp_path: Path) -> None:
    """Quantity and place choose the column; layers and saved epochs are no barriers of whole networks."""
    store = Store.create(tmp_path / "store")
    heights = {"loss_barrier": 0.8, "loss_midpoint_barrier": 0.7, "error_barrier": 0.4}
    rows = [{**barrier_columns(width=width), **heights, "error_midpoint_barrier": 0.3} for width in (4, 16)]
    others = [
        {**rows[0], "layers": "each:fc1"},
        {**rows[0], "save_at": 3},
        {**rows[0], "world": "planted", "planted_noise": 0.1},
    ]
    commit(store, [*rows, *others], [])

    for quantity, at, expected in (
        ("loss", "supremum", 0.8),
        ("loss", "midpoint", 0.7),
        ("error", "supremum", 0.4),
        ("error", "midpoint", 0.3),
    ):
        figure = draw("barrier_width", store, options={"quantity": quantity, "at": at, "split": "train"})
        assert [[[4, expected], [16, expected]]] == points(panels(figure)["mnist, train"])


def test_unknown_methods_and_counts_are_refused(tmp_path: Path) -> None:
    """The text lists what is there."""
    store = Store.create(tmp_path / "store")
    commit(store, [{**barrier_columns()}], [])

    with pytest.raises(SweepError, match=r"no barrier has method 'sinkhorn'. Here: identity"):
        draw("barrier_width", store, options={"method": "sinkhorn"})
    with pytest.raises(SweepError, match="networks is a whole number"):
        draw("barrier_depth", store, options={"networks": "two"})
