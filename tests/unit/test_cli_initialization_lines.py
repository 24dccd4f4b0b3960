"""The slopes of random networks that end a run."""

from __future__ import annotations

from lmc_sweep.analysis.initialization_rows import Line
from lmc_sweep.cli.initialization_lines import initialization_lines


def line(input_dim: int, matching: str, widths: tuple[int, ...], grid_cells: str | None = None) -> Line:
    """Two pairs of networks whose deviation falls with the root of the width."""
    rows = tuple(
        {"width": width, "seed": seed, "deviation_mean": width**-0.5} for width in widths for seed in (0, 1)
    )
    return Line("relu", input_dim, matching, grid_cells, rows)


def test_every_line_has_its_slope_and_the_bounds() -> None:
    """In columns: what, slope with its interval, exponent of the bound."""
    heading, *told = initialization_lines([line(1, "identity", (8, 16)), line(3, "hungarian", (8, 16))])
    assert "95% interval over pairs" in heading
    assert [
        ["1", "input,", "identity", "-0.500", "(-0.500", "to", "-0.500)", "-0.167"],
        ["3", "inputs,", "hungarian", "-0.500", "(-0.500", "to", "-0.500)", "-0.100"],
    ] == [one.split() for one in told]
    assert 1 == len({len(one) for one in told})


def test_one_width_has_no_slope() -> None:
    """It says why."""
    (_, told) = initialization_lines([line(2, "identity", (8,))])
    assert "none: too few widths or pairs" in told


def test_nothing_says_nothing() -> None:
    """A sweep without results yet has no lines."""
    assert [] == initialization_lines([])


def test_many_lines_are_cut() -> None:
    """The rest is counted, with the command that shows it."""
    told = initialization_lines([line(dim, "grid", (8, 16), "rate") for dim in range(1, 46)])
    assert "... and 5 more: lmc-sweep report shows all" in told[-1]
