"""How far a run is, who is told, and the wish to stop it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Protocol

from lmc_sweep.execution.executor import Executor
from lmc_sweep.execution.task import ItemFailure
from lmc_sweep.planning.plan import Plan
from lmc_sweep.redaction import redact


@dataclass(frozen=True)
class KindProgress:
    """How far one kind of items is."""

    total: int
    done: int
    failed: int
    blocked: int
    """Items whose inputs failed, so that they cannot run."""
    estimated_seconds: float
    """Worker seconds that were estimated for the batches that have ended."""
    measured_seconds: float
    """Worker seconds that those batches took."""
    rate_per_second: float = 0.0
    """Items done per second of late."""


@dataclass(frozen=True)
class BatchProgress:
    """One batch that runs, or that has ended."""

    key: str
    kind: str
    num_items: int
    seconds: float
    """Since it got a slot; of one that has ended, worker seconds."""
    estimated_seconds: float
    attempt: int
    what: str
    """Data set, architecture, and what is done with it, in words."""
    deadline_seconds: float | None = None
    """At what age one that runs is asked to end."""


@dataclass(frozen=True)
class Progress:
    """How far a run is."""

    kinds: dict[str, KindProgress]
    running: int
    """Batches that have a slot."""
    elapsed_seconds: float
    eta_seconds: float | None
    eta_low_seconds: float | None = None
    eta_high_seconds: float | None = None
    longest: tuple[BatchProgress, ...] = ()
    """The batches that have run longest, of those that run."""
    slowest: tuple[BatchProgress, ...] = ()
    """The slowest batches of those that have ended."""
    queued: int = 0
    """Batches that were submitted and wait for a slot."""
    in_flight_seconds: float | None = None
    """Until all that was submitted has ended, if nothing more is; None where nothing was."""
    attempts: Mapping[str, int] = field(default_factory=dict)
    """Attempts that did not bring their results, by cause."""


class Reporter(Protocol):
    """Who is told how a run goes. Every method may do nothing."""

    def started(self, plan: Plan, executor: Executor) -> None:
        """Called once, before the first batch."""
        ...

    def progressed(self, progress: Progress) -> None:
        """Called after every change and now and then between."""
        ...

    def failed(self, failure: ItemFailure, attempts: int) -> None:
        """Called for items that are given up."""
        ...

    def noticed(self, text: str) -> None:
        """Called with one line that a person should read."""
        ...


CANCELLED = "cancelled by lmc-sweep cancel"
"""The reason of a stop that was asked for through the store."""


class StopRequest:
    """A wish to stop in order: nothing new starts, what runs is finished and stored.

    With ``cancel_running``, what runs is not waited for: it is cancelled, and stays to be done.
    """

    def __init__(self) -> None:
        self.reason: str | None = None
        self.cancel_running = False


def stop_in_order(stop: StopRequest, reporter: Reporter, reason: str) -> None:
    """Asks for a stop and says why, unless one was asked for already."""
    if not stop.reason:
        stop.reason = redact(reason)
        reporter.noticed(f"Stopping in order: {stop.reason}")


def advice(plan: Plan, progress: Progress, stop: StopRequest, is_over: bool) -> dict[str, object]:
    """What ``status`` can be told while a driver runs, and after (``is_over``): advice, never truth."""
    left = any(k.done + k.failed + k.blocked < k.total for k in progress.kinds.values())
    ended = "stopped" if left else "finished"
    state = ended if is_over else "stopping" if stop.reason else "running"
    return {
        "state": state,
        "stop_reason": redact(stop.reason) if stop.reason else None,
        "num_ended": sum(k.done for k in progress.kinds.values())
        - sum(len(done) for done in plan.done.values()),
        "elapsed_seconds": round(progress.elapsed_seconds, 3),
        "eta_seconds": _rounded(progress.eta_seconds),
        "eta_low_seconds": _rounded(progress.eta_low_seconds),
        "eta_high_seconds": _rounded(progress.eta_high_seconds),
        "estimated_wall_seconds": round(plan.wall_seconds, 3),
        "kinds": {
            kind: {
                "estimated_seconds": round(k.estimated_seconds, 3),
                "measured_seconds": round(k.measured_seconds, 3),
                "done": k.done,
                "failed": k.failed,
                "blocked": k.blocked,
                "total": k.total,
                "rate_per_second": round(k.rate_per_second, 4),
            }
            for kind, k in progress.kinds.items()
        },
        "running": [_shown(batch) for batch in progress.longest],
        "queued": progress.queued,
        "slowest": [_shown(batch) for batch in progress.slowest],
        "attempts": dict(progress.attempts),
    }


def _shown(batch: BatchProgress) -> dict[str, object]:
    shown = {name: value for name, value in asdict(batch).items() if value is not None}
    return {name: round(value, 3) if isinstance(value, float) else value for name, value in shown.items()}


def _rounded(seconds: float | None) -> float | None:
    return None if seconds is None else round(seconds, 3)
