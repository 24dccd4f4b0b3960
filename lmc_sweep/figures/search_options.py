"""Options and words that the figures of searches share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lmc_sweep.analysis.search_rows import Place, Searched, SearchQuestion
from lmc_sweep.errors import SweepError
from lmc_sweep.figures.options import Option, settled

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

WHAT = (
    Option("quantity", "error", "barrier of the error (fraction) or of the loss (nats)", ("error", "loss")),
    Option(
        "barrier",
        "midpoint",
        "height at alpha 1/2, or the largest over all alphas",
        ("midpoint", "supremum"),
    ),
    Option("split", "train", "examples that were measured", ("train", "test")),
    Option("correction", "none", "what was done to interpolated networks before they were measured"),
)
WORLD = Option("world", "real", "pairs trained apart, or of known answer", ("real", "model", "planted"))
METHODS = Option("methods", "all", "all, or names of methods: a,b")


def question_of(values: Mapping[str, str], world: str = "real") -> SearchQuestion:
    """What is asked, from the options in WHAT, and in WORLD where a figure has it."""
    return SearchQuestion(
        quantity=values["quantity"],  # type: ignore[arg-type]
        extent=values["barrier"],  # type: ignore[arg-type]
        split=values["split"],
        correction=values["correction"],
        world=values.get("world", world),
    )


def settled_of_store(
    figure: str, options: Sequence[Option], given: Mapping[str, str], store: Store
) -> dict[str, str]:
    """Every option's value; SweepError also for a correction or a method that no barrier has."""
    values = settled(figure, options, given)
    for option, column in (("correction", "correction"), ("methods", "method")):
        if option not in given or given[option] == "all":
            continue
        known = sorted({row[0] for row in store.barriers().project(column).distinct().fetchall()})
        for name in (name.strip() for name in values[option].split(",")):
            if known and name not in known:
                raise SweepError(f"{figure}: no barrier has {column} {name!r}. Here: {', '.join(known)}")
    return values


def of_methods(rows: Sequence[Searched], names: str, always: Sequence[str] = ()) -> list[Searched]:
    """The rows of the methods that the option METHODS names, and of those in ``always``."""
    if names == "all":
        return list(rows)
    wanted = {*(name.strip() for name in names.split(",")), *always}
    return [row for row in rows if row.name in wanted]


def barrier_label(question: SearchQuestion) -> str:
    """The axis of barriers: what, where, on which examples, in which unit."""
    unit = "nats" if question.quantity == "loss" else "fraction"
    at = " at 1/2" if question.extent == "midpoint" else ""
    return f"{question.quantity.capitalize()} barrier{at}, {question.split} ({unit})"


def place_title(place: Place, places: Sequence[Place]) -> str:
    """A panel's title: the networks in words, and how many were aligned where that is not always two."""
    if {other.num_networks for other in places} == {2}:
        return place.label
    return f"{place.label}, n = {place.num_networks}"


def counted(number: int, word: str) -> str:
    """``1 pair``, ``2 pairs``."""
    return f"{number:,} {word}" if number == 1 else f"{number:,} {word}s"


def what_is_missing(rows: Sequence[Searched], question: SearchQuestion) -> list[str]:
    """A sentence where nothing was found, or where networks diverged."""
    if not rows:
        return [
            f"Not shown: no barriers on {question.split} with correction {question.correction!r} in "
            f"world {question.world} here."
        ]
    num_null = sum(row.value is None for row in rows)
    told = f"Not shown: {counted(num_null, 'barrier')}, because a network diverged."
    return [told] if num_null else []


def dropped_pairs(number: int) -> list[str]:
    """A sentence on pairs that were left out of a comparison."""
    if not number:
        return []
    return [f"Left out: {counted(number, 'pair')} that not every method has measured."]
