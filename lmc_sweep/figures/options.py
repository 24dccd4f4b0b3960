"""Options of figures, as given on the command line: text, checked against what is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lmc_sweep.errors import SweepError


@dataclass(frozen=True)
class Option:
    """One option; without ``choices``, any text."""

    name: str
    default: str
    summary: str
    choices: tuple[str, ...] | None = None


QUANTITY = Option(
    "quantity", "error", "barrier of the error (fraction) or of the loss (nats)", ("error", "loss")
)
AT = Option("at", "midpoint", "height at alpha 1/2, or the largest over all alphas", ("midpoint", "supremum"))
SPLIT = Option("split", "train", "examples that were measured", ("train", "test"))
CORRECTION = Option("correction", "none", "what was done to interpolated networks before they were measured")
METHODS = Option("methods", "all", "all, or names of methods, separated by commas")
POINTS = Option(
    "points", "rank", "one point per cell and pair rank, or per cell: its means", ("rank", "cell")
)
BY = Option("by", "width", "the size on the horizontal axis", ("width", "depth"))


def settled(figure: str, options: Sequence[Option], given: Mapping[str, str]) -> dict[str, str]:
    """Every option's value, given or default; SweepError for unknown options and values."""
    known = {option.name: option for option in options}
    for name, value in given.items():
        if name not in known:
            raise SweepError(f"{figure}: unknown option {name!r}. Known options: {', '.join(known)}")
        choices = known[name].choices
        if choices is not None and value not in choices:
            raise SweepError(f"{figure}: {name} is one of {', '.join(choices)}, not {value!r}")
    return {name: given.get(name, option.default) for name, option in known.items()}


def named(text: str) -> list[str]:
    """The names in a list with commas."""
    return [name.strip() for name in text.split(",")]
