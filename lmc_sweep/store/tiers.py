"""Which record files of a table are worth merging, and which of their rows repeat another.

A row is written anew only when the files merged with it hold at least a quarter of its file's bytes, so
a row that was compacted once is rewritten a few times at most, however often compaction runs. Rows are
dropped only where the row that counts is merged with them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from lmc_sweep.store.listing import Listing, Place
from lmc_sweep.store.nondeterminism import compared_columns, differences
from lmc_sweep.store.record_files import RecordFile
from lmc_sweep.store.rows import read
from lmc_sweep.store.sql_text import literals

FULL_ROWS = 250_000
FULL_BYTES = 100_000_000

_LEAST_SHARE = 0.25
_IDS_AT_ONCE = 20_000


@dataclass(frozen=True)
class Merge:
    """Files to merge, the rows of them that are left out, and whether no identity is then in them twice."""

    files: tuple[RecordFile, ...]
    dropped: Mapping[str, list[int]]
    distinct: bool

    @property
    def num_rows(self) -> int:
        """Rows that stay."""
        return sum(file.num_rows for file in self.files) - self.num_dropped

    @property
    def num_dropped(self) -> int:
        """Rows that are left out."""
        return sum(map(len, self.dropped.values()))


def choose(listing: Listing) -> Merge | None:
    """What is worth merging in a table now; None when little would be gained."""
    hashed = {path: file for path, file in listing.files.items() if file.digest is not None}
    small = _tier([file for file in hashed.values() if not _is_full(file)])
    if not small and listing.vouched_for():
        return None
    groups = _repeated_items(listing) if listing.table.key is None else _agreeing(listing)
    # a row is dropped only where it and the one that counts have names that tell their content
    groups = [group for group in groups if hashed.keys() >= {place.path for place in group}]
    chosen = {file.path for file in small} | {place.path for group in groups for place in group}
    if not chosen:
        return None
    dropped: dict[str, list[int]] = {}
    for group in groups:
        for place in group[1:]:
            dropped.setdefault(place.path, []).append(place.row)
    files = tuple(hashed[path] for path in sorted(chosen))
    merge = Merge(files, dropped, _is_distinct(listing, chosen, dropped))
    return merge if merge.num_rows else None  # files without rows are somebody else's


def _is_full(file: RecordFile) -> bool:
    """Whether a file is so large that merging it gains nothing."""
    return file.num_rows >= FULL_ROWS // 2 or file.num_bytes >= FULL_BYTES // 2


def _tier(files: list[RecordFile]) -> list[RecordFile]:
    """The small files that are worth merging: two at least, none of which holds most of the bytes."""
    chosen = sorted(files, key=lambda file: file.num_bytes)
    while len(chosen) > 1:
        rest = sum(file.num_bytes for file in chosen[:-1])
        if rest >= _LEAST_SHARE * chosen[-1].num_bytes:
            return chosen
        chosen.pop()
    return []


def _is_distinct(listing: Listing, chosen: set[str], dropped: Mapping[str, list[int]]) -> bool:
    """Whether the chosen files hold every identity once, without the dropped rows."""
    if listing.table.key is None:
        return True
    gone = {(path, row) for path, rows in dropped.items() for row in rows}
    for _, places in listing.places().repeated() if listing.has_repeated() else ():
        left = [place for place in places if place.path in chosen and (place.path, place.row) not in gone]
        if len(left) > 1:
            return False
    # rows whose artifact is broken are kept, and may repeat others once it is there again
    return not any(path in chosen for path in listing.unusable_rows())


def _agreeing(listing: Listing) -> list[list[Place]]:
    """Groups of rows of one id that agree with the first, which is the one that counts."""
    if not listing.has_repeated():
        return []
    repeated = listing.places().repeated()
    columns = [column.name for column in compared_columns(listing.table)]
    groups = []
    for start in range(0, len(repeated), _IDS_AT_ONCE):
        some = repeated[start : start + _IDS_AT_ONCE]
        found = read(listing, [place for _, places in some for place in places], columns)
        for key, places in some:
            first = (places[0].path, found[places[0]])
            group = [places[0]]
            for place in places[1:]:
                if not any(differences(listing.table, key, [first, (place.path, found[place])])):
                    group.append(place)
            if len(group) > 1:
                groups.append(group)
    return groups


def _repeated_items(listing: Listing) -> list[list[Place]]:
    """Groups of equal items of one plan, the newest first: a plan that was recorded again is the newest."""
    import duckdb

    if not listing.files:
        return []
    names = [name for name in listing.table.by_name if name not in ("created_at", "environment_id")]
    paths = {str(listing.root / path): path for path in listing.files}
    query = f"""
        SELECT list([_file, file_row_number::VARCHAR, epoch_us(created_at)::VARCHAR]
            ORDER BY created_at DESC, _file, file_row_number)
        FROM read_parquet({literals(paths)}, filename = '_file', file_row_number = true)
        GROUP BY {", ".join(names)} HAVING count(*) > 1"""
    with duckdb.connect(config={"temp_directory": ""}) as connection:
        found = connection.execute(query).fetchall()
    return [[Place(int(time), paths[file], int(row)) for file, row, time in group] for (group,) in found]
