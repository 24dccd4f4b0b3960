"""What reaches a terminal: text alone, whoever wrote it."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
from rich.console import Console
from store_rows import row

from lmc_sweep.cli import status
from lmc_sweep.cli.console import duration, say, table
from lmc_sweep.durations import about
from lmc_sweep.store.store import Store

COMMAND = "\x1b]0;title\x07\x9b2J\r"
TOLD = r"\x1b]0;title\x07\x9b2J\x0d"

CARRIAGE_RETURN = r"\x0d"  # ends the first line of a message, which is all that is shown


def _terminal() -> tuple[Console, io.StringIO]:
    """A pretended terminal without colors, and what was written to it."""
    text = io.StringIO()
    return Console(file=text, force_terminal=True, color_system=None, width=200, legacy_windows=False), text


@pytest.mark.parametrize(
    ("days", "told"), [(2, "48 h 00 min"), (4, "4.0 days"), (364, "364.0 days"), (413675.9, "1,133.4 years")]
)
def test_days_beyond_a_year_are_told_in_years(days: float, told: str) -> None:
    """Nobody reads half a million days."""
    assert told == duration(days * 86400)


def test_estimates_beyond_a_year_are_told_in_years() -> None:
    """As durations are."""
    assert ("12 days", "2.0 years") == (about(12 * 86400), about(2 * 365 * 86400))


@pytest.mark.parametrize("markup", ["[/x]", "[bold]x", "['a', 'b']", "runs/[1]"])
def test_brackets_are_no_markup(markup: str) -> None:
    """Lines, cells and titles show brackets as they are."""
    out, text = _terminal()
    say(out, markup)
    out.print(table(f"title {markup}", ["one"], [[markup]]))
    assert 3 == text.getvalue().count(markup)


def test_control_characters_are_written_out() -> None:
    """A text of somebody else's gives a terminal no commands."""
    out, text = _terminal()
    say(out, f"line {COMMAND}")
    out.print(table(f"title {COMMAND}", ["one"], [[f"cell {COMMAND}"]]))
    assert 3 == text.getvalue().count(TOLD)
    assert not {"\x1b", "\x07", "\x9b", "\r"} & set(text.getvalue())


@pytest.mark.parametrize("watch", [False, True])
def test_a_status_of_a_strangers_store_gives_no_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, watch: bool
) -> None:
    """Messages of failures and names of files are shown without what a terminal would obey."""
    store = Store.create(tmp_path / "store")
    store.record_sweep("s", "name: s\n", [("barrier", "a")])
    failure = {"error_type": "X", "message": f"bad {COMMAND}", "kind": "barrier", "item_ids": ["a"]}
    store.commit("failures", [row("failures", "f", **failure)])
    (store.path / "records" / "failures" / f"name {COMMAND}".replace("/", "")).write_text("")
    out, text = _terminal()
    monkeypatch.setattr("lmc_sweep.cli.console.console", lambda: out)
    monkeypatch.setattr(status, "LIFELESS_SECONDS", 0.0)  # nobody runs it: one look is enough
    status.status_command(str(store.path), watch=watch)
    assert f"bad {TOLD.removesuffix(CARRIAGE_RETURN)}" in text.getvalue()
    assert f"name {TOLD}" in text.getvalue()
    assert "\x07" not in text.getvalue()
    assert "\x1b]" not in text.getvalue()
