"""Rows of a second table that are committed before the row of the item that they belong to."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store


@dataclass(frozen=True)
class FurtherRows:
    """Where an item has further rows.

    Attributes:
        table: That holds them.
        told_by: The column of the item's own table that says, with ``spec_json``, whether there are any.
        are_there: Whether an item has any, given what it was asked, and that column.
    """

    table: str
    told_by: str
    are_there: Callable[[Mapping[str, Any], Any], bool]


def _has_averages(asked: Mapping[str, Any], num_finite: Any) -> bool:
    """Whether any of the numbers of networks that were to be averaged is there."""
    return any(size <= num_finite for size in asked["averages"])


def _has_points(asked: Mapping[str, Any], is_converged: Any) -> bool:
    """Whether points were to be measured, and there was a path."""
    return asked.get("points") is not None and is_converged is not None


FURTHER_ROWS = {
    "canonical_forms": FurtherRows("canonical_averages", "num_finite", _has_averages),
    "permutation_paths": FurtherRows("permutation_points", "is_converged", _has_points),
}
"""By the items' own table. Both tables name an item by the same column."""


def without_further_rows(store: Store, table: str, key: str) -> set[str]:
    """Ids of a table's items whose further rows have gone; none where a row does not tell."""
    further = FURTHER_ROWS[table]
    asked = (
        f"SELECT {key}, spec_json, {further.told_by} AS told FROM {table} "
        f"WHERE {key} NOT IN (SELECT {key} FROM {further.table})"
    )
    found = set()
    for row in store.answer(asked).to_pylist():
        try:
            is_owed = further.are_there(json.loads(row["spec_json"]), row["told"])
        except (TypeError, ValueError, LookupError, AttributeError, RecursionError):
            continue
        if is_owed:
            found.add(row[key])
    return found
