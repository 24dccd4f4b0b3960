"""Where the row of an id stands, among a million of them, in a few arrays.

Ids, times, files and rows lie in Arrow columns, and a question is one pass over them: a hundred ids are
found among a million rows in some 20 ms, and there is no index to build or to keep right.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from lmc_sweep.store.record_files import IDS, TIMES

_MOST_PIECES = 64
_LARGE_ROWS = 100_000
_MULTIPLIERS = np.random.default_rng(1).integers(1, 2**63, 64, dtype=np.uint64) * np.uint64(2) + np.uint64(1)


@dataclass(frozen=True, order=True)
class Place:
    """Where a row stands; of the rows of one id the smallest is the one that counts.

    ``created_at`` is in microseconds since 1970, UTC.
    """

    created_at: int
    path: str
    row: int


class Places:
    """The rows of some record files, by id."""

    def __init__(self) -> None:
        self._paths: list[str] = []
        self._pieces: list[Any] = []
        self._known_distinct = False
        self._unchecked: list[Any] = []

    def add(self, facts: Mapping[str, Any], without: Mapping[str, Any]) -> None:
        """Takes in files, given by their facts; ``without`` names rows of them that are left out."""
        pieces = []
        for path, rows in facts.items():
            code = len(self._paths)
            self._paths.append(path)
            index = np.arange(rows.num_rows, dtype=np.int32)
            piece = rows.append_column("row", integers(index)).append_column(
                "file", integers(np.full(rows.num_rows, code, dtype=np.int32))
            )
            if path in without:
                piece = piece.filter(pa.array(~np.isin(index, without[path])))
            pieces.append(piece)
        if not pieces:
            return
        joined = pa.concat_tables(pieces).combine_chunks()
        self._pieces.append(joined)
        self._unchecked.append(joined.column(IDS))
        if len(self._pieces) > _MOST_PIECES:
            small = [piece for piece in self._pieces if piece.num_rows < _LARGE_ROWS]
            if small:
                self._pieces = [piece for piece in self._pieces if piece.num_rows >= _LARGE_ROWS]
                self._pieces.append(pa.concat_tables(small).combine_chunks())

    @property
    def num_rows(self) -> int:
        """How many rows were taken in."""
        return sum(piece.num_rows for piece in self._pieces)

    def ids(self) -> set[str]:
        """All ids."""
        return {key for piece in self._pieces for key in piece.column(IDS).to_pylist()}

    def held(self, ids: Collection[str]) -> set[str]:
        """Those of the ids that have a row."""
        if 4 * len(ids) > self.num_rows:
            return self.ids().intersection(ids)
        return set(self._rows_of(ids).column(IDS).to_pylist())

    def first(self, ids: Collection[str]) -> dict[str, Place]:
        """The row that counts of each id that has one."""
        found: dict[str, Place] = {}
        for key, place in self._placed(self._rows_of(ids)):
            if key not in found or place < found[key]:
                found[key] = place
        return found

    def has_repeated(self) -> bool:
        """Whether an id has several rows; what was found out before is not looked up again."""
        if self._unchecked:
            if self._known_distinct and sum(map(len, self._unchecked)) * 4 < self.num_rows:
                chunks = [chunk for ids in self._unchecked for chunk in ids.chunks]
                fresh = pa.concat_arrays(chunks).unique()  # new rows may repeat each other, too
                self._known_distinct = self._rows_of(fresh).num_rows == len(fresh)
            else:
                self._known_distinct = not self._repeated_rows().any()
            self._unchecked = []
        return bool(self._pieces) and not self._known_distinct

    def repeated(self) -> list[tuple[str, list[Place]]]:
        """Every id that has several rows, with its rows, the one that counts first."""
        if not self.has_repeated():
            return []
        everything = pa.concat_tables(self._pieces)
        grouped: dict[str, list[Place]] = {}
        for key, place in self._placed(everything.filter(pa.array(self._repeated_rows()))):
            grouped.setdefault(key, []).append(place)
        return [(key, sorted(grouped[key])) for key in sorted(grouped)]

    def _repeated_rows(self) -> Any:
        """Mask over the rows of all pieces, one after another: those whose id occurs more than once."""
        if not self._pieces:
            return np.zeros(0, dtype=bool)
        chunks = [chunk for piece in self._pieces for chunk in piece.column(IDS).chunks]
        return repeated(pa.concat_arrays(chunks)) if chunks else np.zeros(0, dtype=bool)

    def _rows_of(self, ids: Any) -> Any:
        """All rows of the ids."""
        wanted = ids if isinstance(ids, pa.Array) else texts(ids)
        found = [
            piece.filter(pc.is_in(piece.column(IDS), value_set=wanted, skip_nulls=True))
            for piece in self._pieces
        ]
        return pa.concat_tables(found) if found else _COLUMNS.empty_table()

    def _placed(self, rows: Any) -> list[tuple[str, Place]]:
        """Ids and places of some rows, as plain values."""
        columns = [rows.column(name).to_pylist() for name in (IDS, TIMES, "file", "row")]
        return [
            (key, Place(time, self._paths[file], row)) for key, time, file, row in zip(*columns, strict=True)
        ]


def repeated(ids: Any) -> Any:
    """Mask of the values of an Arrow array of text that occur more than once.

    Ids are compared as 64-bit fingerprints first, which sort ten times as fast as the text; what those
    cannot tell apart is then compared as it is.
    """
    fingerprints = _fingerprints(ids)
    ordered = np.sort(fingerprints)
    twice = ordered[1:][ordered[1:] == ordered[:-1]]
    mask = np.isin(fingerprints, twice)
    if twice.size:
        suspects = ids.filter(pa.array(mask)).dictionary_encode()
        codes = suspects.indices.to_numpy(zero_copy_only=False)
        mask[np.flatnonzero(mask)] = (np.bincount(codes) > 1)[codes]
    return mask


def _fingerprints(ids: Any) -> Any:
    """A number per value, equal for equal values and hardly ever for others."""
    offsets = np.frombuffer(ids.buffers()[1], dtype=np.int32)[ids.offset : ids.offset + len(ids) + 1]
    length = int(offsets[1] - offsets[0]) if len(ids) else 0
    if not length or length % 8 or length > 8 * len(_MULTIPLIERS) or (np.diff(offsets) != length).any():
        return ids.dictionary_encode().indices.to_numpy(zero_copy_only=False)
    data = np.frombuffer(ids.buffers()[2], dtype=np.uint8)[offsets[0] : offsets[-1]]
    words = data.view(np.uint64).reshape(len(ids), length // 8)
    mixed = (words ^ (words >> np.uint64(29))) * _MULTIPLIERS[: words.shape[1]]
    return (mixed ^ (mixed >> np.uint64(32))).sum(axis=1, dtype=np.uint64)


_COLUMNS = pa.schema([(IDS, pa.string()), (TIMES, pa.int64()), ("row", pa.int32()), ("file", pa.int32())])


# ``pa.array`` imports pandas, which takes longer than a query of a million rows; buffers do not.


def integers(values: Any) -> Any:
    """An Arrow array over the memory of a NumPy array of int32."""
    return pa.Array.from_buffers(pa.int32(), len(values), [None, pa.py_buffer(values)])


def texts(values: Collection[str]) -> Any:
    """An Arrow array of texts."""
    encoded = [value.encode() for value in values]
    offsets = np.zeros(len(encoded) + 1, dtype=np.int32)
    np.cumsum([len(value) for value in encoded], out=offsets[1:])
    buffers = [None, pa.py_buffer(offsets), pa.py_buffer(b"".join(encoded))]
    return pa.Array.from_buffers(pa.string(), len(encoded), buffers)


def rows_by_path(places: Sequence[Place]) -> dict[str, list[int]]:
    """The rows of some places, by the file they stand in."""
    found: dict[str, list[int]] = {}
    for place in places:
        found.setdefault(place.path, []).append(place.row)
    return found
