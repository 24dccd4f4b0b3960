"""The widest tables of a report in a real browser: whether a reader sees their rows whole."""

from __future__ import annotations

from pathlib import Path

import pytest
from browser import browser, chromium, visit

from lmc_sweep.report import all_pairs_section, canonical_section, ensembles_section, path_section
from lmc_sweep.report.cell_tables import trimmed
from lmc_sweep.report.model import Cell, Column, ReportData, Section, Table, Value
from lmc_sweep.report.page import render

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="there is no Chromium on this machine"),
]
LONGEST: dict[str, Value] = {
    "cell": 0,
    "choice": "weight matching",
    "number": -0.0001234,
    "count": 4950,
    "text": "1 to 12",
}
"""A long value of each kind of column."""
ALIKE = ("Correction", "Drawn")
TABLES = {
    "all_pairs": all_pairs_section._COLUMNS,
    "canonical": canonical_section._DISTANCES,
    "averages": canonical_section._AVERAGES,
    "ensembles": ensembles_section._COLUMNS,
    "paths": path_section._PATHS,
}


def table(name: str, columns: tuple[Column, ...]) -> Table:
    """Two rows of long values, of one correction, drawn in one way."""
    row = [LONGEST[column.kind] for column in columns]
    other = [
        "train" if column.kind == "choice" and column.heading not in ALIKE else value
        for column, value in zip(columns, row, strict=True)
    ]
    return trimmed(Table(name, name, columns, [row, other]))


def test_tables_of_the_studies_are_no_wider_than_the_page(tmp_path: Path) -> None:
    """At 1,280 pixels, with what differs from row to row; at 800 the page itself fits the screen."""
    blocks = tuple(table(name, columns) for name, columns in TABLES.items())
    cell = Cell("cell", "cifar10 mlp depth 1 width 1024", (("dataset", "cifar10"),))
    sections = (Section("studies", "Studies", blocks),)
    file = tmp_path / "report.html"
    file.write_text(render(ReportData("title", "subtitle", (), (), (cell,), sections, "")))
    with browser() as opened:
        with visit(opened, file, width=1280) as made:
            hidden = {
                name: made.page.locator(f"#{name} .scroll").evaluate(
                    "one => Math.max(0, one.querySelector('table').offsetWidth - one.clientWidth)"
                )
                for name in TABLES
            }
            assert dict.fromkeys(TABLES, 0) == hidden
        with visit(opened, file, width=800) as made:
            assert 800 == made.page.evaluate("document.documentElement.scrollWidth")
