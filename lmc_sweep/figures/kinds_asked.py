"""Which kinds of network a figure shows, where a store has more than fit on a page."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping, Sequence
from typing import Protocol, TypeVar

from lmc_sweep.errors import SweepError
from lmc_sweep.figures.options import Option, named
from lmc_sweep.figures.words import counted

CLEAN = "clean"
KINDS = (
    Option("dataset", "all", "all, or data sets, separated by commas"),
    Option("architecture", "all", "all, or families, likewise"),
    Option("width", "all", "all, or widths, likewise"),
    Option("depth", "all", "all, or depths, likewise"),
    Option(
        "label_noise",
        CLEAN,
        "clean: labels as they are, where there are any; all; or shares that were redrawn",
    ),
)
HOW = f"{', '.join(f'{option.name}=...' for option in KINDS[:-1])} and {KINDS[-1].name}=... choose"


class KindLike(Protocol):
    """What the networks of a row are."""

    @property
    def dataset(self) -> str:
        """Data set."""

    @property
    def architecture(self) -> str:
        """Family."""

    @property
    def width(self) -> int | None:
        """Units of a layer."""

    @property
    def depth(self) -> int | None:
        """Layers."""

    @property
    def label_noise(self) -> float:
        """Share of the labels that were redrawn."""


Row = TypeVar("Row")
Found = TypeVar("Found")
Key = TypeVar("Key", bound=Hashable)


def of_kinds(
    figure: str,
    rows: Sequence[Row],
    values: Mapping[str, str],
    kind_of: Callable[[Row], KindLike],
    what: str = "barrier",
) -> tuple[list[Row], list[str]]:
    """The rows of the kinds that the options KINDS name, and a sentence on noisy labels left out unasked.

    Args:
        figure: Its name.
        rows: Of any kinds.
        values: Every option's value.
        kind_of: The kind of a row.
        what: A row in one word.

    Raises:
        SweepError: If no row has what an option names.
    """
    kept = list(rows)
    for option in KINDS:
        asked = values[option.name]
        if asked == "all" or asked == CLEAN or not kept:
            continue
        names = named(asked)
        known = sorted({getattr(kind_of(row), option.name) for row in kept} - {None})
        for name in names:
            if name not in map(_told, known):
                raise SweepError(
                    f"{figure}: no {what} that is left has {option.name} {name!r}. "
                    f"Here: {', '.join(map(_told, known))}"
                )
        kept = [row for row in kept if _told(getattr(kind_of(row), option.name)) in names]
    if values["label_noise"] != CLEAN:
        return kept, []
    clean = [row for row in kept if not kind_of(row).label_noise] or kept
    if len(clean) == len(kept):
        return kept, []
    kinds = {kind_of(row) for row in kept}
    number = len(kinds - {kind_of(row) for row in clean})
    told = f"Not shown: {counted(number, 'kind')} of network with label noise (label_noise=all, or shares)."
    return clean, [told]


def with_most(found: Sequence[Key], counts: Mapping[Key, int], most: int) -> list[Key]:
    """At most so many, those of the largest counts; of those that tie for the last places, an even choice."""
    least = sorted((counts[one] for one in found), reverse=True)[:most][-1]
    sure = [one for one in found if counts[one] > least]
    return [*sure, *spread([one for one in found if counts[one] == least], most - len(sure))]


def spread(found: Sequence[Found], most: int) -> list[Found]:
    """At most so many, evenly from the first to the last, in their order."""
    if len(found) <= most:
        return list(found)
    step = (len(found) - 1) / max(most - 1, 1)
    return [found[round(place * step)] for place in range(most)]


def _told(value: str | float | None) -> str:
    """A value as it is given on the command line."""
    return f"{value:g}" if isinstance(value, float) else str(value)
