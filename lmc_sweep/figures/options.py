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
