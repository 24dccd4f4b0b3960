"""Options of figures: one word for one thing, also on the command line."""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path

import pytest

from lmc_sweep.cli.arguments import At, Quantity
from lmc_sweep.errors import SweepError
from lmc_sweep.figures.options import AT, QUANTITY, settled
from lmc_sweep.figures.registry import FIGURES

DOCS = Path(__file__).parents[2] / "docs" / "figures.md"


def test_options_of_one_name_take_the_same_values() -> None:
    """Some figures take fewer of them: there are no others."""
    choices = defaultdict(list)
    for figure in FIGURES.values():
        for option in figure.options:
            choices[option.name].append(frozenset(option.choices or ()))

    assert {} == {
        name: found for name, found in choices.items() if max(found, key=len) != found[0].union(*found)
    }


def test_what_takes_the_same_values_has_one_name() -> None:
    """Nothing is asked for by one word in one figure and by another in the next."""
    names = defaultdict(set)
    for figure in FIGURES.values():
        for option in figure.options:
            if option.choices is not None:
                names[frozenset(option.choices)].add(option.name)

    assert {} == {choices: found for choices, found in names.items() if len(found) > 1}


def test_figures_and_commands_ask_for_barriers_in_the_same_words() -> None:
    """``--quantity`` and ``--at`` of compare and claims are the figures' ``quantity`` and ``at``."""
    assert {str(value) for value in Quantity} == set(QUANTITY.choices or ())
    assert {str(value) for value in At} == set(AT.choices or ())


def test_an_unknown_option_is_refused_with_those_that_there_are() -> None:
    """A height is asked for as ``at``, not as ``barrier``."""
    with pytest.raises(SweepError, match=r"density: unknown option 'barrier'. Known options: quantity, at, "):
        settled("density", FIGURES["density"].options, {"barrier": "midpoint"})


def test_every_option_and_value_stands_in_the_document() -> None:
    """In the row of the option; no row is left of one that is gone."""
    rows = [line for line in DOCS.read_text().splitlines() if line.startswith("| `")]
    told = {row.split("`")[1]: row for row in rows}
    options = [option for figure in FIGURES.values() for option in figure.options]

    assert {option.name for option in options} == set(told)
    values = {
        (option.name, value) for option in options for value in (*(option.choices or ()), option.default)
    }
    assert [] == [(name, value) for name, value in sorted(values) if f"`{value}`" not in told[name]]
