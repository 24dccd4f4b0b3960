"""Figures 2 and 3 of Brea et al. 2019, and the report's section, from rows of the two tables."""

from __future__ import annotations

import json
from pathlib import Path as File
from typing import Any

import numpy as np
import pytest

from lmc_sweep.analysis.path_rows import Path, levels, of_networks, path, three_pairs
from lmc_sweep.analysis.point_rows import read as read_points
from lmc_sweep.config import parse_sweep
from lmc_sweep.execution.run import run
from lmc_sweep.figures import path_axes, path_barriers, permutation_paths
from lmc_sweep.figures.neuron_planes import Planes
from lmc_sweep.figures.path_axes import at_shares, shares_of_first
from lmc_sweep.figures.registry import draw
from lmc_sweep.figures.sheet import shows_nothing
from lmc_sweep.report.path_section import path_section
from lmc_sweep.report.scope import make_scope
from lmc_sweep.store.store import Store

SWEEP = """
name: toys
permutation_paths:
  - teachers: {inputs: 2, hidden: [3], outputs: 2, activation: tanh, num_points: 30, seeds: 2}
    pairs: all
    num_steps: 4
    max_evaluations: 60
    permutation_points: {order: 2}
"""


def row(losses: list[float], *, pair: tuple[int, int] = (0, 1), seed: int = 0, **more: Any) -> dict[str, Any]:
    """A row as the table has it, mirrored at the last of these losses, the permutation point."""
    distances = [2.0 * 0.1**k for k in range(len(losses) - 2)] + [0.0, 0.0]
    rule = more.pop("rank", None)
    spec = {
        "teacher": {"seed": seed, "hidden": [more.get("width", 5)]},
        "layer": 1,
        "rank": rule,
        "num_steps": 3,
    }
    return {
        "path_id": f"{seed}-{pair}-{more.get('width')}",
        "dataset": None,
        "sizes": [2, more.get("width", 5), 1],
        "activation": "relu",
        "width": 5,
        "seed": seed,
        "layer": 1,
        "neurons": list(pair),
        "loss": "squared",
        "kind": "monotone",
        "times": [k / (2 * len(losses) - 2) for k in range(2 * len(losses) - 1)],
        "losses": [*losses, *losses[-2::-1]],
        "losses_entered": [loss * 2 for loss in losses[:-1]],
        "errors": None,
        "distances": [*distances, *distances[-2::-1]],
        "spec_json": json.dumps(spec),
        **more,
    }


def paths_to(*point_losses: float) -> list[Path]:
    """Paths of one network to these losses."""
    return [path(row([0.0, loss / 2, loss, loss], pair=(0, k + 1))) for k, loss in enumerate(point_losses)]


def test_losses_that_agree_to_a_thousandth_are_one_level() -> None:
    """Neighbors within a thousandth belong together; levels rise."""
    found = levels(paths_to(2.0, 1.0, 1.0005, 3.0, 1.001))
    assert [[1.0, 1.0005, 1.001], [2.0], [3.0]] == [[one.point_loss for one in level] for level in found]


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ((5.0, 1.0, 2.0, 2.0), [2.0, 2.0, 5.0]),  # the lowest that is shared, and the next level
        ((1.0, 3.0, 3.0), [3.0, 3.0, 1.0]),  # none is above: the one below
        ((3.0, 1.0, 2.0, 4.0), [1.0, 2.0, 3.0]),  # all differ
        ((1.0, 1.0, 1.0, 1.0), [1.0, 1.0, 1.0]),  # all agree
        ((1.0,), [1.0]),
    ],
)
def test_three_pairs_are_two_alike_and_one_other(losses: tuple[float, ...], expected: list[float]) -> None:
    """A and B reach one loss, C another, where there are such pairs."""
    assert expected == [one.point_loss for one in three_pairs(paths_to(*losses))]


def test_paths_of_one_network_differ_in_their_pairs_alone() -> None:
    """Other seeds and widths are other networks; width and seed do not make other settings."""
    rows = [row([0.0, 1.0, 1.0], pair=(0, k), seed=seed) for seed in (0, 1) for k in (1, 2)]
    found = [path(one) for one in [*rows, row([0.0, 1.0, 1.0], width=7)]]
    assert [2, 2, 1] == [len(of) for of in of_networks(found)]
    assert 1 == len({one.settings for one in found})
    other = path(
        row([0.0, 1.0, 1.0]) | {"spec_json": json.dumps({"teacher": None, "networks": ["n"], "layer": 2})}
    )
    group, num_others = path_barriers.most_asked([*found, other])
    assert (5, 1) == (len(group), num_others)


