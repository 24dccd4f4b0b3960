"""Rows of the table ``barrier_matrices``: the barriers of all pairs of a cell, and the ways around them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np

from lmc_sweep.analysis.cell_rows import KIND_COLUMNS, BarrierQuestion, Kind
from lmc_sweep.store.sql_text import literal

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

WAYS = ("direct", "indirect", "bottleneck")
"""A pair's barrier; the lowest way over one other network; the lowest chain of any length."""

_COLUMNS = {"direct": "barriers", "indirect": "indirect_barriers", "bottleneck": "bottlenecks"}


@dataclass(frozen=True)
class Matrix:
    """The barriers between networks of one cell, before or after one method.

    Attributes:
        kind: What the networks are.
        cell_id, method_json, split, pairing: As the columns of the table say.
        num_networks: How many there are.
        pairs: Positions of the networks of each pair.
        heights: By the names in WAYS, one per pair; NaN where there is none.
        num_legs: Of each pair's lowest chain; 0 where there is none.
        num_alphas: Positions at which each barrier was measured.
    """

    kind: Kind
    cell_id: str
    method_json: str
    split: str
    pairing: str
    num_networks: int
    pairs: np.ndarray
    heights: dict[str, np.ndarray]
    num_legs: np.ndarray
    num_alphas: int

    @cached_property
    def method(self) -> str:
        """The method's name."""
        return str(json.loads(self.method_json)["method"])

    @cached_property
    def square(self) -> np.ndarray:
        """The direct barriers as a symmetric matrix; NaN where none is known."""
        found = np.full((self.num_networks, self.num_networks), np.nan)
        first, second = self.pairs.T
        found[first, second] = found[second, first] = self.heights["direct"]
        return found

    def known(self, way: str) -> np.ndarray:
        """The heights of one way, of the pairs that have any."""
        values = self.heights[way]
        found: np.ndarray = values[~np.isnan(values)]
        return found

    def share_below(self) -> float | None:
        """Share of pairs whose indirect barrier is below the direct one; None where no pair has both."""
        direct, indirect = self.heights["direct"], self.heights["indirect"]
        both = ~np.isnan(direct) & ~np.isnan(indirect)
        return float(np.mean(indirect[both] < direct[both])) if both.any() else None


def read(
    store: Store, sweep: str | None, question: BarrierQuestion, split: str | None
) -> tuple[list[Matrix], int]:
    """The matrices of a store, or of one sweep in it, and how many are left out.

    Of one cell, method and split the matrix with most pairs is kept; of as many, that of the finer grid. All
    pairs go before independent draws. Without ``split``, those of both.
    """
    asked = None if sweep is None else store.item_ids(sweep, "barrier_matrix")
    lists = [f"{question.quantity}_{column}" for column in _COLUMNS.values()]
    columns = (
        *("matrix_id", "cell_id", "method_json", "split", "pairing", "num_networks"),
        *("positions_a", "positions_b", "spec_json", *KIND_COLUMNS),
        *(*lists, f"{question.quantity}_bottleneck_legs"),
    )
    wanted = f"height = {literal(question.extent)} AND correction = {literal(question.correction)}"
    if split is not None:
        wanted += f" AND split = {literal(split)}"
    rows = store.barrier_matrices().filter(wanted).project(", ".join(columns)).fetchall()
    found = [_matrix(dict(zip(columns, row, strict=True)), lists) for row in sorted(rows)]
    of_sweep = [one for one, row in zip(found, sorted(rows), strict=True) if asked is None or row[0] in asked]
    kept = largest(of_sweep)
    return kept, len(of_sweep) - len(kept)


def largest(found: Sequence[Matrix]) -> list[Matrix]:
    """One matrix for each cell, method and split."""
    best: dict[tuple[str, str, str], Matrix] = {}
    for one in found:
        key = one.cell_id, one.method_json, one.split
        if key not in best or _size(one) > _size(best[key]):
            best[key] = one
    return list(best.values())


def _size(one: Matrix) -> tuple[bool, int, int]:
    return one.pairing == "all", len(one.pairs), one.num_alphas


def _matrix(row: dict[str, Any], lists: Sequence[str]) -> Matrix:
    """One row of the table."""
    legs = next(name for name in row if name.endswith("_bottleneck_legs"))
    return Matrix(
        kind=Kind(*(row[name] for name in KIND_COLUMNS)),
        cell_id=row["cell_id"],
        method_json=row["method_json"],
        split=row["split"],
        pairing=row["pairing"],
        num_networks=row["num_networks"],
        pairs=np.array([row["positions_a"], row["positions_b"]], dtype=np.int64).T,
        heights={
            way: np.array([np.nan if value is None else value for value in row[name]], dtype=np.float64)
            for way, name in zip(WAYS, lists, strict=True)
        },
        num_legs=np.array([legs_of or 0 for legs_of in row[legs]], dtype=np.int64),
        num_alphas=len(json.loads(row["spec_json"])["alphas"]),
    )
