"""A store of 1,000,000 curves: a question to it, its status, and its compaction, each as a fresh process.

The curves lie in 10,000 small files first, as a run leaves them, and in few large ones after compaction.
Baselines are allowances in seconds; where a row has no target, they are there to compare with.
"""

from __future__ import annotations

import hashlib
import json
import sys
import tempfile
import time
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.scale_filling import NUM_ALPHAS, barrier_rows, cell_id, curve_ids
from benchmarks.whole_process import COMMAND, allowed, disk_folder, printed, taken
from lmc_sweep.store import layout, records
from lmc_sweep.store.schema import TABLES
from lmc_sweep.store.store import Store

NUM_ROWS = 1_000_000
NUM_FILES = 10_000
NUM_CELLS = 1_000
REPEATS = 3
QUERY_SECONDS = 1.0
STATUS_SECONDS = 3.0
SMALL_FILES_SECONDS = 60.0
COMPACTION_SECONDS = 300.0


def rows() -> list[dict[str, Any]]:
    """Seconds of a query by cell and of ``status``, before and after compaction, and of that itself."""
    with tempfile.TemporaryDirectory(dir=disk_folder()) as folder:
        store = fill(Path(folder, "store"), NUM_ROWS, NUM_FILES)
        small = f"{NUM_ROWS} curves in {NUM_FILES} files"
        query, status = _query(store), _status(store)
        before = [
            {**allowed(f"query by cell, {small}", query, SMALL_FILES_SECONDS), "target": None},
            {**allowed(f"status, {small}", status, SMALL_FILES_SECONDS), "target": None},
        ]
        compaction = taken([COMMAND, "compact", str(store), "--grace", "0"])
        num_files = len(list((store / "records" / "barriers").glob("*.parquet")))
        large = f"{NUM_ROWS} curves compacted into {num_files}"
        return [
            *before,
            {**allowed(f"compaction, {small}", compaction.seconds, COMPACTION_SECONDS), "target": None},
            {**allowed("  its memory", compaction.peak_bytes / 1e6, 1000.0, "MB"), "target": None},
            allowed(f"query by cell, {large}", _query(store), QUERY_SECONDS),
            allowed(f"status, {large}", _status(store), STATUS_SECONDS),
        ]


def fill(path: Path, num_rows: int, num_files: int) -> Path:
    """A store of so many curves in so many files, with one sweep that asks for every thousandth of them.

    A file holds curves of as many cells as it has rows, or of all.
    """
    store = Store.create(path)
    environment = store.record_environment()
    template = [
        {**row, "environment_id": environment} for row in barrier_rows(range(num_rows // num_files), 1)
    ]
    table = pq.read_table(pa.BufferReader(records.encode(TABLES["barriers"], template)))
    folder = path / layout.RECORDS / "barriers"
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(num_files):
        _write(path, table, range(number, num_rows, num_files))
    asked = [("barrier", f"{number:032x}") for number in range(0, num_rows, 1000)]
    store.record_sweep("large", "name: large\n", asked)
    return path


def _write(path: Path, template: Any, numbers: range) -> None:
    """One record file, as a commit would leave it, but not synced: the disk is not what is measured.

    Its rows are those of a template with other ids and other losses.
    """
    ids = [curve_ids(number, NUM_CELLS) for number in numbers]
    table = template
    for name in ids[0]:
        table = _replaced(table, name, pa.array([of_row[name] for of_row in ids]))
    heights = np.random.default_rng(numbers.start).random(len(numbers) * NUM_ALPHAS)
    offsets = np.arange(0, len(heights) + 1, NUM_ALPHAS, dtype=np.int32)
    table = _replaced(table, "losses", pa.ListArray.from_arrays(offsets, heights))
    table = _replaced(table, "errors", pa.ListArray.from_arrays(offsets, heights / 10))
    table = _replaced(table, "loss_barrier", pa.array(heights[::NUM_ALPHAS]))
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink, compression="zstd", write_page_checksum=True)
    content = sink.getvalue().to_pybytes()
    stamp = datetime.now(UTC).strftime("%Y%m%dT%H%M%S%fZ")
    name = layout.record_path("barriers", stamp, hashlib.sha256(content).hexdigest(), uuid.uuid4().hex[:8])
    (path / name).write_bytes(content)


def _replaced(table: Any, name: str, values: Any) -> Any:
    """A table with other values in one column."""
    field = table.schema.field(name)
    return table.set_column(table.schema.get_field_index(name), field, values.cast(field.type))


def _query(store: Path) -> float:
    """Seconds from opening the store to the answer, in a process that has done nothing before."""
    return float(min(printed("benchmarks.scale_queries", store) for _ in range(REPEATS)))


def _status(store: Path) -> float:
    """Seconds of the whole command."""
    return min(taken([COMMAND, "status", str(store)]).seconds for _ in range(REPEATS))


def query(path: str) -> float:
    """Seconds from ``Store(path)`` to the mean barriers of one cell, imports of the reader included."""
    start = time.perf_counter()
    answer = Store(path).sql(
        "SELECT method, world, count(*), avg(loss_barrier), avg(list_max(losses)) FROM barriers "
        f"WHERE cell_id = '{cell_id(7)}' GROUP BY ALL ORDER BY ALL"
    )
    found = answer.fetchall()
    seconds = time.perf_counter() - start
    if not found:
        raise RuntimeError(f"{path}: the cell that was asked for is not there")
    return seconds


if __name__ == "__main__":
    print(json.dumps(query(sys.argv[1])))
