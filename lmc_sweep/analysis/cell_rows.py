"""Barriers and networks with what their cell is: what figures along width, depth and task begin with."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TypeVar

import numpy as np

from lmc_sweep.analysis.clusters import clusters_of
from lmc_sweep.analysis.intervals import Mean, mean_with_interval
from lmc_sweep.store.sql_text import literal

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

Key = TypeVar("Key", bound=Hashable)
Row = TypeVar("Row")

KIND_COLUMNS = ("dataset", "architecture", "width", "depth", "label_noise")
"""Columns of ``barriers`` and of ``networks`` that say what a network is."""

ROW_COLUMNS = (
    "cell_id",
    "pair_id",
    "world",
    "method_json",
    "split",
    "network_a",
    "network_b",
    "member_a",
    "member_b",
    "alphas",
)
"""Further columns of ``barriers`` that are read, besides the barrier asked for."""

NETWORK_COLUMNS = ("network_id", "cell_id", "train_loss", "test_loss", "train_error", "test_error")


@dataclass(frozen=True)
class Kind:
    """What the networks of a cell are, as far as figures tell them apart."""

    dataset: str
    architecture: str
    width: int | None
    depth: int | None
    label_noise: float


@dataclass(frozen=True)
class BarrierQuestion:
    """Which barriers are looked at.

    Attributes:
        quantity: Of the loss, in nats, or of the error, as a fraction.
        extent: The largest height over the grid of alphas, or the height at alpha 1/2.
        correction: What was done to interpolated networks before they were measured.
        num_networks: Networks that were aligned at a time.
    """

    quantity: Literal["loss", "error"] = "error"
    extent: Literal["supremum", "midpoint"] = "midpoint"
    correction: str = "none"
    num_networks: int = 2

    @property
    def column(self) -> str:
        """The column of ``barriers`` that holds the figure."""
        return (
            f"{self.quantity}_barrier" if self.extent == "supremum" else f"{self.quantity}_midpoint_barrier"
        )


@dataclass(frozen=True)
class CellBarrier:
    """One barrier of one pair on one split; ``value`` is None where a network diverged."""

    kind: Kind
    cell_id: str
    pair_id: str
    world: str
    method_json: str
    split: str
    network_a: str
    network_b: str
    member_a: int
    member_b: int
    alphas: tuple[float, ...]
    value: float | None

    @cached_property
    def method(self) -> str:
        """The method's name."""
        return str(json.loads(self.method_json)["method"])

    @property
    def group(self) -> tuple[str, str, str]:
        """The networks that were aligned together: pairs of one group share networks."""
        return self.cell_id, self.world, self.pair_id

    @property
    def networks(self) -> tuple[str, str]:
        """Ids of the two networks."""
        return self.network_a, self.network_b

    @property
    def pair(self) -> tuple[str, str, str, int, int]:
        """The same before and after every method, on both splits."""
        return *self.group, self.member_a, self.member_b


@dataclass(frozen=True)
class CellNetwork:
    """One network; its figures are None where it diverged."""

    kind: Kind
    network_id: str
    cell_id: str
    figures: Mapping[str, float | None]


def read_barriers(store: Store, sweep: str | None, question: BarrierQuestion) -> list[CellBarrier]:
    """The barriers that ``question`` asks for, of a store or of one sweep in it, the finest grid of each.

    Those of worlds real and model, of whole networks at the end of their training.
    """

    def ask() -> list[CellBarrier]:
        rows = read_columns(store, sweep, question, question.column)
        return finest(cell_barrier(row, value) for row, value in rows)

    return list(store.kept(("cell barriers", sweep, question), ask))


def pairs_by_networks(store: Store, sweep: str | None, correction: str) -> dict[int, int]:
    """How many networks were aligned at a time, to the pairs that were measured so; those with most first."""
    counts = {}
    for (number,) in store.alignments().project("len(networks)").distinct().fetchall():
        question = BarrierQuestion(correction=correction, num_networks=number)
        counts[number] = len({row.pair for row in read_barriers(store, sweep, question)})
    return dict(sorted(counts.items(), key=lambda count: (-count[1], count[0])))


