"""What the density plot draws and says, from small tables of known barriers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from lmc_sweep.analysis.density import DensityQuestion, density
from lmc_sweep.errors import SweepError
from lmc_sweep.figures.density import drawing
from lmc_sweep.figures.options import settled
from lmc_sweep.figures.registry import FIGURES, draw
from lmc_sweep.figures.saving import check_output, save
from lmc_sweep.store.store import Store

REAL = {"c0": [0.9, 1.1], "c1": [0.5, 0.3], "c2": [0.2, 0.2]}
MODEL = {"c0": [1.0, 1.2], "c1": [0.3, 0.1], "c2": [0.25, 0.15]}
IDENTITY = {"method": "identity"}
MATCHING = {"method": "weight_matching", "restarts": 1}
ANNEALING = {"method": "simulated_annealing", "steps": 2000}
ALPHAS = [0.0, 0.5, 1.0]


def row(
    cell: str, world: str, pair: int, method: dict[str, Any], value: float | None, **other: Any
) -> tuple[Any, ...]:
    """One row as ``density`` takes it."""
    second = f"{cell}-{2 * pair + 1}" if world == "real" else f"{cell}-{2 * pair}"
    columns = {
        "cell_id": cell,
        "pair_id": f"{cell}-{world}-{pair}",
        "world": world,
        "method_json": json.dumps(method),
        "dataset": "digits",
        "architecture": "mlp",
        "network_a": f"{cell}-{2 * pair}",
        "network_b": second,
        "member_a": 0,
        "member_b": 1,
        "split": "train",
        "correction": "none",
        "alphas": ALPHAS,
        "loss_barrier": value,
        **other,
    }
    return (*columns.values(), value)


def rows(
    method: dict[str, Any], real_factor: float = 1.0, model_factor: float = 1.0
) -> list[tuple[Any, ...]]:
    """Rows of all cells, pairs and worlds; barriers times a factor per world."""
    worlds = (("real", REAL, real_factor), ("model", MODEL, model_factor))
    return [
        row(cell, world, pair, method, value * factor)
        for world, table, factor in worlds
        for cell, values in table.items()
        for pair, value in enumerate(values)
    ]


def drawn(figure: Any) -> dict[str, list[list[float]]]:
    """Legend text to the points drawn for it, in the order of x."""
    (axes,) = figure.axes
    return {
        points.get_label(): sorted(np.asarray(points.get_offsets()).round(9).tolist())
        for points in axes.collections
        if not points.get_label().startswith("_")
    }


def words(figure: Any) -> str:
    """The caption on one line."""
    return " ".join(text.get_text() for text in figure.texts).replace("\n", " ")


def test_a_point_joins_the_barriers_of_equal_rank_in_a_cell() -> None:
    """Real barriers 0.9, 1.1 meet model barriers 1.0, 1.2 in that order, whatever the pairs are called."""
    figure = drawing(density(rows(IDENTITY), DensityQuestion()))

    expected = [[0.2, 0.15], [0.2, 0.25], [0.3, 0.1], [0.5, 0.3], [0.9, 1.0], [1.1, 1.2]]
    assert {"before alignment": expected} == drawn(figure)


def test_by_cell_a_point_is_the_two_means() -> None:
    """One point per cell."""
    figure = drawing(density(rows(IDENTITY), DensityQuestion(points="cell")))

    assert {"before alignment": [[0.2, 0.2], [0.4, 0.2], [1.0, 1.1]]} == drawn(figure)


def test_every_method_is_drawn_by_itself_and_told_apart() -> None:
    """Three methods, three colors or markers, in one order: the control first."""
    shown = density(
        [*rows(ANNEALING, 0.5, 0.5), *rows(MATCHING, 0.5, 0.0), *rows(IDENTITY)], DensityQuestion()
    )
    (axes,) = drawing(shown).axes

    labels = ["before alignment", "after annealing", "after weight matching"]
    assert labels == [text.get_text() for text in axes.get_legend().get_texts()]
    looks = {
        (
            points.get_paths()[0].vertices.tobytes(),
            tuple(points.get_edgecolors()[0]),
            len(points.get_facecolors()),
        )
        for points in axes.collections
        if points.get_label() in labels
    }
    assert 3 == len(looks)


def test_the_best_search_counts_for_each_pair() -> None:
    """Annealing halves all barriers, matching solves our model: the best of both does both."""
    table = [*rows(IDENTITY), *rows(ANNEALING, 0.5, 0.5), *rows(MATCHING, 0.8, 0.0)]

    found = drawn(drawing(density(table, DensityQuestion(methods="best", points="cell"))))

    assert [[0.1, 0.0], [0.2, 0.0], [0.5, 0.0]] == found["after best of all searches"]
    assert {"before alignment", "after best of all searches"} == set(found)


def test_a_method_without_spread_in_our_model_has_no_correlation() -> None:
    """Weight matching solves every model pair, so the caption says undefined and why."""
    shown = density([*rows(IDENTITY), *rows(MATCHING, 0.5, 0.0)], DensityQuestion())
    before, after = (cloud.agreement for cloud in shown.clouds)

    assert np.corrcoef([1.0, 0.4, 0.2], [1.1, 0.2, 0.2])[0, 1] == pytest.approx(before.correlation)
    assert before.low is not None
    assert before.high is not None
    assert before.low <= before.correlation <= before.high
    assert (None, 6, 6) == (after.correlation, after.num_solved, after.num_model_pairs)
    told = words(drawing(shown))
    assert "weight matching: undefined, no spread in our model, which it solves exactly" in told
    assert "12 networks in 3 cells, 6 pairs in the real world, 6 in our model" in told


def test_the_caption_counts_networks_once() -> None:
    """Six real pairs have twelve members, of which the first of each is the network of a model pair."""
    shown = density(rows(IDENTITY), DensityQuestion())

    assert (12, 3, 6, 6) == (shown.num_networks, shown.num_cells, shown.num_real_pairs, shown.num_model_pairs)


def test_other_splits_and_corrections_stay_out() -> None:
    """Only the split and the correction that were asked for are shown."""
    table = [*rows(IDENTITY), row("c9", "real", 0, IDENTITY, 5.0, split="test")]
    table += [row("c9", "model", 0, IDENTITY, 5.0, correction="repair")]

    assert 3 == density(table, DensityQuestion()).num_cells


def test_of_a_pair_measured_twice_the_finer_grid_counts() -> None:
    """Two sweeps with different grids do not make two pairs."""
    finer = row("c0", "real", 0, IDENTITY, 0.95, alphas=[0.0, 0.25, 0.5, 0.75, 1.0])

    for table in ([*rows(IDENTITY), finer], [finer, *rows(IDENTITY)]):
        shown = density(table, DensityQuestion())
        assert 6 == shown.num_real_pairs
        assert [0.95, 1.0] in drawn(drawing(shown))["before alignment"]


def test_nothing_measured_is_drawn_as_nothing_and_said() -> None:
    """An empty table gives axes, the diagonal and a sentence."""
    figure = drawing(density([], DensityQuestion(split="test")))

    assert {} == drawn(figure)
    assert 1 == len(figure.axes[0].lines)
    assert "no barriers on test with correction 'none'" in words(figure)


def test_a_world_that_is_missing_is_named() -> None:
    """A cell measured in one world alone gives no point; the caption says which world is missing where."""
    table = [one for one in rows(IDENTITY) if (one[0], one[2]) != ("c1", "model")]

    figure = drawing(density(table, DensityQuestion(points="cell")))

    assert [[0.2, 0.2], [1.0, 1.1]] == drawn(figure)["before alignment"]
    assert "before alignment: no barriers in world model in 1 of 3 cells" in words(figure)


def test_a_sweep_without_world_model_is_told_what_the_figure_compares() -> None:
    """One sentence, and not two for each method; a start's options that are not bounded are not named."""
    starts = [{"method": "weight_matching", "restarts": 1, "max_sweeps": None}, {"method": "node_sort"}]
    methods = [IDENTITY, MATCHING, *({**ANNEALING, "start": start} for start in (*starts, "random"))]
    table = [one for method in methods for one in rows(method) if one[2] == "real"]

    figure = drawing(density(table, DensityQuestion()))

    told = words(figure)
    assert "compares worlds real and model, and there are no barriers of world model" in told
    assert "worlds: [real, model]" in told
    assert "None" not in told
    assert len(figure.texts[0].get_text().splitlines()) <= 8
    assert ["no barriers of world model"] == [text.get_text() for text in figure.axes[0].texts]


