"""``Store``: the one door to a store, for the driver, the tasks and a notebook.

Reading needs no torch until weights are loaded. A store object keeps what it learned about record files
and looks for new ones at every call; a process that asks often should keep one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from uuid import uuid4

from lmc_sweep.errors import StoreError
from lmc_sweep.store import environment, layout, marker, moved, records, sweeps
from lmc_sweep.store.files import open_files
from lmc_sweep.store.listing import Listing, Problem
from lmc_sweep.store.loading import Loading
from lmc_sweep.store.publish import publish_text
from lmc_sweep.store.relations import Relations
from lmc_sweep.store.schema import TABLE_OF_KIND, TABLES, Table
from lmc_sweep.store.sweep_folders import SweepFolders
from lmc_sweep.store.terms import Terms, patiently

if TYPE_CHECKING:
    from torch import Tensor

    from lmc_sweep.store.nondeterminism import Nondeterminism

__all__ = ["Problem", "Store"]

T = TypeVar("T")


class Store(Relations, Loading, SweepFolders):
    """An existing store, opened by its path or URI; ``Store.create`` makes one.

    Attributes:
        files: Where its files are.
        uri: What people are told of it, and may type.
        path: The directory that is read: the store itself, or the copies of what was read of one on
            object storage.
    """

    def __init__(self, uri: str | Path) -> None:
        self.files = open_files(uri)
        self.uri, self.path = self.files.uri, self.files.root
        self.patience_seconds = 0.0
        """How long a write goes on trying where the system reports what may pass, such as a full disk."""
        self._marker = marker.check(self.files)
        self._listings = {name: Listing(self.files, table) for name, table in TABLES.items()}
        self._connection: tuple[tuple[int, ...], Any] | None = None
        self._environments: set[str] = set()

    @classmethod
    def create(cls, uri: str | Path) -> Store:
        """The store at ``uri``, made if it is not there; StoreError when that cannot be."""
        marker.make(open_files(uri))
        return cls(uri)

    def __reduce__(self) -> tuple[Any, ...]:
        """Travels between processes as its path or URI alone."""
        return Store, (self.uri,)

    def __repr__(self) -> str:
        return f"Store({self.uri!r})"

    @property
    def terms(self) -> Terms:
        """What must hold while something is written: the store that was opened, and the patience with it."""
        return Terms(self.files, self._marker, self.patience_seconds)

    def is_as_opened(self) -> bool:
        """Whether the store that was opened is still there, and not another one or none."""
        try:
            return marker.check(self.files) == self._marker
        except StoreError:
            return False

    # reading

    def relation(self, table: str) -> Any:
        """DuckDB relation of any table of ``schema.TABLES``."""
        name = _table(table).name
        return self._answered(lambda connection: connection.table(name))

    def sql(self, query: str) -> Any:
        """DuckDB relation of one SELECT over the tables; StoreError for any other statement."""
        from lmc_sweep.store.query import guarded

        return self._answered(lambda connection: guarded(connection, query))

    def answer(self, query: str) -> Any:
        """Arrow table that one SELECT answers; StoreError also where it fails while it runs."""
        from lmc_sweep.store.query import answer

        return self._answered(lambda connection: answer(connection, query))

    def kept(self, question: Hashable, ask: Callable[[], T]) -> T:
        """What ``ask`` returns, asked every time, for a store grows; a copy of one may keep the answer."""
        return ask()

    def ids(self, kind: str) -> set[str]:
        """Identities of all results of a kind, one of ``lmc_sweep.kinds.KINDS``."""
        if kind not in TABLE_OF_KIND:
            raise StoreError(f"unknown kind {kind!r}. Known kinds: {list(TABLE_OF_KIND)}")
        return self._looked_up(TABLE_OF_KIND[kind].name, Listing.ids)

    def held(self, kind: str, ids: Iterable[str]) -> set[str]:
        """Those of the ids of a kind that have results."""
        if kind not in TABLE_OF_KIND:
            raise StoreError(f"unknown kind {kind!r}. Known kinds: {list(TABLE_OF_KIND)}")
        wanted = set(ids)
        return self._looked_up(TABLE_OF_KIND[kind].name, lambda listing: listing.places().held(wanted))

    def fetch(self, table: str, ids: Sequence[str], columns: Sequence[str]) -> list[dict[str, Any]]:
        """The named columns of the rows with these ids, in their order; KeyError names a missing id."""
        from lmc_sweep.store.rows import fetch

        return self._looked_up(_table(table).name, lambda listing: fetch(listing, ids, columns))

    def problems(self) -> list[Problem]:
        """Files that are left out of every result: torn, truncated, foreign or missing ones."""
        listings = self._all_listed()
        found = [*(listing.problems for listing in listings), *(listing.broken for listing in listings)]
        return sorted((problem for part in found for problem in part.values()), key=lambda one: one.path)

    def nondeterminism(self) -> list[Nondeterminism]:
        """Ids that were computed more than once with numbers that differ beyond the tolerance."""
        from lmc_sweep.store.rows import disagreements

        return [
            found for name in TABLES for found in self._looked_up(name, lambda one: [*disagreements(one)])
        ]

    # writing

    def commit(self, table: str, rows: Sequence[Mapping[str, Any]]) -> str:
        """Path of the one record file that makes these rows exist, published in one step.

        ``created_at`` and ``environment_id`` are added where they are absent. Numbers that are not
        finite are stored as null. Artifacts that the rows name must have been written before.
        """
        now = datetime.now(UTC)
        added: dict[str, Any] = {"created_at": now, "environment_id": self.record_environment()}
        if _table(table).name == "failures":
            complete = [{"failure_id": uuid4().hex, **added, **row} for row in rows]
        else:
            complete = [{**added, **row} for row in rows]
        return records.write(_table(table), complete, now, self.terms)

    def write_tensors(
        self, folder: str, tensors: Mapping[str, Tensor], metadata: Mapping[str, str] | None = None
    ) -> str:
        """Path of the published file in ``networks`` or ``permutations``, named by its content."""
        from lmc_sweep.store.artifacts import write_tensors

        return write_tensors(folder, tensors, metadata or {}, self.terms)

    def record_environment(self) -> str:
        """``environment_id`` of this process, whose description is in the store when this returns."""
        described = environment.describe()
        environment_id = environment.identify(described)
        if environment_id not in self._environments:
            content = json.dumps(described, indent=2, sort_keys=True).encode() + b"\n"
            publish_text(layout.environment_path(environment_id), content, self.terms)
            self._environments.add(environment_id)
        return environment_id

    def settle(self, tables: Iterable[str] = TABLES) -> None:
        """Makes all records that can be seen survive a loss of power, whoever wrote them.

        A writer that was killed may have published a record and not come to sync its directory.
        """
        for table in tables:
            folder = self.path / layout.RECORDS / _table(table).name
            if folder.is_dir():
                any_file = f"{layout.RECORDS}/{_table(table).name}/any"
                patiently(partial(self.files.settle, any_file), folder, self.terms)

    def record_sweep(self, name: str, yaml_text: str, items: Sequence[tuple[str, str]]) -> None:
        """Records what a sweep asks for: its file, and its items unless the newest plan has the same.

        A plan may stand in several files, and some of those be lost: it is recorded again then.
        """
        self.settle()
        sweeps.write_text(name, yaml_text, self.terms)
        plan_id = sweeps.plan_id(items)
        query = "SELECT any_value(plan_id), count(*), max(created_at) FROM sweep_items WHERE sweep = ?"
        ((newest, count, recorded_at),) = self._rows(query, [name])
        if items and (newest, count) != (plan_id, len(set(items))):
            now = datetime.now(UTC)
            if recorded_at is not None:  # by a clock that may be ahead of ours: this plan is the newest
                now = max(now, recorded_at.replace(tzinfo=UTC) + timedelta(microseconds=1))
            row = {"sweep": name, "plan_id": plan_id, "created_at": now}
            self.commit("sweep_items", [{**row, "kind": kind, "item_id": item} for kind, item in items])

    def item_ids(self, sweep: str, kind: str) -> set[str]:
        """Ids of a kind that a sweep's newest plan asks for; empty for a sweep that is not here."""
        query = "SELECT item_id FROM sweep_items WHERE sweep = ? AND kind = ?"
        return {item_id for (item_id,) in self._rows(query, [sweep, kind])}

    def _listed(self, table: str) -> Listing:
        """The listing of a table, up to date."""
        listing = self._listings[table]
        listing.refresh()
        return listing

    def _all_listed(self) -> list[Listing]:
        """The listings of all tables, up to date."""
        self.files.for_each(self._listed, TABLES)
        return [self._listings[name] for name in TABLES]

    def _connect(self) -> Any:
        """A connection whose views show the files that are there now."""
        from lmc_sweep.store.views import connect

        state = tuple(listing.version for listing in self._all_listed())
        if self._connection is None or self._connection[0] != state:
            self._connection = (state, connect(self.path, self._listings))
        return self._connection[1]

    def _rows(self, query: str, values: list[Any]) -> list[tuple[Any, ...]]:
        """The rows of one of the store's own queries."""
        return self._answered(lambda connection: connection.execute(query, values).fetchall())

    def _answered(self, ask: Callable[[Any], T]) -> T:
        """What is answered by a connection, asked again where compaction moved rows in between."""
        return moved.retried(lambda: ask(self._connect()))

    def _looked_up(self, table: str, ask: Callable[[Listing], T]) -> T:
        """What a table's listing, up to date, answers, asked again likewise."""
        return moved.retried(lambda: ask(self._listed(table)))


def open_if_exists(uri: str | Path) -> Store | None:
    """The store at ``uri``; None where nothing is there yet, or only an empty directory."""
    return None if open_files(uri).is_untouched() else Store(uri)


def require_writable(uri: str | Path) -> None:
    """Raises StoreError where a store could not be made or written; leaves everything as it is."""
    open_files(uri).require_writable()


def _table(name: str) -> Table:
    """The table of that name; StoreError lists the known ones."""
    if name not in TABLES:
        raise StoreError(f"unknown table {name!r}. Known tables: {list(TABLES)}")
    return TABLES[name]
