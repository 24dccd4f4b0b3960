"""The item that the beginning of an id means."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmc_sweep.errors import StoreError
from lmc_sweep.kinds import KINDS, in_singular

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

SHORTEST_PREFIX = 4
_SHOWN_MATCHES = 5
_ROWS_OF_OTHERS = {
    "permutation_points": ("path_id", "permutation_path"),
    "canonical_averages": ("canonical_id", "canonical_form"),
    "search_traces": ("alignment_id", "alignment"),
}
"""Tables of rows that are made along with an item: the column that names it, and its kind."""


def find_item(store: Store, prefix: str) -> tuple[str | None, str]:
    """Kind and id of the one item whose id begins so; of kind None if it failed."""
    from lmc_sweep.execution.failed_items import failed_ids

    if len(prefix) < SHORTEST_PREFIX:
        raise StoreError(f"{prefix!r}: give at least {SHORTEST_PREFIX} characters of an id")
    held = {key: kind for kind in KINDS for key in store.ids(kind) if key.startswith(prefix)}
    failed = {key for key in failed_ids(store) if key.startswith(prefix)} - held.keys()
    matches = sorted({*held, *failed})
    if prefix in matches:
        matches = [prefix]
    if not matches:
        _refuse_rows_of_others(store, prefix)
        raise StoreError(
            f"{store.uri}: the id of no item, stored or failed, begins with {prefix!r}. "
            f"`lmc-sweep query {store.uri} 'SELECT barrier_id FROM barriers'` lists ids"
        )
    if len(matches) > 1:
        listed = ", ".join(matches[:_SHOWN_MATCHES]) + (", ..." if len(matches) > _SHOWN_MATCHES else "")
        raise StoreError(f"{prefix!r} is the beginning of {len(matches)} ids: {listed}. Give more characters")
    return held.get(matches[0]), matches[0]


def _refuse_rows_of_others(store: Store, prefix: str) -> None:
    """Raises StoreError that names the item, where the id is that of a row which was made along with one."""
    from lmc_sweep.store.schema import TABLES
    from lmc_sweep.store.sql_text import literal

    for name, (column, kind) in _ROWS_OF_OTHERS.items():
        key = TABLES[name].key
        asked = f"SELECT {key}, {column} FROM {name} WHERE starts_with({key}, {literal(prefix)}) LIMIT 1"
        for row in store.answer(asked).to_pylist():
            raise StoreError(
                f"{row[key]} is an id ({key}) of {name}, whose rows are no items: it belongs to "
                f"{in_singular(kind)} {row[column]}. `lmc-sweep repro {store.uri} {row[column]}` computes "
                "that again"
            )
