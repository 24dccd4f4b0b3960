"""The report in a real browser: it works, asks for nothing, and lets no text of a stranger's run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from browser import Visit, browser, chromium, visit
from report_store import fill

from lmc_sweep.report.gathering import gather
from lmc_sweep.report.page import render

pytestmark = [
    pytest.mark.browser,
    pytest.mark.slow,
    pytest.mark.skipif(chromium() is None, reason="there is no Chromium on this machine"),
]
CLAIMS = Path(__file__).resolve().parents[2] / "configs" / "entezari" / "claims.yaml"
HOSTILE = '<img src=x onerror="window.hacked=1"><script>window.hacked=1</script>\'"&</script><b>'
ROWS = "#{} tbody tr"


@pytest.fixture(scope="module")
def chrome() -> Iterator[Any]:
    with browser() as opened:
        yield opened


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The report of six cells."""
    folder = tmp_path_factory.mktemp("report")
    file = folder / "report.html"
    store = fill(folder / "store", num_cells=6)
    file.write_text(render(gather(store, "runs/wide", claims=CLAIMS)))
    return file


@pytest.fixture
def seen(chrome: Any, report: Path) -> Iterator[Visit]:
    with visit(chrome, report) as made:
        yield made


def texts(page: Any, table: str, column: int) -> list[str]:
    """What a column of a table shows, row by row."""
    cells = page.locator(f"#{table} tbody tr td:nth-child({column + 1})")
    return [text.strip() for text in cells.all_inner_texts()]


def kinds_shown(page: Any, table: str, column: int, number: int) -> set[str]:
    """The different texts that a column shows, once they are so many, or after two minutes."""
    for _ in range(2400):
        found = set(texts(page, table, column))
        if len(found) == number:
            break
        page.wait_for_timeout(50)
    return found


def column(page: Any, table: str, heading: str) -> int:
    """The place of a column."""
    shown = page.locator(f"#{table} thead tr:first-child .heading").all_inner_texts()
    return int(shown.index(heading))


def test_nothing_is_asked_for_and_nothing_goes_wrong(seen: Visit) -> None:
    """Opening the page, in light and dark, requests nothing but itself, and the console stays silent."""
    seen.page.locator("#theme").click()
    seen.page.locator("select[data-axes]").select_option("linear")
    assert ([], []) == (seen.requests, seen.complaints)


def test_a_click_on_a_heading_sorts(seen: Visit) -> None:
    """Numbers are sorted as numbers, upwards by one click and downwards by the next."""
    page, place = seen.page, column(seen.page, "barriers", "Loss barrier")
    page.locator("#barriers select.dt-input").select_option("1000")
    heading = page.locator(f"#barriers thead tr:first-child th:nth-child({place + 1})")
    found = []
    for order in ("ascending", "descending"):
        heading.click()
        page.wait_for_selector(f"#barriers thead [aria-sort={order}]", state="attached", timeout=120_000)
        found.append([float(text) for text in texts(page, "barriers", place)])
    upwards, downwards = found
    assert (sorted(upwards), sorted(upwards, reverse=True)) == (upwards, downwards)
    assert 360 == len(upwards)


def test_a_heading_sorts_by_the_keyboard(seen: Visit) -> None:
    """Enter on a heading does what a click does, and says so to those who hear the page."""
    heading = seen.page.locator("#networks thead tr:first-child th").nth(1)
    heading.locator("[role=button]").focus()
    seen.page.keyboard.press("Enter")
    seen.page.wait_for_selector("#networks thead [aria-sort]", state="attached", timeout=10_000)
    assert "ascending" == heading.get_attribute("aria-sort")


def test_a_filter_leaves_the_rows_that_pass(seen: Visit) -> None:
    """The field below a heading leaves the rows whose number equals what is typed."""
    place = column(seen.page, "networks", "Width")
    field = seen.page.locator(f"#networks thead tr:nth-child(2) > :nth-child({place + 1}) input")
    field.fill("16")
    field.dispatch_event("input")
    assert {"16"} == kinds_shown(seen.page, "networks", place, 1)


def test_a_choice_leaves_the_rows_that_were_chosen(seen: Visit) -> None:
    """A column with few values offers them in a list."""
    place = column(seen.page, "cell-barriers", "Method")
    header = seen.page.locator(f"#cell-barriers thead tr:nth-child(2) > :nth-child({place + 1})")
    header.locator("button").first.click()
    seen.page.locator(".dtcc-list-buttons button", has_text="weight matching").first.click()
    assert {"weight matching"} == kinds_shown(seen.page, "cell-barriers", place, 1)


def points_of(page: Any) -> list[int]:
    """The cells of all points in the plot."""
    script = """() => document.querySelector('.canvas').data
        .filter((trace) => trace.type === 'scatter').flatMap((trace) => [...trace.customdata])"""
    return list(page.evaluate(script))