def test_diverged_pairs_are_left_out_and_counted() -> None:
    """A null barrier is no point; the other world's quantiles stand for the remaining pairs."""
    table = [*rows(IDENTITY), row("c0", "real", 7, IDENTITY, None)]
    table = [one for one in table if one[:3] != ("c0", "c0-real-0", "real")]

    figure = drawing(density(table, DensityQuestion()))

    assert [1.1, 1.1] in drawn(figure)["before alignment"]
    assert "1 barrier left out because a network diverged" in words(figure)


def test_points_on_a_line_have_no_density_behind_them() -> None:
    """A kernel density of points on a line does not exist: it is left out, and nothing is raised."""
    table = [row(f"c{k}", world, 0, IDENTITY, 0.1 * k) for k in range(20) for world in ("real", "model")]
    shown = density(table, DensityQuestion())

    assert not shown.has_density
    assert "kernel density" not in words(drawing(shown))


def test_what_solves_our_model_is_ticks_and_no_part_of_the_density() -> None:
    """Points that lie on the axis by construction are drawn as ticks, and alone have no density."""
    solved = density(rows(MATCHING, 3.0, 0.0), DensityQuestion())
    beside = density([*rows(IDENTITY), *rows(MATCHING, 3.0, 0.0)], DensityQuestion())
    assert [True] == [cloud.is_solved for cloud in solved.clouds]
    assert [False, True] == [cloud.is_solved for cloud in beside.clouds]
    assert not solved.has_density
    assert "(ticks)" in words(drawing(beside))


