"""Many small record files become few large ones, beside writers and readers, whatever dies in between.

The order of steps is the guarantee. New files are written where no reader looks, checked row by row
against the old, and revealed; the last of them names the files that they replace, which readers then
leave out. After a pause, for readers that listed the directory before, the replaced files are deleted:
only those that a fresh look shows to be replaced by files that are all there and whole. A compaction that
is killed leaves files that say so themselves, and the next one finishes the work.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from lmc_sweep.errors import StoreError
from lmc_sweep.store import layout
from lmc_sweep.store.abandoned import remove_abandoned, remove_folder
from lmc_sweep.store.listing import Listing
from lmc_sweep.store.merged_files import write
from lmc_sweep.store.schema import TABLES
from lmc_sweep.store.store import Store
from lmc_sweep.store.terms import Terms, named_errors, require_same
from lmc_sweep.store.tiers import Merge, choose

GRACE_SECONDS = 5.0
_ATTEMPTS = 4


@dataclass(frozen=True)
class TableCompaction:
    """What became of one table: good files and their bytes before and after."""

    table: str
    files_before: int
    files_after: int
    bytes_before: int
    bytes_after: int
    rows: int
    duplicates_dropped: int


@dataclass(frozen=True)
class CompactionReport:
    """What a compaction did. ``yielded``: another one is at work, and this one did nothing."""

    tables: tuple[TableCompaction, ...]
    temporaries_removed: int
    seconds: float
    yielded: bool = False


def compact(
    store: Store, *, grace_seconds: float = GRACE_SECONDS, tell: Callable[[str], None] = lambda _: None
) -> CompactionReport:
    """Merges the small record files of every table where that pays, and finishes what a killed run began.

    Args:
        grace_seconds: How long replaced files stay, for queries that began before they were replaced.
        tell: Called with a line of progress now and then.
    """
    started = time.monotonic()
    terms = store.terms
    with named_errors(store.uri), store.files.alone() as alone:
        if not alone:
            return CompactionReport((), 0, time.monotonic() - started, yielded=True)
        if (store.path / layout.COMPACTING).is_symlink():
            raise StoreError(
                f"{store.path / layout.COMPACTING}: is a symbolic link, and may lead to files of somebody "
                "else's. Take it away, then run the same command again."
            )
        removed = remove_abandoned(store.path)
        folder = store.path / layout.COMPACTING / uuid.uuid4().hex
        try:
            looks = [_merge_table(terms, name, folder / name, tell) for name in TABLES]
        finally:
            remove_folder(folder)
        replaced = sum(len(look.listing.replaced) for look in looks)
        if replaced:
            tell(f"{replaced} replaced files stay for {grace_seconds:g} s more")
            time.sleep(grace_seconds)
            require_same(terms)
            for look in looks:
                _delete_replaced(look.listing)
        tables = tuple(_told(look) for look in looks if look.files_before)
    return CompactionReport(tables, removed, time.monotonic() - started)


@dataclass(frozen=True)
class _Look:
    """A table's listing after its merge, and what it was before."""

    listing: Listing
    files_before: int
    bytes_before: int
    merge: Merge | None


def _merge_table(terms: Terms, name: str, folder: Path, tell: Callable[[str], None]) -> _Look:
    """Merges one table's files where that pays, begun anew where files vanish or change in between."""
    table = TABLES[name]
    for attempt in range(_ATTEMPTS):
        listing = Listing(terms.files, table)
        listing.refresh()
        before = [*listing.files.values(), *listing.replaced.values()]
        num_bytes = sum(file.num_bytes for file in before)
        try:
            merge = choose(listing)
            if merge is None:
                return _Look(listing, len(before), num_bytes, None)
            tell(f"{name}: {merge.num_rows} rows of {len(merge.files)} files")
            # what a killed run left to delete counts as replaced from now on by the new files
            covered = [*merge.files, *listing.replaced.values()]
            digests = frozenset(file.digest for file in covered if file.digest is not None)
            written = write(
                terms, table, merge, digests, folder / str(attempt), _progress(name, merge.num_rows, tell)
            )
        except Exception as error:
            if attempt == _ATTEMPTS - 1 or not _changed(listing, error):
                raise
            continue
        listing.refresh()  # reads the new files in full, as every reader does
        for path in written:
            if path in listing.problems:
                raise StoreError(
                    f"{terms.files.told(path)}: {listing.problems[path].reason}. It was just written: check "
                    "the disk. No file was deleted."
                )
        return _Look(listing, len(before), num_bytes, merge)
    raise AssertionError("unreachable")


def _changed(listing: Listing, error: Exception) -> bool:
    """Whether files came, went or changed since they were listed, so that another try may do better."""
    if isinstance(error, FileNotFoundError):
        return True
    return any(not (listing.root / path).exists() for path in listing.files)


def _delete_replaced(listing: Listing) -> None:
    """Deletes the files whose rows stand in others, as a fresh look at the directory shows them.

    Nothing is deleted on the word of a copy: those others are brought once more.
    """
    if any(file.generation for file in listing.files.values()):
        listing.source.renew([path for path, file in listing.files.items() if file.generation])
    listing.refresh()
    listing.source.delete(sorted(listing.replaced))
    listing.refresh()


def _told(look: _Look) -> TableCompaction:
    """What is reported of a table."""
    files = [*look.listing.files.values(), *look.listing.replaced.values()]
    return TableCompaction(
        look.listing.table.name,
        look.files_before,
        len(files),
        look.bytes_before,
        sum(file.num_bytes for file in files),
        sum(file.num_rows for file in look.listing.files.values()),
        look.merge.num_dropped if look.merge else 0,
    )


def _progress(name: str, num_rows: int, tell: Callable[[str], None]) -> Callable[[int], None]:
    """Tells every two seconds how many rows were written."""
    last = time.monotonic()

    def told(written: int) -> None:
        nonlocal last
        if time.monotonic() - last > 2:
            last = time.monotonic()
            tell(f"{name}: {written} of {num_rows} rows")

    return told
