"""Single rows, read from exactly the files and the parts of them that hold them."""

from __future__ import annotations

import bisect
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from lmc_sweep.errors import StoreError
from lmc_sweep.store.listing import Listing, Place
from lmc_sweep.store.nondeterminism import Nondeterminism, compared_columns, differences
from lmc_sweep.store.places import integers, rows_by_path


def fetch(listing: Listing, ids: Sequence[str], columns: Sequence[str]) -> list[dict[str, Any]]:
    """The columns of the rows with these ids, in their order; KeyError names a missing id.

    FileNotFoundError where compaction has moved the rows since they were listed.
    """
    table = listing.table
    unknown = [name for name in columns if name not in table.by_name]
    if unknown:
        raise StoreError(f"{table.name}: unknown columns {unknown}. Known columns: {list(table.by_name)}")
    places = listing.places().first(set(ids))
    missing = [key for key in ids if key not in places]
    if missing:
        raise KeyError(
            f"{table.name} has no {table.key} {missing[0]!r} ({len(missing)} of {len(ids)} are missing)"
        )
    found = read(listing, [places[key] for key in ids], columns)
    return [dict(found[places[key]]) for key in ids]


def disagreements(listing: Listing) -> list[Nondeterminism]:
    """Where the rows of one id differ beyond the tolerance; copies of a row count as one.

    Compactions that meet where there are no locks leave copies: of one time, with the same values.
    """
    if not listing.has_repeated():
        return []
    columns = [column.name for column in compared_columns(listing.table)]
    repeated = listing.places().repeated()
    found = read(listing, [place for _, places in repeated for place in places], columns)
    return [
        difference
        for key, places in repeated
        for difference in differences(listing.table, key, _distinct(places, found))
    ]


def _distinct(
    places: Sequence[Place], found: Mapping[Place, dict[str, Any]]
) -> list[tuple[str, dict[str, Any]]]:
    """File and values of each row, but of those that are copies of one row the first alone."""
    firsts: dict[tuple[int, str], Place] = {}
    for place in places:
        firsts.setdefault((place.created_at, repr(found[place])), place)
    return [(place.path, found[place]) for place in firsts.values()]


def read(listing: Listing, places: Sequence[Place], columns: Sequence[str]) -> dict[Place, dict[str, Any]]:
    """The columns of single rows, each file opened once; what a file of an earlier version lacks is null."""
    chosen: dict[str, dict[int, Place]] = {place.path: {} for place in places}
    for place in places:
        chosen[place.path][place.row] = place
    found: dict[Place, dict[str, Any]] = {}
    for path, rows in rows_by_path(list(dict.fromkeys(places))).items():
        present = [name for name in columns if name in listing.files[path].columns]
        for row, values in zip(sorted(rows), _rows(listing, path, sorted(rows), present), strict=True):
            found[chosen[path][row]] = {name: values.get(name) for name in columns}
    return found


def _rows(listing: Listing, path: str, rows: list[int], columns: list[str]) -> list[dict[str, Any]]:
    """Rows of one file in ascending order; only the row groups that hold them are read."""
    key = listing.table.key  # read in any case: without a column Arrow forgets the number of rows
    names = list(dict.fromkeys([key, *columns]))
    found: list[dict[str, Any]] = []
    with pq.ParquetFile(listing.root / path) as parquet:
        start = 0
        for group in range(parquet.metadata.num_row_groups):
            end = start + parquet.metadata.row_group(group).num_rows
            inside = rows[bisect.bisect_left(rows, start) : bisect.bisect_left(rows, end)]
            if inside:
                data = parquet.read_row_group(group, columns=names, use_threads=False)
                found += data.take(integers(np.array(inside, dtype=np.int32) - np.int32(start))).to_pylist()
            start = end
    return found