def test_many_points_get_a_line_around_half_of_each_cloud() -> None:
    """From 600 points on the caption names the lines, and both clouds have theirs."""
    stream = np.random.default_rng(0)
    many = [
        row(f"c{k}", world, pair, method, float(stream.gamma(3.0) * 0.2))
        for method in (IDENTITY, ANNEALING)
        for k in range(60)
        for world in ("real", "model")
        for pair in range(5)
    ]
    few = density(many[:600], DensityQuestion())
    shown = density(many, DensityQuestion())
    assert not few.has_outlines
    assert shown.has_outlines
    assert "around half of a method" in words(drawing(shown))


@pytest.mark.parametrize(("suffix", "start"), [("png", b"\x89PNG"), ("svg", b"<?xml"), ("pdf", b"%PDF")])
def test_figures_are_written_in_each_format_and_replace_what_was_there(
    tmp_path: Path, suffix: str, start: bytes
) -> None:
    """The same drawing gives the same bytes twice, and no other file is left behind."""
    path = tmp_path / f"density.{suffix}"
    path.write_bytes(b"old")

    save(drawing(density(rows(IDENTITY), DensityQuestion())), path)
    first = path.read_bytes()
    save(drawing(density(rows(IDENTITY), DensityQuestion())), path)

    assert first.startswith(start)
    assert first == path.read_bytes()
    assert [path] == list(tmp_path.iterdir())


def test_a_file_name_without_a_format_is_refused() -> None:
    """The text names the formats."""
    with pytest.raises(SweepError, match=r"\.png, \.svg, \.pdf"):
        check_output(Path("density.jpg"))


def test_unknown_options_and_values_are_refused_with_the_known_ones() -> None:
    """As every refusal: the value, the rule, the remedy."""
    options = FIGURES["density"].options

    with pytest.raises(SweepError, match=r"unknown option 'splits'. Known options: quantity"):
        settled("density", options, {"splits": "test"})
    with pytest.raises(SweepError, match=r"split is one of train, test, not 'valid'"):
        settled("density", options, {"split": "valid"})
    assert "test" == settled("density", options, {"split": "test"})["split"]


def test_an_empty_store_draws(tmp_path: Path) -> None:
    """A store in which nothing has finished yet gives a figure that says so."""
    store = Store.create(tmp_path / "store")

    for option in FIGURES["density"].options:
        for value in option.choices or ():
            assert "Not shown" in words(draw("density", store, options={option.name: value}))


def test_an_unknown_figure_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    """The text lists the figures."""
    with pytest.raises(SweepError, match="Known figures: density"):
        draw("densty", Store.create(tmp_path / "store"))


def test_solved_is_what_has_no_barrier_of_the_loss() -> None:
    """A cell whose errors in our model are 0, but not its losses, counts as unsolved, as in ``compare``."""
    found = rows(IDENTITY) + [
        row(cell, world, pair, ANNEALING, value if world == "real" else 0.1 * value, loss_barrier=loss)
        for world, table in (("real", REAL), ("model", {**MODEL, "c2": [0.0, 0.0]}))
        for cell, values in table.items()
        for pair, value in enumerate(values)
        for loss in [0.0 if (world, cell) == ("model", "c1") else 0.01]
    ]
    annealed = density(found, DensityQuestion("error", "midpoint")).clouds[1].agreement
    assert (2, 1) == (annealed.num_solved, annealed.num_solved_cells)


def test_shading_ends_where_errors_do() -> None:
    """Of errors near 0 and near 1, neither shading nor outlines are drawn below 0 or above 1."""
    near = np.concatenate([np.linspace(-0.004, 0.02, 200), np.linspace(0.8, 0.99, 200)])
    stream = np.random.default_rng(0)
    table = [
        row(f"c{cell}", world, 0, method, float(value + 0.004 * stream.random()), loss_barrier=1.0)
        for method in (IDENTITY, ANNEALING)
        for world in ("real", "model")
        for cell, value in enumerate(near)
    ]
    figure = drawing(density(table, DensityQuestion(quantity="error", extent="midpoint")))
    (axes,) = figure.axes
    boxes = [found.get_clip_box() for found in axes.collections if hasattr(found, "levels")]

    assert 1 + 2 * 2 == len(boxes)
    for box in boxes:
        ends = axes.transData.inverted().transform(box.get_points())
        assert ends.ravel().tolist() == pytest.approx([0, 0, 1, 1])
