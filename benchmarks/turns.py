"""Two ways to the same answer, timed in turns, so that a busy moment falls on both."""

from __future__ import annotations

import time
from collections.abc import Callable
from statistics import median
from typing import Any

REPEATS = 3


def compared(
    name: str,
    ours: Callable[[], object],
    baseline: Callable[[], object],
    target: float,
    *,
    num: int = 1,
    unit: str = "seconds",
) -> dict[str, Any]:
    """The row of both, from the median seconds of each over ``num``; both should have run before."""
    seconds: dict[str, list[float]] = {"ours": [], "baseline": []}
    for _ in range(REPEATS):
        for side, run in (("ours", ours), ("baseline", baseline)):
            start = time.perf_counter()
            run()
            seconds[side].append((time.perf_counter() - start) / num)
    mine, theirs = median(seconds["ours"]), median(seconds["baseline"])
    return {
        "name": name,
        "ours": mine,
        "baseline": theirs,
        "ratio": theirs / mine,
        "target": target,
        "unit": unit,
    }
