"""What a count or a list in a sweep file stands for: seeds, and positions on a segment."""

from __future__ import annotations

import itertools
from typing import Any

from lmc_sweep.config import fields
from lmc_sweep.config.grid import refuse_repeated
from lmc_sweep.config.refusals import Refusal, shown
from workers.specs import NetworkSpec

_MAX_ALPHAS = 10_001
_MAX_SEEDS = 1_000_000  # networks of one cell; a slip of the finger is refused before memory is gone

MOST_ITEMS = 1_000_000
"""Of one kind, in one section: a plan lists each of them, and was tried with a tenth of that."""


def refuse_many(number: int, path: str, what: str, remedy: str) -> None:
    """Refuses more items than a plan can list, before any is made.

    Args:
        number: Items that a section asks for.
        path: Where it stands.
        what: The items, and what they are of.
        remedy: What to ask for instead.
    """
    if number > MOST_ITEMS:
        raise Refusal(path, f"asks for {number:,} {what}, more than {MOST_ITEMS:,}. {remedy}")


def alphas_of(value: Any, path: str) -> tuple[float, ...]:
    """The positions that a count or a list stands for, and 1/2."""
    if isinstance(value, list):
        alphas = fields.checked(tuple[float, ...], value, path)
        for before, after in itertools.pairwise(alphas):
            if after <= before:
                raise Refusal(path, f"must be strictly increasing, but {before:g} is followed by {after:g}")
        if not alphas or (alphas[0], alphas[-1]) != (0.0, 1.0):
            found = f"from {alphas[0]:g} to {alphas[-1]:g}" if alphas else "empty"
            raise Refusal(
                path, f"must begin at 0 and end at 1, where barriers have their chord; this list is {found}"
            )
        return tuple(sorted({*alphas, 0.5}))
    if isinstance(value, bool) or not isinstance(value, int):
        text = "should be a count (11 for 0, 0.1, ... 1) or a list from 0 to 1"
        raise Refusal(path, f"{text}, not {shown(value)}")
    if not 2 <= value <= _MAX_ALPHAS:
        raise Refusal(path, f"a count of alphas must be from 2 to {_MAX_ALPHAS}, not {shown(value)}")
    return tuple(sorted({index / (value - 1) for index in range(value)} | {0.5}))


def seeds_of(value: Any, path: str) -> tuple[int, ...]:
    """The seeds that a count or a list stands for."""
    if isinstance(value, list):
        if not value:
            raise Refusal(path, "an empty list names no network. Name at least one seed, or a count")
        refuse_repeated(value, path)
        seed = fields.annotation(NetworkSpec, "seed")
        return tuple(fields.checked(seed, one, f"{path}[{index}]") for index, one in enumerate(value))
    if isinstance(value, bool) or not isinstance(value, int):
        raise Refusal(
            path, f"should be a count (10 for the seeds 0 to 9) or a list of seeds, not {shown(value)}"
        )
    if not 1 <= value <= _MAX_SEEDS:
        raise Refusal(path, f"a count of seeds must be from 1 to {_MAX_SEEDS}, not {shown(value)}")
    return tuple(range(value))
