"""What the worlds side by side, the networks' figures and label noise draw and say, from known tables."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from lmc_sweep.analysis.cell_rows import BarrierQuestion, CellBarrier
from lmc_sweep.figures import label_noise, train_test, worlds
from lmc_sweep.figures.registry import draw
from lmc_sweep.store.store import Store
from tests.support.cell_rows import (
    MATCHING,
    barrier,
    barrier_columns,
    commit,
    intervals,
    legend,
    network,
    network_columns,
    panels,
    points,
    words,
)

QUESTION = BarrierQuestion()


def of_world(world: str, factor: float = 1.0, **other: Any) -> list[CellBarrier]:
    """Two pairs at widths 4 and 16, of mean 0.2 and 0.1 times a factor."""
    return [
        barrier(value * scale * factor, pair, width=width, world=world, **other)
        for width, scale in ((4, 1.0), (16, 0.5))
        for pair, value in enumerate((0.1, 0.3))
    ]


def test_worlds_are_two_lines_of_one_family() -> None:
    """Real filled and solid, our model open and dashed, in one color, with the means of each."""
    figure = worlds.drawing([*of_world("real"), *of_world("model", 2.0)], QUESTION)
    axes = panels(figure)["mnist, before alignment"]

    assert [[[4, 0.2], [16, 0.1]], [[4, 0.4], [16, 0.2]]] == points(axes)
    real, model = (bars.lines[0] for bars in axes.containers)
    assert real.get_color() == model.get_color()
    assert ("-", "white") != (real.get_linestyle(), real.get_markerfacecolor())
    assert ("--", "white") == (model.get_linestyle(), model.get_markerfacecolor())
    assert ["mlp, depth 1", "real world", "our model"] == legend(figure)
    assert "2 to 2" not in words(figure)
    assert "4 pairs in the real world and 4 pairs in our model" in words(figure)


def test_each_method_has_a_panel_and_solved_pairs_are_counted() -> None:
    """A method that leaves no barrier in our model is said to: there agreement shows nothing."""
    rows = [
        *of_world("real"),
        *of_world("model"),
        *of_world("real", 0.5, method=MATCHING),
        *of_world("model", 0.0, method=MATCHING),
    ]
    figure = worlds.drawing(rows, QUESTION)
    after = panels(figure)["mnist, after weight matching"]

    assert [[[4, 0.1], [16, 0.05]], [[4, 0.0], [16, 0.0]]] == points(after)
    assert "left without a barrier: weight matching 4 of 4" in words(figure)


def test_methods_are_compared_on_the_same_pairs() -> None:
    """A pair that one method has not measured yet leaves both means."""
    after = [row for row in of_world("real", 0.5, method=MATCHING) if not row.pair_id.endswith("1")]
    figure = worlds.drawing([*of_world("real"), *after], QUESTION)

    assert [[[4, 0.1], [16, 0.05]]] == points(panels(figure)["mnist, before alignment"])
    assert "Left out: 2 pairs that not every method has measured." in words(figure)


def test_a_world_without_barriers_is_named() -> None:
    """A store with one world alone draws it and says what lacks."""
    figure = worlds.drawing(of_world("real"), QUESTION)

    assert "Not shown: our model, of which there are no barriers here." in words(figure)
    assert 1 == len(points(panels(figure)["mnist, before alignment"]))


def test_families_of_multiplied_widths_are_drawn_beside_others() -> None:
    """ResNets and VGGs at few widths, and MLPs at others, share a panel with all widths named."""
    rows = [
        barrier(0.5, pair, architecture=name, depth=depth, width=width, world=world)
        for name, depth, widths in (
            ("vgg", 16, (16, 32)),
            ("resnet", 18, (32, 64)),
            ("resnet20", 20, (8, 16)),
        )
        for width in widths
        for world in ("real", "model")
        for pair in (0, 1)
    ]
    axes = panels(worlds.drawing(rows, QUESTION))["mnist, before alignment"]

    assert ["8", "16", "32", "64"] == [label.get_text() for label in axes.get_xticklabels()]
    assert 6 == len(points(axes))


def test_networks_are_drawn_on_both_splits() -> None:
    """Means over networks: error and loss, train and test, with intervals; diverged ones are counted."""
    networks = [
        network(seed, width=width, train_error=0.1 * seed, test_error=0.3, train_loss=0.01, test_loss=2.0)
        for width in (4, 16)
        for seed in (0, 1, 2)
    ]
    lost = network(3, width=4, train_error=None, test_error=None, train_loss=None, test_loss=None)
    figure = train_test.drawing([*networks, lost])
    error, loss = (panels(figure)[f"mnist, {name}"] for name in ("error", "loss"))

    assert [[[4, 0.1], [16, 0.1]], [[4, 0.3], [16, 0.3]]] == points(error)
    assert [[[4, 0.01], [16, 0.01]], [[4, 2.0], [16, 2.0]]] == points(loss)
    assert [0.0, 0.2] == intervals(error)[0][0]
    assert ("linear", "log") == (error.get_yscale(), loss.get_yscale())
    assert "Not shown: 1 network that diverged." in words(figure)


def test_networks_are_drawn_along_depth() -> None:
    """The other size is told in the legend."""
    figure = train_test.drawing([network(0, depth=depth, width=64) for depth in (1, 2, 8)], by="depth")

    assert ["mlp, width 64", "train", "test"] == legend(figure)
    assert [[1, 0.5], [2, 0.5], [8, 0.5]] == points(panels(figure)["mnist, error"])[0]


def test_each_label_noise_is_a_line() -> None:
    """Losses, errors and barriers by noise; a network with one noise alone is left to other figures."""
    rows = [*of_world("real"), *of_world("real", 2.0, label_noise=0.2), *of_world("real", dataset="svhn")]
    networks = [
        network(seed, width=width, label_noise=noise, train_error=0.1 + noise)
        for width in (4, 16)
        for noise in (0.0, 0.2)
        for seed in (0, 1)
    ]
    figure = label_noise.drawing(rows, networks, QUESTION)
    losses, errors, barriers = (axes for axes in figure.axes if axes.get_visible())

    assert ["label noise 0", "label noise 0.2", "train", "test"] == legend(figure)
    assert [[[4, 0.2], [16, 0.1]], [[4, 0.4], [16, 0.2]]] == points(barriers)
    assert [[[4, 0.1], [16, 0.1]], [[4, 0.3], [16, 0.3]]] == [points(errors)[k] for k in (0, 2)]
    assert 4 == len(points(losses))
    assert "8 networks and 8 pairs" in words(figure)


def test_label_noise_says_that_pairs_of_shared_networks_are_drawn_together() -> None:
    """Two pairs of three networks are not independent; two of four are."""
    apart = [*of_world("real"), *of_world("real", 2.0, label_noise=0.2)]
    shared = [replace(row, network_a=f"{row.kind.label_noise}") for row in apart]
    networks = [network(seed, width=16, label_noise=noise) for noise in (0.0, 0.2) for seed in range(2)]

    told = "Intervals draw pairs that share networks together"
    assert told in words(label_noise.drawing(shared, networks, QUESTION))
    assert told not in words(label_noise.drawing(apart, networks, QUESTION))


def test_label_noise_without_other_noise_says_so() -> None:
    """A store of clean labels alone has nothing to compare."""
    figure = label_noise.drawing(of_world("real"), [network(0)], QUESTION)

    assert "Not shown: no networks that differ in label noise alone here." in words(figure)


@pytest.mark.parametrize("name", ["worlds", "label_noise"])
def test_stores_are_read_like_tables(tmp_path: Path, name: str) -> None:
    """Two label noises at two widths in a store come out as two lines, of the split asked for."""
    store = Store.create(tmp_path / "store")
    kinds = [{"width": width, "label_noise": noise} for width in (4, 16) for noise in (0.0, 0.2)]
    barriers = [
        {**barrier_columns(split=split, **kind), "error_midpoint_barrier": height}
        for split, height in (("train", 0.25), ("test", 0.125))
        for kind in kinds
    ]
    commit(store, barriers, [network_columns(seed, **kind) for kind in kinds for seed in (0, 1)])

    shown = [axes for axes in draw(name, store, options={"split": "test"}).axes if axes.get_visible()][-1]
    assert [[4, 0.125], [16, 0.125]] == points(shown)[0]
