"""``lmc-sweep count``."""

from __future__ import annotations

import json
import sys
from math import factorial

import pytest

from lmc_sweep.cli import main


def count(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    """The exit code of the command."""
    monkeypatch.setattr(sys, "argv", ["lmc-sweep", "count", *arguments])
    with pytest.raises(SystemExit) as ended:
        main()
    return ended.value.code or 0


def test_table_and_totals(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """Layers of 3 and 4 neurons: 1 and 3/2 points per minimum, 360 in all beside 144 minima."""
    assert 0 == count(monkeypatch, "3", "4")
    told = capsys.readouterr()
    assert "3/2" in told.out + told.err
    assert "Equivalent minima: 144. Permutation points of order 1: 360." in told.err


def test_json_is_exact_beyond_the_digits_that_python_prints(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The factorial of 2,000 has 5,736 digits, all of them in --json."""
    assert 0 == count(monkeypatch, "2000", "--json")
    told = json.loads(capsys.readouterr().out)
    assert factorial(2000) == int(told["num_minima"])
    assert "1999/2" == told["layers"][0]["ratio"]


@pytest.mark.parametrize(
    ("arguments", "rule"),
    [
        (["3", "2", "--order", "5"], "more than K neurons"),
        (["0"], "at least 1"),
        (["5,5"], "Spaces separate layers"),
        (["4.5"], "no number of neurons"),
        (["4", "-k", "0"], "greater than"),
    ],
)
def test_what_cannot_be_counted_is_refused(
    arguments: list[str], rule: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Orders that no layer has, and layers without neurons: one line with the rule, exit code 2."""
    assert 2 == count(monkeypatch, *arguments)
    assert rule in capsys.readouterr().err
