"""Runs the benchmarks, prints their table and writes ``benchmarks/latest.json``.

Every row compares ours with a named baseline measured in the same run. A ratio above 1 is better:
baseline time over ours, or our rate over the baseline's.

    python -m benchmarks              all of them
    python -m benchmarks training     those whose name contains the word
"""

from __future__ import annotations

import importlib
import json
import os
import sys
import time
from pathlib import Path
from typing import Any

BENCHMARKS = (
    *("training", "convolutions", "curves", "annealing_listing", "annealing", "matching", "execution"),
    *("permutation_paths", "lines", "initialization", "all_pairs"),
    *("scale_planning", "scale_commits", "scale_queries", "scale_driver", "scale_nodes", "object_storage"),
    "canonical_forms",
)
LATEST = Path(__file__).with_name("latest.json")


def main() -> None:
    """Runs what was asked for."""
    wanted = sys.argv[1:]
    chosen = [name for name in BENCHMARKS if not wanted or any(word in name for word in wanted)]
    if not chosen:
        sys.exit(f"no benchmark is named like {' '.join(wanted)}; there are {', '.join(BENCHMARKS)}")
    rows: list[dict[str, Any]] = []
    for name in chosen:
        start = time.perf_counter()
        found = importlib.import_module(f"benchmarks.{name}").rows()
        rows += found
        for row in found:
            print(line(row), flush=True)
        print(f"{name}: {time.perf_counter() - start:.0f} s\n", flush=True)
    LATEST.write_text(json.dumps({"cores": os.cpu_count(), "rows": rows}, indent=1) + "\n")


def line(row: dict[str, Any]) -> str:
    """One row of the table."""
    target = row.get("target")
    verdict = "" if target is None else ("ok  " if row["ratio"] >= target else "MISS") + f" target {target:g}"
    figures = f"{row['ours']:11.4g} {row['baseline']:11.4g} {row.get('unit', ''):22} {row['ratio']:7.2f}"
    return f"{row['name']:58} {figures} {verdict}"


if __name__ == "__main__":
    main()
