"""Files with the right names and hashes that no writer of ours made: left out or told of, never a crash."""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from store_rows import row

from lmc_sweep.errors import StoreError
from lmc_sweep.store import layout, records
from lmc_sweep.store.compaction import compact
from lmc_sweep.store.merging import merge
from lmc_sweep.store.schema import TABLES
from lmc_sweep.store.store import Store
from lmc_sweep.store.verification import verify

pytestmark = pytest.mark.fault
DEEP = b"[" * 200_000


def _without(name: str) -> Callable[[Any], Any]:
    return lambda data: data.drop_columns([name])


def _with_null(name: str) -> Callable[[Any], Any]:
    def changed(data: Any) -> Any:
        position = data.schema.get_field_index(name)
        return data.set_column(position, name, pa.nulls(data.num_rows, data.schema.field(name).type))

    return changed


def _twice(name: str) -> Callable[[Any], Any]:
    return lambda data: data.append_column(name, data.column(name))


def _foreign(
    store: Store, change: Callable[[Any], Any], version: int, compaction: bytes | None = None, number: int = 0
) -> str:
    """Path of a record of barriers, changed, under the name that its content asks for."""
    data = pq.read_table(pa.BufferReader(records.encode(TABLES["barriers"], [row("barriers", "foreign")])))
    told = {**data.schema.metadata, b"lmc_sweep.schema_version": str(version), b"number": str(number)}
    if compaction is not None:
        told[b"lmc_sweep.compaction"] = compaction
    sink = io.BytesIO()
    pq.write_table(change(data).replace_schema_metadata(told), sink)
    digest = hashlib.sha256(sink.getvalue()).hexdigest()
    path = layout.record_path(
        "barriers", "20200101T000000000000Z", digest, "0" * 8, compacted=compaction is not None
    )
    (store.path / path).write_bytes(sink.getvalue())
    return path


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """A store with two records of barriers."""
    store = Store.create(tmp_path / "store")
    for key in ("a", "b"):
        store.commit("barriers", [row("barriers", key)])
    return store


@pytest.mark.parametrize(
    ("change", "version", "compaction"),
    [
        (_without("barrier_id"), 1, None),
        (_without("environment_id"), 1, None),
        (_twice("barrier_id"), 4, None),
        (_twice("width"), 1, None),
        (_with_null("barrier_id"), 4, None),
        (lambda data: data, 4, DEEP),
    ],
    ids=["no key", "no environment", "key twice", "column twice", "null key", "deep metadata"],
)
def test_records_that_cannot_be_ours_are_named_and_left_out(
    store: Store, tmp_path: Path, change: Callable[[Any], Any], version: int, compaction: bytes | None
) -> None:
    """Listing names them, verification names them, a merge leaves them out, compaction lets them lie."""
    path = _foreign(store, change, version, compaction)
    reader = Store(store.path)
    assert {"a", "b"} == reader.ids("barrier")
    assert [path] == [problem.path for problem in reader.problems()]
    if compaction is None:  # the table itself is good then, and verification reads no more of it
        assert path in [finding.path for finding in verify(reader).findings if finding.kind == "record"]
        assert path in [place for place, _ in merge(Store.create(tmp_path / "other"), reader).problems]
    compact(reader, grace_seconds=0)
    assert (store.path / path).exists()
    assert {"a", "b"} == Store(store.path).ids("barrier")


@pytest.mark.parametrize("name", ["environment_id", "cell_id", "alphas"])
def test_nulls_where_none_can_be_are_told_by_verification(store: Store, tmp_path: Path, name: str) -> None:
    """What listing does not read in full is told by verify, left out by merge, and refused by compact."""
    path = _foreign(store, _with_null(name), 4)
    assert path in [finding.path for finding in verify(Store(store.path)).findings if finding.is_movable]
    assert path in [place for place, _ in merge(Store.create(tmp_path / "other"), store).problems]
    with pytest.raises(StoreError, match=r"Nothing was changed\..*lmc-sweep verify"):
        compact(store, grace_seconds=0)
    assert {"a", "b", "foreign"} == Store(store.path).ids("barrier")


def test_a_file_of_nobody_is_told_of_once(store: Store) -> None:
    """Whether it lies among the records or elsewhere, verification lists it once."""
    for path in ("records/barriers/notes.txt", "notes.txt"):
        (store.path / path).write_text("x")
    found = [finding.path for finding in verify(Store(store.path)).findings if finding.kind == "foreign"]
    assert ["notes.txt", "records/barriers/notes.txt"] == found


def test_records_without_rows_are_no_work(tmp_path: Path) -> None:
    """Files that hold no row at all are not merged, and beside others they go."""
    store = Store.create(tmp_path / "store")
    (store.path / "records" / "barriers").mkdir(parents=True)
    for number in range(2):
        _foreign(store, lambda data: data.slice(0, 0), 4, number=number)
    (table,) = compact(store, grace_seconds=0).tables
    assert (2, 2, 0) == (table.files_before, table.files_after, table.rows)
    store.commit("barriers", [row("barriers", "a")])
    (table,) = compact(store, grace_seconds=0).tables
    assert (3, 1, 1) == (table.files_before, table.files_after, table.rows)


def test_a_marker_that_is_no_marker_is_one_line(store: Store) -> None:
    """Whatever stands in ``store.json``, the answer is a StoreError."""
    for content in (DEEP, b"3", b"\xff", b""):
        (store.path / layout.MARKER).write_bytes(content)
        with pytest.raises(StoreError, match=r"store\.json"):
            Store(store.path)
