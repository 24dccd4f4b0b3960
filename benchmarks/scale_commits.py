"""Commits to a local disk: 25 rows as a synced record file, against an asked rate and against bare files."""

from __future__ import annotations

import os
import tempfile
import time
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.scale_filling import barrier_rows
from benchmarks.whole_process import disk_folder, file_system
from lmc_sweep.store.store import Store

ROWS = 25
NUM_COMMITS = 400
REPEATS = 3
ASKED_RATE = 200.0


def rows() -> list[dict[str, Any]]:
    """Commits per second, and bare files of the same size that are synced, linked, and synced again."""
    folder = disk_folder()
    ours, bare = [], []
    for _ in range(REPEATS):
        with tempfile.TemporaryDirectory(dir=folder) as place:
            store = Store.create(f"{place}/store")
            ours.append(_commits(store))
            sizes = [file.stat().st_size for file in (store.path / "records" / "barriers").glob("*")]
            bare.append(_bare(Path(place, "bare"), bytes(max(sizes))))
    where = f"{ROWS} rows, {file_system(folder)}"
    shared = {"ours": median(ours), "unit": "commits per second"}
    return [
        {
            "name": f"commits, {where}, against those asked",
            **shared,
            "baseline": ASKED_RATE,
            "ratio": median(ours) / ASKED_RATE,
            "target": 1.0,
        },
        {
            "name": f"commits, {where}, against bare synced files",
            **shared,
            "baseline": median(bare),
            "ratio": median(ours) / median(bare),
        },
    ]


def _commits(store: Store) -> float:
    """Commits per second of one process; the rows are made before."""
    numbers = [range(start * ROWS, (start + 1) * ROWS) for start in range(NUM_COMMITS + 1)]
    made = [list(barrier_rows(part, 100)) for part in numbers]
    store.commit("barriers", made.pop())  # writes the environment
    start = time.perf_counter()
    for one in made:
        store.commit("barriers", one)
    return NUM_COMMITS / (time.perf_counter() - start)


def _bare(folder: Path, content: bytes) -> float:
    """Files per second: written under another name, synced, linked, and their directory synced."""
    folder.mkdir()
    directory = os.open(folder, os.O_RDONLY)
    start = time.perf_counter()
    for number in range(NUM_COMMITS):
        written = folder / f".{number}"
        with written.open("wb") as file:
            file.write(content)
            os.fsync(file.fileno())
        (folder / str(number)).hardlink_to(written)
        written.unlink()
        os.fsync(directory)
    seconds = time.perf_counter() - start
    os.close(directory)
    return NUM_COMMITS / seconds
