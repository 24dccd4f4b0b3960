"""The table of barriers that ends a run."""

from __future__ import annotations

import re

from lmc_sweep.analysis.summary import CellBarriers
from lmc_sweep.cli.barrier_lines import COLUMNS, SHOWN_ROWS, barrier_lines

LONG = "annealing from activation matching (pairwise barrier, 10,000 steps, 5,000 examples)"


def cells(number: int, worlds: list[str]) -> list[CellBarriers]:
    """Cells with two methods each, the second of which lacks the last world."""
    methods = (
        ("before alignment", dict.fromkeys(worlds, "0.500 (3)")),
        (LONG, dict.fromkeys(worlds[:-1], "0.125 (3)")),
    )
    return [CellBarriers(f"digits mlp width {width}", methods) for width in range(number)]


def test_methods_are_rows_under_their_cell() -> None:
    """World by world beside the label; a dash where a method has no barriers; long labels go on below."""
    lines = barrier_lines(["real", "model"], cells(1, ["real", "model"]), "train", "runs/s")

    assert [
        ["real", "model"],
        ["digits", "mlp", "width", "0"],
        ["before", "alignment", "0.500", "(3)", "0.500", "(3)"],
    ] == [line.split() for line in lines[1:4]]
    assert ["0.125", "(3)", "-"] == lines[4].split()[-3:]
    assert LONG.split() == [*lines[4].split()[:-3], *" ".join(lines[5:]).split()]


def test_many_worlds_fit_in_eighty_columns() -> None:
    """Five worlds are told one block after another, and none is lost."""
    worlds = ["real", "model", "planted 0.0", "planted 0.05", "planted 1.0"]

    lines = barrier_lines(worlds, cells(2, worlds), "train", "runs/s")

    assert max(map(len, lines)) <= COLUMNS
    headers = [line for line in lines if line.endswith(("planted 0.0", "planted 1.0"))]
    assert worlds == re.split(r"\s{2,}", "".join(headers).strip())
    assert 2 * 5 + 2 * 4 == sum(line.count(" (3)") for line in lines)


def test_a_long_table_is_cut_short_and_says_so() -> None:
    """Sixty rows: the first forty, how many more, and the query that has all of them."""
    lines = barrier_lines(["real", "model"], cells(30, ["real", "model"]), "test", "runs/s")

    assert SHOWN_ROWS == sum(" (3)" in line for line in lines)
    assert f"... and {60 - SHOWN_ROWS} more rows. All of them:" == lines[-2]
    assert lines[-1].startswith('lmc-sweep query runs/s "SELECT')
    assert "split = 'test'" in lines[-1]


def test_no_barriers_no_table() -> None:
    """A sweep of networks alone ends without a table."""
    assert [] == barrier_lines([], [], "train", "runs/s")
