"""Options and words that the figures of searches share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from lmc_sweep.analysis.search_rows import Place, Searched, SearchQuestion
from lmc_sweep.figures.options import AT, CORRECTION, QUANTITY, SPLIT, Option
from lmc_sweep.figures.words import diverged_barriers

WHAT = (QUANTITY, AT, SPLIT, CORRECTION)
WORLD = Option("world", "real", "pairs trained apart, or of known answer", ("real", "model", "planted"))


def question_of(values: Mapping[str, str], world: str = "real") -> SearchQuestion:
    """What is asked, from the options in WHAT, and in WORLD where a figure has it."""
    return SearchQuestion(
        quantity=values["quantity"],  # type: ignore[arg-type]
        extent=values["at"],  # type: ignore[arg-type]
        split=values["split"],
        correction=values["correction"],
        world=values.get("world", world),
    )


def place_title(place: Place, places: Sequence[Place]) -> str:
    """A panel's title: the networks in words, and how many were aligned where that is not always two."""
    if {other.num_networks for other in places} == {2}:
        return place.label
    return f"{place.label}, n = {place.num_networks}"


def what_is_missing(rows: Sequence[Searched], question: SearchQuestion) -> list[str]:
    """A sentence where nothing was found, or where networks diverged."""
    if not rows:
        return [
            f"Not shown: no barriers on {question.split} with correction {question.correction!r} in "
            f"world {question.world} here."
        ]
    return diverged_barriers(sum(row.value is None for row in rows))