def with_neurons(start: list[float], point: list[float]) -> Path:
    """A path of neurons with two inputs."""
    return path(row([0.0, 1.0, 1.0], start_vectors=start, point_vectors=point))


def test_neurons_stand_where_they_switch() -> None:
    """At the point of their line that is nearest to 0; far ones, and those without weights, are counted."""
    one = with_neurons(
        [3.0, 4.0, -5.0, 0.0, 0.0, 1.0, 1.0, 0.0, 1.0], [0.0, 2.0, 2.0, 1.0, 0.0, 99.0, 1.0, 1.0, 0.0]
    )
    planes = Planes.of([one])
    assert planes is not None
    (starts, points) = planes.places[0]
    assert [0.6, 0.8] == pytest.approx(starts[0].tolist())
    assert np.isnan(starts[1]).all()
    assert [[-1.0, 0.0], [0.0, -1.0], [-99.0, 0.0], [0.0, 0.0]] == [
        *starts[2:].tolist(),
        *points.tolist(),
    ]
    assert 3.45 == pytest.approx(planes.reach)  # the median neuron is at distance 1
    assert planes.told.endswith("Not shown: 2 places farther out.")
    assert Planes.of([one, path(row([0.0, 1.0, 1.0]))]) is None
    figure = permutation_paths.drawing([one], [one])
    assert 3 == len(figure.axes)
    assert ["0", "2"] == [text.get_text() for text in figure.axes[0].texts]


def test_values_are_read_off_by_the_logarithm_of_the_distance() -> None:
    """At a path's own distances they are its values; the last one is that of the permutation point."""
    one, half_as_far = path(row([0.0, 1.0, 2.0, 2.5, 3.0])), path(row([0.0, 1.0, 2.0, 2.5, 3.0]))
    shares = shares_of_first([one])
    assert [1.0, 0.1, 0.01] == pytest.approx(shares.tolist())
    assert [0.0, 1.0, 2.0, 3.0] == pytest.approx(at_shares(half_as_far, half_as_far.losses, shares).tolist())
    between = at_shares(one, one.losses, shares[:2] * 0.1**0.5)
    assert [0.5, 1.5, 3.0] == pytest.approx(between.tolist())


def test_figures_say_what_they_show() -> None:
    """Losses at the permutation points and their number; networks of each width; accuracies where known."""
    chosen = three_pairs(paths_to(1.0, 1.0, 2.0))
    drawn = permutation_paths.drawing(chosen, paths_to(1.0, 1.0, 2.0))
    told = " ".join(text.get_text() for text in drawn.texts).replace("\n", " ")
    assert "Losses at the permutation points: 1, 1, 2; the 3 pairs measured reach 2 losses" in told
    assert 6 == len(drawn.axes)
    rows = [
        row([0.0, 1 / width, 1 / width], width=width, seed=seed, errors=[0.1, 0.1, 0.2, 0.1, 0.1])
        for width in (10, 20)
        for seed in range(3)
    ]
    labeled = path_barriers.drawing([path(one) for one in rows])
    assert ["Squared loss", "Accuracy (fraction)", "Barrier (squared loss)"] == [
        axes.get_ylabel().replace("\n", " ") for axes in labeled.axes
    ]
    told = " ".join(text.get_text() for text in labeled.texts).replace("\n", " ")
    assert "3 networks of each width" in told
    unlabeled = path_barriers.drawing([path(one | {"errors": None}) for one in rows])
    assert 2 == len(unlabeled.axes)