def test_a_click_on_a_point_shows_its_cell_alone_until_the_chip_is_cleared(seen: Visit) -> None:
    """A point filters the plot and the tables to its cell; the chip names it, and takes it back."""
    page = seen.page
    before = len(points_of(page))
    page.locator("#density").scroll_into_view_if_needed()
    page.evaluate("document.querySelector('.canvas').scrollIntoView({block: 'center', behavior: 'instant'})")
    page.locator(".canvas .scatterlayer .trace:nth-child(1) .point").first.hover(force=True)
    page.wait_for_selector(".hoverlayer .hovertext")
    told = page.locator(".hoverlayer").text_content()
    box = page.locator(".canvas .scatterlayer .trace:nth-child(1) .point").first.bounding_box()
    page.mouse.click(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    chip = page.locator("#chip")
    chip.wait_for(state="visible")
    label = page.locator("#chip-label").inner_text()
    assert 1 == len(set(points_of(page)))
    assert {label} == set(texts(page, "barriers", 0)) == set(texts(page, "networks", 0))
    assert all(word in told for word in (label, "dataset", "width", "method", "real world", "our model"))
    page.locator("#chip-clear").click()
    assert (before, False) == (len(points_of(page)), chip.is_visible())
    assert [] == seen.complaints


def test_the_name_of_a_cell_does_what_its_point_does(seen: Visit) -> None:
    """Without a pointer, a cell is chosen in the tables: by the keyboard."""
    button = seen.page.locator("#networks button.cell").nth(3)
    label = button.inner_text()
    button.focus()
    seen.page.keyboard.press("Enter")
    assert label == seen.page.locator("#chip-label").inner_text()
    assert 1 == len(set(points_of(seen.page)))


def test_the_plot_follows_its_controls(seen: Visit) -> None:
    """Barriers of the error are other points than those of the loss, on an axis that says so."""
    title = "document.querySelector('.canvas').layout.xaxis.title.text"
    before = seen.page.evaluate(title)
    seen.page.locator("select[data-control='0']").select_option("error")
    assert ("loss barrier, real world (nats)", "error barrier, real world (fraction)") == (
        before,
        seen.page.evaluate(title),
    )


def test_the_theme_is_that_of_the_system_and_can_be_changed(chrome: Any, report: Path) -> None:
    """A dark system has a dark page; the button makes it light."""
    with visit(chrome, report, scheme="dark") as made:
        background = "getComputedStyle(document.body).backgroundColor"
        dark = made.page.evaluate(background)
        made.page.locator("#theme").click()
        assert ("rgb(20, 23, 27)", "rgb(255, 255, 255)") == (dark, made.page.evaluate(background))


def test_paper_has_no_controls_and_says_what_it_leaves_out(seen: Visit) -> None:
    """Printed, everything is open, buttons and filters are gone, and long tables are cut and say so."""
    seen.page.emulate_media(media="print")
    seen.page.wait_for_selector(".printed", state="attached")
    told = seen.page.locator("#barriers .printed").inner_text()
    assert "40 of 360 rows; the file holds all." == told
    assert 40 == len(seen.page.locator(ROWS.format("barriers")).all())
    assert 0 == seen.page.locator("details:not([open])").count()
    assert not seen.page.locator("#theme").is_visible()
    seen.page.emulate_media(media="screen")
    seen.page.wait_for_selector(".printed", state="detached")
    assert 15 == len(seen.page.locator(ROWS.format("barriers")).all())


def test_a_narrow_page_is_no_wider_than_the_screen(chrome: Any, report: Path) -> None:
    """On a telephone nothing but the tables themselves is scrolled sideways."""
    with visit(chrome, report, width=400) as made:
        assert 400 == made.page.evaluate("document.documentElement.scrollWidth")
        assert [] == made.complaints


def test_names_of_a_stranger_do_not_run(chrome: Any, tmp_path: Path) -> None:
    """Names that are programs are shown as the text that they are: in tables, plot, hover and title."""
    store = fill(tmp_path / "store", num_cells=3, texts=HOSTILE)
    store.commit("failures", [_failure()])
    file = tmp_path / "report.html"
    file.write_text(render(gather(store, f"runs/{HOSTILE}", claims=CLAIMS)))
    with visit(chrome, file) as made:
        page = made.page
        page.locator("#networks button.cell").first.click()
        page.locator(".canvas .scatterlayer .point").first.hover(force=True)
        page.wait_for_timeout(300)
        assert page.evaluate("window.hacked === undefined")
        assert 0 == page.locator("main img[src='x']").count()
        assert HOSTILE in page.locator("#networks button.cell").first.inner_text()
        assert ([], []) == (made.requests, made.complaints)


def _failure() -> dict[str, Any]:
    return {
        "kind": "network",
        "item_ids": ["0" * 32],
        "error_type": HOSTILE,
        "message": HOSTILE,
        "traceback": HOSTILE,
        "attempts": 1,
        "sweep": "wide",
        "cause": "error",
    }
