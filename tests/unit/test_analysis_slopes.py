"""Slopes against width with intervals over seeds, and the figure and the table that show them."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from lmc_sweep.analysis.initialization_rows import COLUMNS, line_labels, lines
from lmc_sweep.analysis.slopes import slope
from lmc_sweep.figures.initialization import drawing
from lmc_sweep.figures.sheet import shows_nothing

WIDTHS = (16, 32, 64, 128)


def powers(exponents: list[float], widths: tuple[int, ...] = WIDTHS) -> list[tuple[int, int, float | None]]:
    """Values that fall exactly with a power of the width, another one for every seed."""
    return [(seed, width, 3 * width**own) for seed, own in enumerate(exponents) for width in widths]


def rows(matching: str, exponent: float, **columns: Any) -> list[dict[str, Any]]:
    """Rows of the table, of three seeds whose deviations fall with a power of the width."""
    return [
        {
            **dict.fromkeys(COLUMNS),
            "activation": "relu",
            "input_dim": 2,
            "width": width,
            "matching": matching,
            "seed": seed,
            "num_inputs": 100,
            "num_draws": 8,
            "delta": 0.1,
            "alphas": [0.0, 0.5, 1.0],
            "deviation_mean": (1 + seed / 10) * width**exponent,
            **columns,
        }
        for width in WIDTHS
        for seed in range(3)
    ]


def test_an_exact_power_is_found() -> None:
    """The slope is the exponent, and the interval holds nothing else."""
    found = slope(powers([-0.5, -0.5, -0.5]))
    assert found is not None
    assert (3, WIDTHS) == (found.num_seeds, found.widths)
    assert [-0.5] * 3 == pytest.approx([found.value, found.low, found.high])


def test_the_interval_is_students_over_seeds() -> None:
    """Of slopes -0.4, -0.5, -0.6: the mean, and 4.303 standard errors either way (2 degrees)."""
    found = slope(powers([-0.4, -0.5, -0.6]))
    assert found is not None
    reach = 4.302653 * 0.1 / np.sqrt(3)
    assert [-0.5, -0.5 - reach, -0.5 + reach] == pytest.approx([found.value, found.low, found.high], rel=1e-6)
    assert [True, None, False] == [found.is_below(exponent) for exponent in (0.0, -0.5, -1.0)]


def test_an_interval_covers_as_often_as_it_says() -> None:
    """Of 2,000 noisy curves of four seeds, between 93.5 and 96.5 % of the intervals hold the exponent."""
    stream = np.random.default_rng(0)
    num_held = 0
    for _ in range(2000):
        noise = stream.normal(0, 0.2, (4, len(WIDTHS)))
        found = slope(
            (seed, width, width**-0.3 * np.exp(noise[seed, k]))
            for seed in range(4)
            for k, width in enumerate(WIDTHS)
        )
        assert found is not None
        num_held += found.is_below(-0.3) is None
    assert 0.935 < num_held / 2000 < 0.965


def test_a_single_seed_has_no_interval() -> None:
    """Nor is it below anything."""
    found = slope(powers([-0.5]))
    assert found is not None
    assert (None, None, None) == (found.low, found.high, found.is_below(0.0))


def test_a_seed_without_all_values_does_not_count() -> None:
    """A value that is missing, or 0, takes its seed out; without any seed there is no slope."""
    values = powers([-0.5, -0.4, -0.3])
    holed = [(s, w, None if (s, w) == (1, 64) else 0.0 if (s, w) == (2, 16) else v) for s, w, v in values]
    found = slope(holed)
    assert found is not None
    assert (1, pytest.approx(-0.5)) == (found.num_seeds, found.value)
    assert slope([entry for entry in holed if entry[0] > 0]) is None


def test_one_width_has_no_slope() -> None:
    """Two widths are the least."""
    assert slope(powers([-0.5, -0.4], (16,))) is None
    assert slope([]) is None


def test_lines_hold_what_is_comparable() -> None:
    """Rows on other inputs are left out and counted; grids of other cells are lines of their own."""
    made = [
        *rows("hungarian", -0.4),
        *rows("identity", 0.0),
        *rows("grid", -0.1, grid_cells="rate"),
        *rows("grid", -0.2, grid_cells="4"),
        *rows("identity", 0.0, num_inputs=7)[:2],
    ]
    found, num_left_out = lines(made)
    assert 2 == num_left_out
    assert ["identity", "grid", "grid", "hungarian"] == [line.matching for line in found]
    assert ["identity", "grid, 4 cells", "grid, rate", "hungarian"] == list(line_labels(found).values())
    slopes = [line.slope("deviation_mean") for line in found]
    assert [0.0, -0.2, -0.1, -0.4] == pytest.approx([one.value for one in slopes if one], abs=1e-12)
    wider = found[3].slope("deviation_mean", least_width=64)
    assert wider is not None
    assert (64, 128) == wider.widths


def test_the_figure_tells_slopes_and_the_bounds() -> None:
    """One panel per input dimension; every line's slope stands in it; the bound's line has its exponent."""
    made = [*rows("identity", 0.0), *rows("hungarian", -0.4), *rows("identity", 0.0, input_dim=5)]
    figure = drawing(lines(made)[0])
    panels = [axes for axes in figure.axes if axes.get_visible()]
    assert ["d = 2", "d = 5"] == [axes.get_title(loc="left") for axes in panels]
    told = sorted(text.get_text() for text in panels[0].texts)
    assert ["-0.400 (-0.400 to -0.400)", "0.000 (0.000 to 0.000)"] == [
        text.replace("-0.000", "0.000") for text in told
    ]
    for axes, exponent in zip(panels, (-1 / 8, -1 / 14), strict=True):
        (bound,) = [line for line in axes.lines if line.get_color() == "#000000"]
        x, y = (np.log(np.asarray(side)) for side in bound.get_data())
        assert exponent == pytest.approx((y[-1] - y[0]) / (x[-1] - x[0]))


def test_a_figure_of_nothing_says_so() -> None:
    """A store without random networks has an empty figure, with the reason."""
    assert "A sweep asks for them by the key initialization" in str(shows_nothing(drawing([])))


def test_a_figure_of_one_width_has_no_slopes() -> None:
    """Points are drawn all the same."""
    figure = drawing(lines([row for row in rows("identity", 0.0) if row["width"] == 16])[0])
    assert ["no slope"] == [text.get_text() for text in figure.axes[0].texts]
