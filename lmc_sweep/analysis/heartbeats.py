"""Which runs are at work, told by their heartbeats alone, so that no two clocks have to agree."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lmc_sweep.analysis.run_advice import RunAdvice

UNDECIDED_SECONDS = 10.0
"""How long a run whose clock differs from ours is given to show a second heartbeat."""


@dataclass(frozen=True)
class _Heard:
    """The last heartbeat of a run: what it said, when that was first seen, whether the run is believed."""

    mark: float | None
    since: float
    believed: bool


class Heartbeats:
    """Watches runs from one look at their advice to the next."""

    def __init__(self) -> None:
        self._heard: dict[str, _Heard] = {}
        self.alive: dict[str, float] = {}
        """Runs at work as of the last look, with the seconds since their last new heartbeat was seen."""
        self.undecided: frozenset[str] = frozenset()
        """Runs that may be at work: they say so, but long ago by their clock, and were seen only lately."""
        self.silent: dict[str, float] = {}
        """Runs that were at work and fell silent, with the seconds since their last new heartbeat."""
        self.last_life: float | None = None
        """The instant of the last new heartbeat that was seen of a run at work; None before the first."""
        self.has_ended = False
        """Whether the last of the runs that were seen at work said that it has ended."""

    def look(self, runs: Sequence[RunAdvice], now: float, instant: float) -> None:
        """Takes in what runs say now.

        Args:
            now: Seconds since 1970 by this machine's clock: decides on a run that is seen first.
            instant: Seconds of a clock that never jumps: decides how long a run has been silent.
        """
        alive, silenced, undecided = {}, {}, set()
        for run in runs:
            if not run.claims_to_be_alive:
                known = self._heard.pop(run.run_id, None)
                if known is not None and known.believed and not run.is_gone:
                    self.has_ended = True
                continue
            mark = run.updated_at if run.beat is None else float(run.beat)
            known = self._heard.get(run.run_id)
            if known is None:
                known = _Heard(mark, instant, run.is_alive(now))
            elif known.mark != mark:
                known = _Heard(mark, instant, True)
            self._heard[run.run_id] = known
            silent = instant - known.since
            if known.believed and silent < run.patience_seconds:
                alive[run.run_id] = silent
            elif known.believed:
                silenced[run.run_id] = silent
            elif silent < UNDECIDED_SECONDS:
                undecided.add(run.run_id)
        if alive:
            self.last_life, self.has_ended = instant - min(alive.values()), False
        self.alive, self.silent, self.undecided = alive, silenced, frozenset(undecided)
