"""Single rows, read from exactly the files that hold them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import pyarrow.parquet as pq

from lmc_sweep.errors import StoreError
from lmc_sweep.store.listing import Listing, Place
from lmc_sweep.store.nondeterminism import Nondeterminism, compared_columns, differences

_ATTEMPTS = 3


def fetch(listing: Listing, ids: Sequence[str], columns: Sequence[str]) -> list[dict[str, Any]]:
    """The columns of the rows with these ids, in their order; KeyError names a missing id."""
    table = listing.table
    unknown = [name for name in columns if name not in table.by_name]
    if unknown:
        raise StoreError(f"{table.name}: unknown columns {unknown}. Known columns: {list(table.by_name)}")
    for attempt in range(_ATTEMPTS):
        missing = [key for key in ids if key not in listing.places]
        if missing:
            raise KeyError(
                f"{table.name} has no {table.key} {missing[0]!r} ({len(missing)} of {len(ids)} are missing)"
            )
        wanted = [listing.places[key][0] for key in ids]
        try:
            found = _read(listing, wanted, columns)
        except FileNotFoundError:  # compaction moved the rows to another file after they were listed
            if attempt == _ATTEMPTS - 1:
                raise
            listing.refresh()
        else:
            return [dict(found[place]) for place in wanted]
    raise AssertionError("unreachable")


def disagreements(listing: Listing) -> Iterator[Nondeterminism]:
    """Where the rows of one id differ beyond the tolerance."""
    repeated = {key: places for key, places in listing.places.items() if len(places) > 1}
    columns = [column.name for column in compared_columns(listing.table)]
    found = _read(listing, [place for places in repeated.values() for place in places], columns)
    for key in sorted(repeated):
        yield from differences(listing.table, key, [(place.path, found[place]) for place in repeated[key]])


def _read(listing: Listing, places: Sequence[Place], columns: Sequence[str]) -> dict[Place, dict[str, Any]]:
    """The columns of single rows, each file opened once."""
    by_file: dict[str, list[Place]] = {}
    for place in dict.fromkeys(places):
        by_file.setdefault(place.path, []).append(place)
    rows: dict[Place, dict[str, Any]] = {}
    for path, wanted in by_file.items():
        key = listing.table.key  # read in any case: without a column Arrow forgets the number of rows
        present = [key, *(name for name in columns if name in listing.files[path].columns and name != key)]
        data = pq.read_table(listing.root / path, columns=present, partitioning=None, memory_map=False)
        chosen = data.take([place.row for place in wanted]).to_pylist()
        for place, values in zip(wanted, chosen, strict=True):
            rows[place] = {name: values.get(name) for name in columns}
    return rows
