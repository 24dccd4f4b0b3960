"""How far the sweeps of a store are, from the store alone; what runs say of themselves only adds to it."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from lmc_sweep.analysis.failures import FailureGroup, grouped, open_failures
from lmc_sweep.analysis.item_counts import KindStatus, kind_statuses
from lmc_sweep.analysis.run_advice import RunAdvice, read_advice
from lmc_sweep.store.sql_text import literal

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

_SHOWN_RUNS = 20


@dataclass(frozen=True)
class SweepStatus:
    """One sweep: what is asked, done and failed, its runs, and what they say of themselves.

    Attributes:
        state: ``complete``, ``running``, ``stopping`` or ``not running``.
        runs: Those that left advice, the newest last.
        alive: The ids of those that are at work, with the seconds since they were last heard of.
        cancelled: The ids of those that were asked to stop.
        attempts: Attempts that did not bring their results, by cause, over all runs.
        now: When this was put together, in seconds since 1970.
        silent: The ids of those that were watched falling silent, with the seconds since.
    """

    sweep: str
    kinds: dict[str, KindStatus]
    failures: tuple[FailureGroup, ...]
    state: str
    runs: tuple[RunAdvice, ...]
    alive: Mapping[str, float | None]
    cancelled: frozenset[str]
    attempts: dict[str, int]
    now: float
    silent: Mapping[str, float] = field(default_factory=dict)

    @property
    def is_complete(self) -> bool:
        """Whether every item has its result."""
        return self.state == "complete"

    def silent_seconds(self, run: RunAdvice) -> float | None:
        """Seconds since a run was last heard of."""
        watched = {**self.silent, **self.alive}
        return watched.get(run.run_id, run.silent_seconds(self.now))

    @property
    def newest(self) -> RunAdvice:
        """The run that speaks for the sweep: the newest of those that are alive, else of all."""
        of_alive = [run for run in self.runs if run.run_id in self.alive]
        return (of_alive or list(self.runs) or [RunAdvice("")])[-1]

    @property
    def alive_runs(self) -> list[RunAdvice]:
        """The runs at work."""
        return [run for run in self.runs if run.run_id in self.alive]

    @property
    def num_held(self) -> int:
        """Items that a run leaves alone until they are released."""
        return sum(kind.held for kind in self.kinds.values())

    @property
    def estimated_seconds(self) -> float | None:
        """Worker seconds that were estimated for what the newest run has done."""
        return sum(kind.estimated_seconds for kind in self.newest.kinds.values()) or None

    @property
    def measured_seconds(self) -> float | None:
        """Worker seconds that it took."""
        return sum(kind.measured_seconds for kind in self.newest.kinds.values()) or None

    @property
    def estimate_error(self) -> float | None:
        """Estimated over measured worker seconds of the newest run, minus one."""
        if not self.measured_seconds or self.estimated_seconds is None:
            return None
        return self.estimated_seconds / self.measured_seconds - 1

    def as_json(self, store: str) -> dict[str, Any]:
        """Plain data: an entry of ``lmc-sweep status --json``."""
        newest, error = self.newest, self.estimate_error
        elapsed, ended = newest.elapsed_seconds, newest.num_ended
        at_work = newest.run_id in self.alive
        return {
            "sweep": self.sweep,
            "state": self.state,
            "kinds": {name: kind.as_json() for name, kind in self.kinds.items()},
            "failures": [group.as_json(store) for group in self.failures],
            "rate_per_second": round(ended / elapsed, 4) if elapsed and ended else None,
            "eta_seconds": newest.eta_seconds if at_work else None,
            "eta_low_seconds": newest.eta_low_seconds if at_work else None,
            "eta_high_seconds": newest.eta_high_seconds if at_work else None,
            "estimated_seconds": self.estimated_seconds,
            "measured_seconds": self.measured_seconds,
            "estimate_error": None if error is None else round(error, 4),
            "held": self.num_held,
            "attempts": self.attempts,
            "runs": [self._run_json(run) for run in self.runs[-_SHOWN_RUNS:]],
        }

    def _run_json(self, run: RunAdvice) -> dict[str, Any]:
        silent = self.silent_seconds(run)
        alive = run.run_id in self.alive
        return {
            "run_id": run.run_id,
            "state": run.state,
            "alive": alive,
            "gone": run.is_gone,
            "cancel_requested": run.run_id in self.cancelled,
            "stop_reason": run.stop_reason,
            "heard_seconds_ago": None if silent is None else round(silent, 1),
            "beat": run.beat,
            "executor": run.executor or None,
            "elapsed_seconds": run.elapsed_seconds,
            "running": [batch.as_json() for batch in run.running] if alive and not self.is_complete else [],
            "slowest": [batch.as_json() for batch in run.slowest],
        }


def sweep_status(
    store: Store, sweep: str, alive: Mapping[str, float] | None = None, now: float | None = None
) -> SweepStatus:
    """The status of one sweep. Needs no live run.

    Args:
        alive: Ids of the runs that are known to be at work, since they were watched, with the seconds since
            they were last heard of; where it is None, the clocks of this machine and theirs decide.
        now: Seconds since 1970; of this machine's clock where it is None.
    """
    time_now = time.time() if now is None else now
    runs = tuple(read_advice(told) for told in store.read_runs(sweep))
    at_work = {
        run.run_id: run.silent_seconds(time_now) if alive is None else alive[run.run_id]
        for run in runs
        if run.claims_to_be_alive and (run.is_alive(time_now) if alive is None else run.run_id in alive)
    }
    cancelled = frozenset(
        run.run_id
        for run in runs
        if run.claims_to_be_alive and run.run_id and store.cancel_requested(sweep, run.run_id)
    )
    failures = open_failures(store, sweep)
    kinds = kind_statuses(store, sweep, runs, at_work, failures)
    return SweepStatus(
        sweep=sweep,
        kinds=kinds,
        failures=tuple(grouped(failures)),
        state=_state(kinds, [run for run in runs if run.run_id in at_work], cancelled),
        runs=runs,
        alive=at_work,
        cancelled=cancelled,
        attempts=_attempts(store, sweep),
        now=time_now,
    )


def _state(kinds: dict[str, KindStatus], at_work: list[RunAdvice], cancelled: frozenset[str]) -> str:
    """The state of a sweep; it stops when every run at work does.

    One without items is not complete: its plan is damaged, or was not recorded before its run was cut short.
    """
    is_planned = any(kind.total for kind in kinds.values())
    if is_planned and all(kind.done == kind.total for kind in kinds.values()):
        return "complete"
    if not at_work:
        return "not running"
    stops = all(run.state == "stopping" or run.run_id in cancelled for run in at_work)
    return "stopping" if stops else "running"


def _attempts(store: Store, sweep: str) -> dict[str, int]:
    """Attempts without results, by cause, the most frequent first."""
    query = f"""
        SELECT cause, count(*) AS number FROM attempts WHERE sweep = {literal(sweep)}
        GROUP BY cause ORDER BY number DESC, cause"""
    return {row["cause"]: row["number"] for row in store.answer(query).to_pylist()}