def read_columns(
    store: Store, sweep: str | None, question: BarrierQuestion, column: str
) -> Iterator[tuple[dict[str, Any], Any]]:
    """Rows of ``barriers`` that ``question`` asks for, each with its value in ``column``."""
    asked = None if sweep is None else store.item_ids(sweep, "barrier")
    members = dict(store.alignments().project("alignment_id, len(networks)").fetchall())
    barriers = store.barriers().filter(
        "layers IS NULL AND save_at IS NULL AND world IN ('real', 'model')"
        f" AND correction = {literal(question.correction)}"
    )
    columns = ("barrier_id", "alignment_id", *KIND_COLUMNS, *ROW_COLUMNS, column)
    for row in barriers.project(", ".join(columns)).fetchall():
        if (asked is None or row[0] in asked) and members.get(row[1]) == question.num_networks:
            yield dict(zip(columns, row, strict=True)), row[-1]


def cell_barrier(row: Mapping[str, Any], value: float | None) -> CellBarrier:
    """One row of ``barriers``, of which ``value`` is the figure asked for."""
    told = {name: row[name] for name in ROW_COLUMNS}
    return CellBarrier(kind=_kind(row), value=value, **{**told, "alphas": tuple(row["alphas"])})


def read_networks(store: Store, sweep: str | None) -> list[CellNetwork]:
    """The networks of a store, or of one sweep in it, at the end of their training."""
    asked = None if sweep is None else store.item_ids(sweep, "network")
    columns = (*KIND_COLUMNS, *NETWORK_COLUMNS)
    rows = store.networks().filter("save_at IS NULL").project(", ".join(columns)).fetchall()
    named = (dict(zip(columns, row, strict=True)) for row in rows)
    return [cell_network(row) for row in named if asked is None or row["network_id"] in asked]


def cell_network(row: Mapping[str, Any]) -> CellNetwork:
    """One row of ``networks``."""
    figures = {name: row[name] for name in NETWORK_COLUMNS[2:]}
    return CellNetwork(_kind(row), row["network_id"], row["cell_id"], figures)


def finest(rows: Iterable[CellBarrier]) -> list[CellBarrier]:
    """One row per pair, method and split: that of the finest grid of alphas."""
    kept: dict[Hashable, CellBarrier] = {}
    for row in rows:
        key = row.pair, row.method_json, row.split
        if key not in kept or len(kept[key].alphas) < len(row.alphas):
            kept[key] = row
    return list(kept.values())


def on_same_pairs(rows: Sequence[CellBarrier]) -> tuple[list[CellBarrier], int]:
    """Rows with a value, of pairs that every method of their cell and world measured; and how many were not.

    Methods are compared on the same pairs alone: one that has not finished would look better or worse
    than it is. A method counts in the cells where it measured any pair.
    """
    methods: dict[Hashable, set[str]] = defaultdict(set)
    seen: dict[Hashable, set[str]] = defaultdict(set)
    for row in rows:
        methods[row.cell_id, row.world, row.split].add(row.method_json)
        if row.value is not None:
            seen[row.pair, row.split].add(row.method_json)
    kept = [
        row
        for row in rows
        if row.value is not None and seen[row.pair, row.split] == methods[row.cell_id, row.world, row.split]
    ]
    return kept, len({row.pair for row in rows}) - len({row.pair for row in kept})


def grouped(rows: Iterable[Row], key: Callable[[Row], Key]) -> dict[Key, list[Row]]:
    """The rows by key, in their order."""
    found: dict[Key, list[Row]] = defaultdict(list)
    for row in rows:
        found[key(row)].append(row)
    return dict(found)


def barrier_mean(rows: Sequence[CellBarrier]) -> Mean:
    """Mean barrier with its interval over pairs that share no networks; at least one row with a value."""
    known = [(row.value, row) for row in rows if row.value is not None]
    return mean_with_interval([value for value, _ in known], clusters_of(row for _, row in known))


def network_mean(rows: Sequence[CellNetwork], figure: str) -> Mean | None:
    """Mean of a figure with its interval over networks; None where all of them diverged."""
    values = [row.figures[figure] for row in rows]
    known = [value for value in values if value is not None and np.isfinite(value)]
    return mean_with_interval(known) if known else None


def _kind(row: Mapping[str, Any]) -> Kind:
    return Kind(*(row[name] for name in KIND_COLUMNS))
