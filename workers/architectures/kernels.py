"""Which of several ways to compute the same thing is fastest on a device, measured once per shape.

For devices where results agree within a tolerance anyway. On a CPU ways are fixed by rules, since what a
network becomes there must be the same bits on every run.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Hashable, Mapping

import torch

_chosen: dict[Hashable, str] = {}

REPEATS = 3
"""Timed runs of each way, after one that is not; the fastest counts."""


def fastest(key: Hashable, ways: Mapping[str, Callable[[], None]], device: torch.device) -> str:
    """The name of the fastest way, measured when a key is first seen in this process.

    A way that fails with RuntimeError is out, as are operations that ``vmap`` has no rule for; the
    first way must not fail.

    Args:
        key: What the choice depends on: architecture, shapes, device.
        ways: Each runs some representative work.
        device: What to wait for before a clock is read.
    """
    if key not in _chosen:
        seconds = {name: _seconds(way, device, name == next(iter(ways))) for name, way in ways.items()}
        _chosen[key] = min(seconds, key=lambda name: seconds[name])
    return _chosen[key]


def _seconds(way: Callable[[], None], device: torch.device, must_work: bool) -> float:
    """The fastest of a few runs; infinite where the way fails."""
    found = []
    try:
        way()
        for _ in range(REPEATS):
            _wait(device)
            start = time.perf_counter()
            way()
            _wait(device)
            found.append(time.perf_counter() - start)
    except RuntimeError:
        if must_work:
            raise
        return float("inf")
    return min(found)


def _wait(device: torch.device) -> None:
    """Until the device has done what it was given."""
    if device.type == "cuda":
        torch.cuda.synchronize(device)
