"""The page of a report: self-contained, escaped, and compact."""

from __future__ import annotations

import base64
import hashlib
import json
import re
from typing import Any

import pytest

from lmc_sweep.report.libraries import plotting_program, tables_program
from lmc_sweep.report.model import (
    Card,
    Cell,
    Column,
    DensityPlot,
    Drawing,
    Facts,
    Listing,
    Look,
    Note,
    PlotView,
    Points,
    ReportData,
    Section,
    Summary,
    Table,
)
from lmc_sweep.report.page import render
from lmc_sweep.report.payload import payload, plain

HOSTILE = "</script><script>alert(1)</script><img src=http://x onerror=alert(1)>'\"&"


def data(text: str = "plain") -> ReportData:
    """A report that has a block of every kind, with a text in every place where one can stand."""
    table = Table("t", text, (Column(text, "choice", text), Column("n", "number")), [(text, 0.1)], text, text)
    view = PlotView((text,), text, text, (Points(0, [0], [1.0], [2.0]),), (text,))
    plot = DensityPlot("p", text, ((text, (text,)),), (Look(text, "o", "#000000", True),), (view,), 0.01)
    summary = Summary(text, (text,), ((text,),))
    blocks = (
        table,
        Note(text),
        Facts(((text, text),), text),
        Listing(text, text),
        Card(text, text, text, text, summary),
        Drawing(text, text, "image/png", b"content", 3.5),
        summary,
        plot,
    )
    section = Section("s", text, blocks, text, text)
    cell = Cell("0", text, (("dataset", text),))
    return ReportData(text, text, (text,), (text,), (cell,), (section,), text)


def without_libraries(page: str) -> str:
    """The page but for the programs that it carries."""
    for program in (plotting_program(), tables_program()):
        assert program in page
        page = page.replace(program, "")
    return page


@pytest.fixture(scope="module")
def hostile_page() -> str:
    return render(data(HOSTILE))


def test_no_text_of_a_report_is_markup(hostile_page: str) -> None:
    """A text that is markup is nowhere in the page as it is."""
    assert "<script>alert" not in without_libraries(hostile_page)
    assert "<img src=http" not in without_libraries(hostile_page)


def test_the_numbers_of_a_report_survive_their_escaping() -> None:
    """The JSON within the page says what the report says, and holds no sign of markup."""
    text = payload(data(HOSTILE))
    assert not set("<>&") & set(text)
    assert HOSTILE == json.loads(text)["cells"][0]["label"]


def test_the_page_names_no_address() -> None:
    """Outside of the libraries, nothing is loaded: no address, no import, no font."""
    found = re.findall(
        r"""https?:|//[a-z]+\.|@import|@font-face|(?:src|href)=["'](?!#|data:)""",
        without_libraries(render(data())),
    )
    assert [] == found


def test_the_policy_lets_the_own_programs_run_and_no_other(hostile_page: str) -> None:
    """Every program of the page, and nothing else, has its hash in the content security policy."""
    policy = re.search(r'Content-Security-Policy" content="([^"]*)"', hostile_page)
    assert policy is not None
    named = set(re.findall(r"&#39;sha256-([^&]*)&#39;", policy[1]))
    programs = re.findall(r"\n<script>(.*?)</script>(?=\n)", hostile_page, re.DOTALL)
    hashes = {base64.b64encode(hashlib.sha256(one.encode()).digest()).decode() for one in programs}
    assert (2, named) == (len(programs), hashes)
    assert "unsafe-inline" not in policy[1].split("script-src")[1].split(";")[0]


def test_a_report_is_the_same_text_every_time() -> None:
    """Rendering depends on the report alone."""
    assert render(data()) == render(data())


def test_texts_that_repeat_are_written_once() -> None:
    """A column of few texts costs a place per row, and not a text."""
    rows: list[tuple[Any, ...]] = [("a long text that repeats", 1.0)] * 1000
    section = Section("s", "s", (Table("t", "t", (Column("a"), Column("b", "number")), rows),))
    text = payload(ReportData("", "", (), (), (), (section,), ""))
    assert 1 == text.count("a long text that repeats")
    assert len(text) < 6000


@pytest.mark.parametrize(
    ("value", "expected"),
    [(0.1234567, 0.123457), (2.0, 2), (float("nan"), None), (float("inf"), None), (1e-9, 1e-9), (True, True)],
)
def test_numbers_have_six_digits_and_are_finite(value: Any, expected: Any) -> None:
    """What is no number is null, as JSON has no word for it."""
    assert expected == plain(value)
