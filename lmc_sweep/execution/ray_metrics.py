"""What a run tells Ray's metrics, from where Prometheus takes it: items, rates, seconds and what waits, by
kind.

The driver alone tells them, about once per second. A cluster without a metrics agent takes them and drops
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lmc_sweep.execution.progress import Progress

GAUGES = {
    "lmc_sweep_items_total": "Items that the sweep asks for",
    "lmc_sweep_items_done": "Items that are in the store",
    "lmc_sweep_items_failed": "Items that were given up, or are held back",
    "lmc_sweep_items_blocked": "Items whose inputs failed",
    "lmc_sweep_items_per_second": "Items done per second, of late",
    "lmc_sweep_worker_seconds": "Seconds that workers spent on batches that have ended",
    "lmc_sweep_slots": "Batches that can run at a time",
}
"""Gauges with the tags sweep and kind, and what they mean. Ray puts ``ray_`` before their names."""
WHOLE = {
    "lmc_sweep_batches_running": "Batches that have a slot",
    "lmc_sweep_batches_queued": "Batches that were submitted and wait for a slot",
    "lmc_sweep_eta_seconds": "Expected seconds to the end; -1 before anything was measured",
}
"""Gauges with the tag sweep alone."""
LOST = "lmc_sweep_attempts_lost"


class RunMetrics:
    """The gauges of one run, and the counter of its lost attempts."""

    def __init__(self, metrics: Any, sweep: str) -> None:
        """``metrics`` is the module ``ray.util.metrics``."""
        self._sweep = sweep
        self._of_kind = {
            name: metrics.Gauge(name, meaning, ("sweep", "kind")) for name, meaning in GAUGES.items()
        }
        self._whole = {name: metrics.Gauge(name, meaning, ("sweep",)) for name, meaning in WHOLE.items()}
        self._lost = metrics.Counter(LOST, "Attempts without results, by cause", ("sweep", "cause"))
        self._counted: dict[str, int] = {}

    def tell(self, progress: Progress, slots: Mapping[str, int]) -> None:
        """Sets everything to what it is now."""
        for kind, so_far in progress.kinds.items():
            values = {
                "lmc_sweep_items_total": so_far.total,
                "lmc_sweep_items_done": so_far.done,
                "lmc_sweep_items_failed": so_far.failed,
                "lmc_sweep_items_blocked": so_far.blocked,
                "lmc_sweep_items_per_second": so_far.rate_per_second,
                "lmc_sweep_worker_seconds": so_far.measured_seconds,
                "lmc_sweep_slots": slots.get(kind, 0),
            }
            for name, value in values.items():
                self._of_kind[name].set(float(value), tags={"sweep": self._sweep, "kind": kind})
        whole = {
            "lmc_sweep_batches_running": progress.running,
            "lmc_sweep_batches_queued": progress.queued,
            "lmc_sweep_eta_seconds": -1.0 if progress.eta_seconds is None else progress.eta_seconds,
        }
        for name, value in whole.items():
            self._whole[name].set(float(value), tags={"sweep": self._sweep})
        for cause, count in progress.attempts.items():
            new = count - self._counted.get(cause, 0)
            if new > 0:
                self._lost.inc(float(new), tags={"sweep": self._sweep, "cause": cause})
            self._counted[cause] = count
