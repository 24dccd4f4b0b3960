"""How far the sweeps of a store are, from the store alone; what a driver left as advice only adds to it."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

KINDS = ("network", "alignment", "barrier")
SILENT_SECONDS = 30.0
"""A driver that has not been heard of for this long is taken for gone."""


@dataclass(frozen=True)
class SweepStatus:
    """One sweep: items asked and done by kind, failures by cause, and what its last driver said."""

    sweep: str
    kinds: dict[str, dict[str, int]]
    failures: list[dict[str, Any]]
    state: str
    rate_per_second: float | None
    eta_seconds: float | None
    estimated_seconds: float | None
    measured_seconds: float | None
    updated_at: float | None

    @property
    def estimate_error(self) -> float | None:
        """Estimated over measured worker seconds of the last run, minus one."""
        if not self.measured_seconds or self.estimated_seconds is None:
            return None
        return self.estimated_seconds / self.measured_seconds - 1

    def as_json(self) -> dict[str, Any]:
        """Plain data: ``lmc-sweep status --json``."""
        error = self.estimate_error
        return {
            "sweep": self.sweep,
            "state": self.state,
            "kinds": self.kinds,
            "failures": self.failures,
            "rate_per_second": self.rate_per_second,
            "eta_seconds": self.eta_seconds,
            "estimated_seconds": self.estimated_seconds,
            "measured_seconds": self.measured_seconds,
            "estimate_error": None if error is None else round(error, 4),
        }


def sweep_status(store: Store, sweep: str) -> SweepStatus:
    """The status of one sweep. Needs no live driver."""
    causes = _failures(store, sweep)
    kinds = {}
    for kind in KINDS:
        asked = store.item_ids(sweep, kind)
        failed = {
            item_id for cause in causes if cause["kind"] == kind for item_id in cause["item_ids"]
        } & asked
        kinds[kind] = {"done": len(asked & store.ids(kind)), "total": len(asked), "failed": len(failed)}
    advice = (store.read_runs(sweep) or [{}])[-1]
    complete = all(k["done"] == k["total"] for k in kinds.values())
    updated = advice.get("updated_at")
    heard = updated is not None and time.time() - updated < SILENT_SECONDS
    running = advice.get("state") == "running" and heard and not complete
    told = advice.get("kinds", {})
    elapsed = advice.get("elapsed_seconds") or 0.0
    estimated = sum(entry.get("estimated_seconds", 0.0) for entry in told.values())
    measured = sum(entry.get("measured_seconds", 0.0) for entry in told.values())
    ended = advice.get("num_ended", 0)
    return SweepStatus(
        sweep=sweep,
        kinds=kinds,
        failures=[
            {**cause, "item_ids": cause["item_ids"][:3], "num_items": len(cause["item_ids"])}
            for cause in causes
        ],
        state="complete" if complete else "running" if running else "not running",
        rate_per_second=round(ended / elapsed, 4) if elapsed and ended else None,
        eta_seconds=advice.get("eta_seconds") if running else None,
        estimated_seconds=estimated or None,
        measured_seconds=measured or None,
        updated_at=updated,
    )


def _failures(store: Store, sweep: str) -> list[dict[str, Any]]:
    """Failures without a result since, grouped by cause."""
    rows = store.failures().project("sweep, kind, error_type, message, item_ids").fetchall()
    grouped: dict[tuple[str, str, str], list[str]] = {}
    for of_sweep, kind, error_type, message, item_ids in rows:
        if of_sweep == sweep:
            first_line = message.splitlines()[0] if message else ""
            ids = grouped.setdefault((kind, error_type, first_line), [])
            ids += [item_id for item_id in item_ids if item_id not in ids]
    return [
        {"kind": kind, "error_type": error_type, "message": message, "item_ids": ids}
        for (kind, error_type, message), ids in grouped.items()
    ]
