"""Barriers joined with the searches that led to them: the rows that every figure of searches begins with."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

from lmc_sweep.store.sql_text import literal

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

Pair = tuple[str, str, str, float | None, int, int]
"""Cell, world, pair_id, noise, member_a, member_b: the same before and after every method."""

BARRIER_COLUMNS = (
    "barrier_id",
    "alignment_id",
    "cell_id",
    "pair_id",
    "world",
    "method_json",
    "dataset",
    "architecture",
    "width",
    "depth",
    "label_noise",
    "member_a",
    "member_b",
    "alphas",
    "planted_noise",
    "layers",
)
"""Columns of ``barriers`` that are read, besides the barrier asked for."""

ALIGNMENT_COLUMNS = (
    "alignment_id",
    "networks",
    "align_seconds",
    "num_evaluations",
    "outcome",
    "recovered",
)
"""Columns of ``alignments`` that are read."""


@dataclass(frozen=True)
class SearchQuestion:
    """Which barriers are looked at: as the columns of ``barriers`` call them, and the world."""

    quantity: Literal["loss", "error"] = "error"
    extent: Literal["supremum", "midpoint"] = "midpoint"
    split: str = "train"
    correction: str = "none"
    world: str = "real"

    @property
    def column(self) -> str:
        """The column of ``barriers`` that holds the figure."""
        return (
            f"{self.quantity}_barrier" if self.extent == "supremum" else f"{self.quantity}_midpoint_barrier"
        )


@dataclass(frozen=True)
class Place:
    """What a panel or a row of a table is about: one kind of network, aligned ``num_networks`` at a time."""

    dataset: str
    architecture: str
    width: int | None
    depth: int | None
    num_networks: int
    label_noise: float = 0.0

    @property
    def label(self) -> str:
        """The networks in words, without how many were aligned."""
        sizes = [f"{name} {size:,}" for name, size in (("width", self.width), ("depth", self.depth)) if size]
        noise = [f"label noise {self.label_noise:g}"] if self.label_noise else []
        return ", ".join([f"{self.dataset} {self.architecture}", *sizes, *noise])

    @property
    def order(self) -> tuple[float, str, str, int, int, int]:
        """What places are sorted by: those of labels as they are come first."""
        sizes = self.depth or 0, self.width or 0, self.num_networks
        return self.label_noise, self.dataset, self.architecture, *sizes


@dataclass(frozen=True)
class Searched:
    """One barrier of one pair after one method; ``value`` is None where a network diverged.

    ``networks`` are all that were aligned together.
    """

    pair: Pair
    place: Place
    method_json: str
    value: float | None
    num_alphas: int
    noise: float | None
    layers: str | None
    seconds: float | None
    num_evaluations: int | None
    outcome: str
    recovered: float | None
    networks: tuple[str, ...]

    @cached_property
    def method(self) -> Mapping[str, Any]:
        """The method's options."""
        found: dict[str, Any] = json.loads(self.method_json)
        return found

    @property
    def name(self) -> str:
        """The method's name."""
        return str(self.method["method"])

    @property
    def group(self) -> tuple[str, str, str, float | None]:
        """The networks that were aligned together: pairs of one group share networks."""
        return self.pair[:4]


def read(
    store: Store, sweep: str | None, question: SearchQuestion, *, of_layers: bool = False
) -> list[Searched]:
    """The barriers that ``question`` asks for, of a store or of one sweep in it, the finest grid of each.

    Barriers of single layers are left out, or with ``of_layers`` the only ones.
    """
    asked = None if sweep is None else store.item_ids(sweep, "barrier")
    is_of_layers = "layers IS NOT NULL" if of_layers else "layers IS NULL"
    barriers = store.barriers().filter(
        f"{is_of_layers} AND split = {literal(question.split)}"
        f" AND correction = {literal(question.correction)} AND world = {literal(question.world)}"
    )
    columns = (*BARRIER_COLUMNS, question.column)
    rows = [dict(zip(columns, row, strict=True)) for row in barriers.project(", ".join(columns)).fetchall()]
    alignments = {
        row[0]: dict(zip(ALIGNMENT_COLUMNS, row, strict=True))
        for row in store.alignments().project(", ".join(ALIGNMENT_COLUMNS)).fetchall()
    }
    found = [
        searched(row, alignments[row["alignment_id"]], row[question.column])
        for row in rows
        if (asked is None or row["barrier_id"] in asked) and row["alignment_id"] in alignments
    ]
    return finest(found)


def searched(barrier: Mapping[str, Any], alignment: Mapping[str, Any], value: float | None) -> Searched:
    """One row of ``barriers`` joined with its row of ``alignments``."""
    return Searched(
        pair=(
            barrier["cell_id"],
            barrier["world"],
            barrier["pair_id"],
            barrier["planted_noise"],
            barrier["member_a"],
            barrier["member_b"],
        ),
        place=Place(
            barrier["dataset"],
            barrier["architecture"],
            barrier["width"],
            barrier["depth"],
            len(alignment["networks"]),
            barrier["label_noise"] or 0.0,
        ),
        method_json=barrier["method_json"],
        value=value,
        num_alphas=len(barrier["alphas"]),
        noise=barrier["planted_noise"],
        layers=barrier["layers"],
        seconds=alignment["align_seconds"],
        num_evaluations=alignment["num_evaluations"],
        outcome=alignment["outcome"],
        recovered=alignment["recovered"],
        networks=tuple(alignment["networks"]),
    )


def finest(rows: Iterable[Searched]) -> list[Searched]:
    """One row per pair, method and layers: that of the finest grid of alphas."""
    kept: dict[tuple[Pair, str, str | None], Searched] = {}
    for row in rows:
        key = row.pair, row.method_json, row.layers
        if key not in kept or kept[key].num_alphas < row.num_alphas:
            kept[key] = row
    return list(kept.values())


def same_pairs(rows: Sequence[Searched]) -> tuple[list[Searched], int]:
    """The rows of pairs that every method of their place measured, and how many pairs that left out.

    Methods are compared on the same pairs alone: one that was asked of easy pairs only, or that has not
    finished, would look better than it is. A method counts in the places where it measured any pair.
    """
    methods: dict[Place, set[str]] = {}
    seen: dict[tuple[Place, Pair], set[str]] = {}
    for row in rows:
        methods.setdefault(row.place, set()).add(row.method_json)
        of_pair = seen.setdefault((row.place, row.pair), set())
        if row.value is not None:
            of_pair.add(row.method_json)
    complete = {key for key, found in seen.items() if found == methods[key[0]]}
    return [row for row in rows if (row.place, row.pair) in complete], len(seen) - len(complete)
