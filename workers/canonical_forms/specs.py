"""What is asked of the canonical forms of a cell: frozen values, free of torch.

A treatment is one way of putting the units of several networks in order. Every treatment keeps what
each network computes; distances between networks, and their mean, depend on it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Annotated, Literal

from annotated_types import Ge, Gt

from workers.specs import Split


@dataclass(frozen=True, kw_only=True)
class Raw:
    """Units as training left them."""

    treatment: Literal["raw"] = "raw"


@dataclass(frozen=True, kw_only=True)
class Sorted:
    """NodeSort: every network's units in a canonical order of its own, by its outgoing weights.

    ``key``: ``lexicographic``, or ``power``: by the sum of the outgoing weights times 1, p, p^2, ...

    Source: Sorensen 2020, algorithm 1.
    """

    treatment: Literal["sorted"] = "sorted"
    key: Literal["lexicographic", "power"] = "lexicographic"
    power: Annotated[float, Gt(1)] | None = None


@dataclass(frozen=True, kw_only=True)
class Matched:
    """Every network by weight matching to the first one.

    ``restarts``: descents per network, where one hidden layer does not make a single one exact.
    """

    treatment: Literal["matched"] = "matched"
    restarts: Annotated[int, Ge(1)] = 3


@dataclass(frozen=True, kw_only=True)
class Merged:
    """Every network in turn by weight matching to the mean of the others, until nothing moves.

    ``max_sweeps`` bounds the rounds; ``tolerance`` is the improvement at which they end, as a share of
    the largest inner product there could be.

    Source: Ainsworth, Hayase, Srinivasa 2022 (Git Re-Basin), algorithm 3.
    """

    treatment: Literal["merged"] = "merged"
    max_sweeps: Annotated[int, Ge(1)] = 50
    tolerance: Annotated[float, Ge(0)] = 1e-4


Treatment = Raw | Sorted | Matched | Merged

TREATMENTS: dict[str, type[Treatment]] = {
    "raw": Raw,
    "sorted": Sorted,
    "matched": Matched,
    "merged": Merged,
}


@dataclass(frozen=True, kw_only=True)
class CanonicalSpec:
    """Everything that decides the numbers of one cell under one treatment.

    Attributes:
        networks: Their network_ids in the order of the cell's seeds; the first is the one matched to.
        treatment: How their units are put in order.
        epsilons: Distances of all parameters below which two networks count as near.
        averages: Numbers of networks to average.
        groups: Averages of each number at most: the first n networks, the next n, and so on.
        splits: Examples on which averages are measured.
    """

    networks: tuple[str, ...]
    treatment: Treatment
    epsilons: tuple[Annotated[float, Gt(0)], ...] = (1e-6, 1e-3, 1.0)
    averages: tuple[Annotated[int, Ge(2)], ...] = ()
    groups: Annotated[int, Ge(1)] = 1
    splits: tuple[Split, ...] = field(default=("train", "test"))
