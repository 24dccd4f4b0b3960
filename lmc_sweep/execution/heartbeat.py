"""What a run says of itself while it goes: to its reporter, and as advice to the store."""

from __future__ import annotations

from collections.abc import Mapping

from lmc_sweep.errors import StoreError
from lmc_sweep.execution.attempts import Attempts
from lmc_sweep.execution.clock import Clock
from lmc_sweep.execution.executor import Executor
from lmc_sweep.execution.pace import Pace, rest_seconds
from lmc_sweep.execution.progress import CANCELLED, Progress, StopRequest, advice
from lmc_sweep.execution.schedule import Schedule
from lmc_sweep.execution.tally import Tally, shown_batch
from lmc_sweep.planning.plan import Plan
from lmc_sweep.planning.resizing import AIM_SECONDS, LONGEST_SECONDS
from lmc_sweep.store import processes, sweeps
from lmc_sweep.store.store import Store

BEAT_SECONDS = 1.0
TELL_SECONDS = 0.25
SHOWN_RUNNING = 10
KEPT_RUNS = 10


def number_of(num_left: int, seconds: float) -> float:
    """About how many batches so many seconds of work make: what is too long will be split."""
    return seconds / AIM_SECONDS if seconds > LONGEST_SECONDS * num_left else float(num_left)


class Heartbeat:
    """Progress, put together when it is due, and where it is left. A store that refuses it ends nothing."""

    cancelled = CANCELLED

    def __init__(self, plan: Plan, store: Store, executor: Executor, run_id: str, clock: Clock) -> None:
        self._plan, self._store, self._run_id, self._clock = plan, store, run_id, clock
        self._description = executor.description
        self._process = processes.described()
        self._start = clock.now()
        self._last_beat: float | None = None
        self._last_told: float | None = None
        self._beats = 0

    def is_due(self, now: float) -> bool:
        """Whether it is time for the next beat."""
        pause = max(BEAT_SECONDS, self._store.files.advice_seconds)
        return self._last_beat is None or now - self._last_beat >= pause

    def should_tell(self, now: float) -> bool:
        """Whether the reporter should be told again; asking sets the time."""
        if self._last_told is not None and now - self._last_told < TELL_SECONDS:
            return False
        self._last_told = now
        return True

    def is_cancelled(self) -> bool:
        """Whether somebody asked, through the store, that this run stop."""
        try:
            return self._store.cancel_requested(self._plan.sweep.name, self._run_id)
        except (StoreError, OSError):
            return False

    def beat(
        self,
        now: float,
        progress: Progress,
        stop: StopRequest,
        slots: Mapping[str, int],
        is_reversed: bool,
        is_over: bool,
    ) -> None:
        """Leaves the advice in the store; before the first, that of old runs is cleared away."""
        sweep = self._plan.sweep.name
        first, self._last_beat = self._last_beat is None, now
        self._beats += 1
        told = {
            **advice(self._plan, progress, stop, is_over),
            "updated_at": self._clock.wall(),
            "beat": self._beats,
            "executor": self._description,
            "num_slots": dict(slots),
            "is_reversed": is_reversed,
        }
        if self._process is not None:
            told["process"] = self._process
        try:
            if first:
                sweeps.prune_runs(self._store.files, sweep, KEPT_RUNS - 1)
            self._store.write_progress(sweep, self._run_id, told)
        except (StoreError, OSError):
            return  # advice only: ``status`` then counts without an ETA

    def progress(
        self,
        schedule: Schedule,
        attempts: Attempts,
        tally: Tally,
        pace: Pace,
        lost: Mapping[str, int],
        slots: Mapping[str, int],
    ) -> Progress:
        """How far the run is now."""
        now = self._clock.now()
        scales, overheads = pace.scales(), pace.overheads(slots)
        left = [max(schedule.seconds.get(group, 0.0), 0.0) for group in range(len(scales))]
        batches = [
            number_of(schedule.num_left[group], scale * seconds)
            for group, (scale, seconds) in enumerate(zip(scales, left, strict=True))
        ]
        rest = attempts.seconds_left(now, scales, overheads)
        eta = pace.eta(left, batches, rest, slots)
        longest = [
            shown_batch(
                entry,
                entry.age(now),
                scales[entry.work.group] * entry.work.batch.seconds + overheads[entry.work.batch.kind],
                entry.deadline_age,
            )
            for entry in attempts.longest(SHOWN_RUNNING)
        ]
        return Progress(
            kinds=tally.kinds(pace),
            running=len(attempts) - attempts.num_queued,
            queued=attempts.num_queued,
            elapsed_seconds=now - self._start,
            eta_seconds=eta.seconds if eta else None,
            eta_low_seconds=eta.low_seconds if eta else None,
            eta_high_seconds=eta.high_seconds if eta else None,
            longest=tuple(longest),
            slowest=tally.slowest(),
            in_flight_seconds=rest_seconds(rest, slots),
            attempts=dict(lost),
        )
