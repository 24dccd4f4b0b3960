"""Plans of 100,000 items, as whole processes: against an empty store, and against one that holds them all.

Baselines are allowances, in seconds and in megabytes.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from benchmarks.scale_filling import complete, sweep_text
from benchmarks.whole_process import COMMAND, Taken, allowed, taken
from lmc_sweep.config import parse_sweep
from lmc_sweep.planning.plan import make_plan
from lmc_sweep.store.store import Store

NUM_ITEMS = 100_000
EMPTY_SECONDS = 15.0
COMPLETE_SECONDS = 10.0
PEAK_MEGABYTES = 1000.0


def rows() -> list[dict[str, Any]]:
    """Seconds and peak memory of two plans, and of a run that finds everything there."""
    with tempfile.TemporaryDirectory() as folder:
        path = f"{folder}/store"
        sweep = Path(folder, "sweep.yaml")
        sweep.write_text(sweep_text(path, NUM_ITEMS))
        empty = taken([COMMAND, "plan", str(sweep)])
        plan = make_plan(parse_sweep(sweep.read_text()), None, 2)
        num_files = complete(Store.create(path), plan)
        full = taken([COMMAND, "plan", str(sweep)])
        first = taken([COMMAND, "run", str(sweep)])  # records the sweep's items
        again = taken([COMMAND, "run", str(sweep)])
    what = f"{NUM_ITEMS} items"
    return [
        *_rows(f"plan, {what}, empty store", empty, EMPTY_SECONDS),
        *_rows(f"plan, {what}, all there in {num_files} files", full, COMPLETE_SECONDS),
        *_rows(f"run, {what}, all there, items recorded", first, COMPLETE_SECONDS),
        *_rows(f"run, {what}, all there, again", again, COMPLETE_SECONDS),
    ]


def _rows(name: str, found: Taken, seconds: float) -> list[dict[str, Any]]:
    return [
        allowed(name, found.seconds, seconds),
        allowed(f"  its memory ({name.split(',')[0]})", found.peak_bytes / 1e6, PEAK_MEGABYTES, "MB"),
    ]
