"""Everything that one store holds brought into another, by identity.

Rows whose id the other store holds with the same numbers are not copied; rows with other numbers are, so
that they are reported as what they are. Every row is published after the tensors that it names and was
computed from, so a merge that is killed is carried on by the same command.
"""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from lmc_sweep.errors import StoreError
from lmc_sweep.store import layout, records
from lmc_sweep.store.artifact_checks import Checked, check, check_in
from lmc_sweep.store.files import Bytes
from lmc_sweep.store.held_rows import HeldRows
from lmc_sweep.store.inspection import BadRecord, GoodRecord, inputs_of, read_table
from lmc_sweep.store.merged_sweeps import merge_sweeps
from lmc_sweep.store.provenance import environment_problem
from lmc_sweep.store.publish import publish
from lmc_sweep.store.schema import TABLES, Table
from lmc_sweep.store.store import Store

ROWS_PER_FILE = 5000
_CHUNK_BYTES = 1 << 22
_FIRST = ("networks", "search_traces", "alignments", "barriers")
_ORDER = (*_FIRST, *(name for name in TABLES if name not in (*_FIRST, "sweep_items")))
"""Tables in the order in which their rows come to exist in a run; sweep_items comes first."""


@dataclass
class Merged:
    """What became of a merge.

    Attributes:
        copied: Rows that were brought in, by table.
        held: Rows that were there already, by table.
        differing: Of those brought in, rows of ids that the store holds with other numbers, by table.
        num_artifacts: Files of tensors that were copied.
        num_bytes: Their bytes.
        sweeps: Names of the sweeps that were brought in, each with the name that it has now.
        problems: What was left out, and why.
    """

    copied: Counter[str] = field(default_factory=Counter)
    held: Counter[str] = field(default_factory=Counter)
    differing: Counter[str] = field(default_factory=Counter)
    num_artifacts: int = 0
    num_bytes: int = 0
    sweeps: dict[str, str] = field(default_factory=dict)
    problems: list[tuple[str, str]] = field(default_factory=list)


def merge(
    store: Store, other: Store, watch: Callable[[str, int], None] = lambda table, num_rows: None
) -> Merged:
    """Brings everything of ``other``, which is only read, into ``store``.

    Args:
        store: What is written.
        other: What is read. Damaged files, and rows whose tensors are, are left out and named.
        watch: Told the table and how many of its rows have been looked at.

    Raises:
        StoreError: If both are one store, or the store cannot be written.
    """
    if store.files.address == other.files.address:
        raise StoreError(f"{store.uri} and {other.uri} are the same store. Name two")
    found = Merged()
    renamed = merge_sweeps(store, other, found.problems)
    copying = _Copying(store, other, found)
    for name in ("sweep_items", *_ORDER):
        _merge_table(copying, TABLES[name], renamed, watch)
    found.sweeps = renamed
    return found


def _merge_table(
    copying: _Copying, table: Table, renamed: Mapping[str, str], watch: Callable[[str, int], None]
) -> None:
    """Brings the rows of one table in, a few thousand at a time."""
    held = HeldRows(copying.store.files, table)
    waiting: list[dict[str, Any]] = []
    seen = 0
    for record in read_table(copying.other.files, table, lambda num_bytes: None):
        if isinstance(record, BadRecord):
            copying.found.problems.append((record.path, record.reason))
            continue
        for rows in _parts(record):
            theirs = list(_renamed(copying, table, rows, renamed))
            held.expect(theirs)
            for row in theirs:
                agreement = held.agreement(row)
                if agreement == "same":
                    copying.found.held[table.name] += 1
                elif copying.bring(table, row, record.path):
                    held.add(row)
                    copying.found.copied[table.name] += 1
                    copying.found.differing[table.name] += agreement == "differs"
                    waiting.append(row)
            if len(waiting) >= ROWS_PER_FILE:
                _commit(copying.store, table, waiting, held)
            seen += len(rows)
            watch(table.name, seen)
    _commit(copying.store, table, waiting, held)


def _renamed(
    copying: _Copying, table: Table, rows: list[dict[str, Any]], renamed: Mapping[str, str]
) -> Iterator[dict[str, Any]]:
    """The rows under the names that their sweeps have now; none of a plan whose sweep file is not there."""
    for row in rows:
        sweep = row.get("sweep")
        if table.name == "sweep_items" and sweep not in renamed:
            copying.without_file(row["sweep"])
        else:
            yield row if sweep is None else {**row, "sweep": renamed.get(sweep, sweep)}


