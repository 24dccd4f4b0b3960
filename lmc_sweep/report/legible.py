"""Whether a store's columns of JSON hold any: every section of a report reads some of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lmc_sweep.errors import StoreError, SweepError
from lmc_sweep.store.schema import TABLES

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

COLUMNS = ("spec_json", "method_json", "treatment_json")
"""What says how a row came to be: sections take their words and groups from it."""

_SHOWN_CHARACTERS = 40


def require_json(store: Store, named: str) -> None:
    """Raises StoreError for a row whose description is no JSON; what cannot be read is told elsewhere.

    No version of this program wrote such a row.
    """
    for table in TABLES.values():
        key = table.key or "''"
        for column in COLUMNS:
            if column not in table.by_name:
                continue
            wrong = f"SELECT {key} AS id, {column} FROM {table.name} WHERE NOT json_valid({column}) LIMIT 1"
            try:
                found = store.answer(wrong).to_pylist()
            except SweepError:
                continue
            if found:
                text = found[0][column][:_SHOWN_CHARACTERS]
                raise StoreError(
                    f"{named}: {table.name}.{column} of {found[0]['id']} is no JSON ({text!r}), which no "
                    "run wrote there. The other columns can be read: lmc-sweep query"
                )
