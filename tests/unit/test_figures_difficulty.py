"""What the figure of difficulty draws and says, from small tables of known cells."""

from __future__ import annotations

from typing import Any

import numpy as np

from lmc_sweep.analysis.cell_rows import BarrierQuestion, CellBarrier, CellNetwork
from lmc_sweep.analysis.difficulty import cell_points, rank_correlation
from lmc_sweep.figures.difficulty import drawing
from tests.support.cell_rows import barrier, network, panels, words

QUESTION = BarrierQuestion()
ERRORS = {"digits": 0.1, "mnist": 0.2, "svhn": 0.3, "cifar10": 0.4}


def cells(barriers: dict[str, float], **other: Any) -> tuple[list[CellBarrier], list[CellNetwork]]:
    """A cell per data set with two pairs of that mean barrier, and test errors ERRORS in the mean."""
    rows = [
        barrier(value + shift, pair, dataset=name, **other)
        for name, value in barriers.items()
        for pair, shift in enumerate((-0.01, 0.01))
    ]
    networks = [
        network(seed, dataset=name, test_error=ERRORS[name] + (0.02 if seed % 2 else -0.02), **other)
        for name in barriers
        for seed in range(4)
    ]
    return rows, networks


def test_a_cell_is_a_point_of_its_means() -> None:
    """Test error over the four networks, barrier over the two pairs."""
    (point,) = cell_points(*cells({"mnist": 0.5}))

    assert 0.2 == round(point.test_error.value, 9)
    assert 0.5 == round(point.barrier.value, 9)
    assert (4, 2) == (point.test_error.num_values, point.barrier.num_values)


def test_ranks_that_agree_correlate_wholly() -> None:
    """Whatever the distances are; against the order, the correlation is -1."""
    rising = cell_points(*cells({"digits": 0.1, "mnist": 0.11, "svhn": 0.5, "cifar10": 0.9}))
    falling = cell_points(*cells({"digits": 0.9, "mnist": 0.5, "svhn": 0.11, "cifar10": 0.1}))

    assert 1.0 == round(rank_correlation(rising).value or 0, 9)
    assert -1.0 == round(rank_correlation(falling).value or 0, 9)


def test_few_cells_have_no_correlation() -> None:
    """Of three cells the figure says why there is none."""
    figure = drawing(*cells({"digits": 0.1, "mnist": 0.3, "svhn": 0.6}), QUESTION)

    assert "undefined, fewer than 4 cells" in words(figure)


def test_heat_maps_and_points_show_the_same_means() -> None:
    """Rows are networks, columns data sets in order; the points are the cells."""
    figure = drawing(*cells({"digits": 0.1, "mnist": 0.3, "svhn": 0.6, "cifar10": 0.5}), QUESTION)
    found = panels(figure)

    errors = found["Test error"].images[0].get_array()
    barriers = found["Error barrier at 1/2"].images[0].get_array()
    assert [[0.4, 0.1, 0.2, 0.3]] == np.asarray(errors).round(9).tolist()
    assert [[0.5, 0.1, 0.3, 0.6]] == np.asarray(barriers).round(9).tolist()
    assert ["cifar10", "digits", "mnist", "svhn"] == [
        label.get_text() for label in found["Test error"].get_xticklabels()
    ]
    (line,) = found[""].lines
    assert [(0.1, 0.1), (0.2, 0.3), (0.3, 0.6), (0.4, 0.5)] == sorted(
        (round(float(x), 9), round(float(y), 9))
        for x, y in zip(line.get_xdata(), line.get_ydata(), strict=True)
    )
    assert "8 pairs of networks in 4 cells" in words(figure)


def test_a_place_without_a_cell_says_so() -> None:
    """A network that one data set alone has not is a gap with words."""
    small, more = cells({"digits": 0.1, "mnist": 0.3}), cells({"digits": 0.2}, width=64)
    wide = cells({"svhn": 0.2}, width=64)
    figure = drawing([*small[0], *more[0], *wide[0]], [*small[1], *more[1], *wide[1]], QUESTION)

    texts = [text.get_text() for text in panels(figure)["Test error"].texts]
    assert 2 == texts.count("no cell")


def test_networks_of_one_data_set_alone_are_points_and_not_rows() -> None:
    """A heat map compares data sets; the others are counted."""
    both, alone = cells({"digits": 0.1, "mnist": 0.3}), cells({"digits": 0.2}, width=64)
    figure = drawing([*both[0], *alone[0]], [*both[1], *alone[1]], QUESTION)

    assert 1 == len(panels(figure)["Test error"].get_yticklabels())
    assert 3 == len(panels(figure)[""].lines[0].get_xdata())
    assert "Not in the heat maps: 1 further kind of network." in words(figure)


def test_no_family_takes_all_rows_of_the_heat_maps() -> None:
    """Of twelve widths of one family and one of another, ten rows show both, the widest kept."""
    parts = [cells({"digits": 0.1, "mnist": 0.2}, width=2**k) for k in range(2, 14)]
    parts.append(cells({"digits": 0.1, "mnist": 0.2}, architecture="vgg", width=16, depth=11))
    figure = drawing(
        [row for rows, _ in parts for row in rows], [one for _, more in parts for one in more], QUESTION
    )

    names = [label.get_text().replace("\n", " ") for label in panels(figure)["Test error"].get_yticklabels()]
    assert 10 == len(names)
    assert "vgg, width 16, depth 11" in names
    assert "mlp, width 8,192, depth 1" in names
    assert "mlp, width 4, depth 1" not in names