def _parts(record: GoodRecord) -> Iterator[list[dict[str, Any]]]:
    """The rows of a record, some at a time, in today's columns; those that it lacks are null."""
    missing = dict.fromkeys(record.table.by_name.keys() - set(record.data.column_names))
    for part in record.data.to_batches(max_chunksize=ROWS_PER_FILE):
        yield [{**missing, **row} for row in part.to_pylist()]


def _commit(store: Store, table: Table, waiting: list[dict[str, Any]], held: HeldRows) -> None:
    """Publishes rows as one record, as they are: who computed them and when is not changed."""
    if waiting:
        held.written(records.write(table, waiting, datetime.now(UTC), store.terms))
        waiting.clear()


class _Copying:
    """Files that rows need, brought over once each.

    Args:
        store: Where to.
        other: Where from.
        found: What is told of it.
    """

    def __init__(self, store: Store, other: Store, found: Merged) -> None:
        self.store, self.other, self.found = store, other, found
        self._artifacts: dict[str, Checked] = {}
        self._environments: dict[str, None] = {}

    def bring(self, table: Table, row: Mapping[str, Any], record: str) -> bool:
        """Whether everything that a row needs is in the store now; what is not is told once per file."""
        needed = [] if table.artifact is None else [(row[table.artifact], row["row"])]
        needed += inputs_of(row["inputs_json"]) or [] if row.get("inputs_json") is not None else []
        for path, index in needed:
            if path is None:
                continue
            checked = self._artifact(path)
            if checked.problem is None and not checked.has_row(index):
                self.found.problems.append((record, f"names row {index} of {path}, which has fewer"))
            if checked.problem is not None or not checked.has_row(index):
                return False
        self._environment(row["environment_id"])
        return True

    def without_file(self, sweep: str) -> None:
        """Tells, once, of a sweep whose items are left out, since nothing says what it is."""
        told = (f"{layout.SWEEPS}/{sweep}", "has no sweep file that can be read; its items are left out")
        if told not in self.found.problems:
            self.found.problems.append(told)

    def _artifact(self, path: str) -> Checked:
        """A file of tensors, whole in the store, or why not."""
        if path not in self._artifacts:
            checked = check(self.store.files, path)
            if checked.problem is None:
                self.store.files.settle(path)  # its writer may still be about to
            else:
                checked = self._copied(path, checked.is_movable)
                if checked.problem is not None:
                    told = f"{checked.problem}; the rows that need it are left out"
                    self.found.problems.append((path, told))
            self._artifacts[path] = checked
        return self._artifacts[path]

    def _copied(self, path: str, is_damaged: bool) -> Checked:
        """Copies a file of tensors, and compares what was read with the hash in its name before it counts."""
        if not layout.inside(path):
            return check(self.other.files, path)
        with self.other.files.original(path) as root:
            checked, source = check_in(root, path), root / path
            if checked.problem is None:
                publish(self.store.path / path, _Content(source), replace=is_damaged, terms=self.store.terms)
                self.found.num_artifacts += 1
                self.found.num_bytes += source.stat().st_size
        return checked

    def _environment(self, key: str) -> None:
        """Copies the description of an environment, if it is not there and can be believed."""
        if key in self._environments:
            return
        self._environments[key] = None
        if environment_problem(self.store.files, key) is None:
            return
        problem = environment_problem(self.other.files, key)
        if problem is not None:
            self.found.problems.append((layout.environment_path(key), problem))
            return
        path = layout.environment_path(key)
        publish(
            self.store.path / path,
            [(self.other.path / path).read_bytes()],
            replace=True,
            terms=self.store.terms,
        )


@dataclass(frozen=True)
class _Content:
    """The content of a file of tensors, read anew by everyone who iterates it: a write may take several."""

    source: Path

    def __iter__(self) -> Iterator[Bytes]:
        return _hashed(self.source)


def _hashed(source: Path) -> Iterator[Bytes]:
    """The content of a file of tensors; StoreError at its end if that is not what its name promises."""
    digest = hashlib.sha256()
    try:
        with source.open("rb") as file:
            while chunk := file.read(_CHUNK_BYTES):
                digest.update(chunk)
                yield chunk
    except OSError as error:  # else it would pass for one of the store that is written
        raise StoreError(f"{source}: cannot be read: {error.strerror}. Merge again") from error
    if digest.hexdigest() != layout.artifact_digest(source.name):
        raise StoreError(f"{source}: changed while it was copied. Merge again")