@pytest.fixture(scope="module")
def toys(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Six paths with three points each."""
    uri = str(tmp_path_factory.mktemp("paths") / "store")
    run(parse_sweep(f"{SWEEP}store: {uri}\n"), inline=True)
    return Store(uri)


def test_a_sweep_of_random_networks_is_drawn_and_told(toys: Store) -> None:
    """Both figures show something, of all options; the section counts paths, points and statements."""
    for name, options in (
        ("permutation_paths", {}),
        ("permutation_paths", {"choose": "kinds", "teacher": "1", "activation": "tanh"}),
        ("path_barriers", {}),
        ("path_barriers", {"pairs": "lowest", "height": "entered"}),
    ):
        assert shows_nothing(draw(name, toys, "toys", options)) is None
    section = path_section(make_scope(toys, "toys", "toys", None))
    tables = {block.name: block for block in section.blocks}  # type: ignore[union-attr]
    paths, points, statements = (tables[name].rows for name in ("paths", "points", "statements"))  # type: ignore[union-attr]
    assert [("random tanh 2-3-2, layer 1", 2, 6)] == [(one[0], one[2], one[3]) for one in paths]
    assert ["2", "2 + 2", "3"] == [one[1] for one in points]
    held = {one[1]: one[3:] for one in statements}
    assert (6, 0) == held["proposition_1_iii"]
    assert (12, 0) == held["proposition_2_ii"]


def test_points_belong_to_the_paths_that_are_asked(toys: Store) -> None:
    """Those of other paths are left out, and a store without paths has no section."""
    some, _ = path_axes.read(toys, "toys")
    assert 3 * len(some[:2]) == len(read_points(toys, some[:2]))
    assert 0 == len(read_points(toys, []))


def test_figures_without_paths_say_so(tmp_path: File) -> None:
    """Nothing to show, and by which key a sweep asks."""
    store = Store.create(tmp_path / "store")
    for name in ("permutation_paths", "path_barriers"):
        assert "permutation_paths" in (shows_nothing(draw(name, store)) or "")
    assert () == path_section(make_scope(store, "empty", None, None)).blocks


def test_unknown_activations_and_teachers_show_nothing(toys: Store) -> None:
    """The activations that there are stand in the message."""
    for options in ({"activation": "relu"}, {"teacher": "9"}):
        assert "Activations here: tanh" in (
            shows_nothing(draw("permutation_paths", toys, None, options)) or ""
        )


def test_options_choose_among_settings(toys: Store) -> None:
    """What no path has shows nothing; what all have shows them."""
    for options in ({"activation": "relu"}, {"outputs": "7"}, {"output_weights": "held"}):
        assert "no path" in (shows_nothing(draw("path_barriers", toys, None, options)) or "")
    asked = {"activation": "tanh", "outputs": "2", "output_weights": "free"}
    assert shows_nothing(draw("path_barriers", toys, None, asked)) is None


@pytest.mark.filterwarnings("error")
def test_pairs_without_loss_are_no_examples(toys: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are counted in the caption instead; where there are no others, nothing is shown."""
    flat = [path(row([0.0, 0.0, 0.0, 0.0], pair=(1, k))) for k in (2, 3)]
    monkeypatch.setattr(path_axes, "read", lambda *_: ([*flat, *paths_to(1e-5, 2e-5)], 0))
    drawn = draw("permutation_paths", toys)
    told = " ".join(text.get_text() for text in drawn.texts).replace("\n", " ")
    assert 4 == len(drawn.axes)
    assert "Not among the examples: 2 pairs whose loss is 0 all along" in told
    assert "Squared loss / $10^{-5}$" == drawn.axes[0].get_ylabel()
    monkeypatch.setattr(path_axes, "read", lambda *_: (flat, 0))
    assert "2 paths whose loss is 0" in (shows_nothing(draw("permutation_paths", toys)) or "")


def test_paths_without_a_barrier_are_told() -> None:
    """A barrier of 0 has no place on a logarithmic axis, and all of them need none."""
    flat = [path(row([0.0, 0.0, 0.0], width=4, seed=seed)) for seed in range(2)]
    for paths, scale in (([*flat, path(row([0.0, 1.0, 1.0], width=4, seed=3))], "log"), (flat, "linear")):
        drawn = path_barriers.drawing(paths)
        told = " ".join(text.get_text() for text in drawn.texts).replace("\n", " ")
        assert "2 paths without a barrier" in told
        assert scale == drawn.axes[-1].get_yscale()


def test_losses_far_from_1_are_named_in_powers_of_ten() -> None:
    """In a label that fits beside the axis: 1.6 of 10 to the -4, not 0.00016."""
    small = path_barriers.drawing([path(row([0.0, 1.6e-4, 1.6e-4], width=4, seed=seed)) for seed in range(2)])
    plain = path_barriers.drawing([path(row([0.0, 1.6, 1.6], width=4, seed=seed)) for seed in range(2)])
    assert "Squared loss / $10^{-4}$" == small.axes[0].get_ylabel()
    assert "Squared loss" == plain.axes[0].get_ylabel()
