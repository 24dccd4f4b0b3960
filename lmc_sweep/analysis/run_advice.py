"""What a run says of itself, read with mistrust: it may be old, damaged, or of another version."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from lmc_sweep.store import processes

ALIVE_STATES = ("running", "stopping")
"""What a run says while it works; when it ends in order, it says ``stopped`` or ``finished``."""

_LARGEST = 1e15
"""Numbers of seconds or items beyond this are nobody's, and may be more than a float can hold."""

SILENT_SECONDS = 30.0
"""A run that has not been heard of for this long is taken for gone."""

SILENT_INLINE_SECONDS = 300.0
"""The same of a run in one process (``--inline``), which says nothing while a batch runs."""


@dataclass(frozen=True)
class BatchAdvice:
    """A batch that a run works on, or has worked on.

    Attributes:
        key: The batch's id, a dash, and the attempt's number.
        seconds: How long it has been running, or took.
        estimated_seconds: How long it was expected to take.
        attempt: From 1.
        what: What its items are, in words.
        deadline_seconds: At what age it is asked to end.
    """

    key: str
    kind: str
    num_items: int | None
    seconds: float | None
    estimated_seconds: float | None
    attempt: int | None
    what: str
    deadline_seconds: float | None = None

    def as_json(self) -> dict[str, Any]:
        """Plain data, as in ``progress.json``."""
        return dict(vars(self))


@dataclass(frozen=True)
class KindAdvice:
    """What a run says of one kind of items."""

    blocked: int = 0
    rate_per_second: float | None = None
    estimated_seconds: float = 0.0
    measured_seconds: float = 0.0


@dataclass(frozen=True)
class RunAdvice:
    """What one run says of itself. Whatever it does not say, or not well, is None or empty.

    Attributes:
        is_gone: Whether it said that it goes on, and its process, on this machine, has ended.
    """

    run_id: str
    state: str = "unknown"
    stop_reason: str | None = None
    is_gone: bool = False
    updated_at: float | None = None
    beat: int | None = None
    elapsed_seconds: float | None = None
    eta_seconds: float | None = None
    eta_low_seconds: float | None = None
    eta_high_seconds: float | None = None
    num_ended: int = 0
    executor: str = ""
    kinds: dict[str, KindAdvice] = field(default_factory=dict)
    running: tuple[BatchAdvice, ...] = ()
    num_queued: int = 0
    slowest: tuple[BatchAdvice, ...] = ()

    @property
    def claims_to_be_alive(self) -> bool:
        """Whether the last that it said was not that it has ended, and nothing shows that it has."""
        return self.state in ALIVE_STATES and not self.is_gone

    @property
    def patience_seconds(self) -> float:
        """How long it may be silent before it is taken for gone."""
        return SILENT_INLINE_SECONDS if self.executor.startswith("inline") else SILENT_SECONDS

    def silent_seconds(self, now: float) -> float | None:
        """Seconds since it was last heard of; the clocks of two machines may differ in either direction."""
        return None if self.updated_at is None else abs(now - self.updated_at)

    def is_alive(self, now: float) -> bool:
        """Whether it claims to be alive and was heard of a short time ago, by the clocks."""
        silent = self.silent_seconds(now)
        return self.claims_to_be_alive and silent is not None and silent < self.patience_seconds


def read_advice(told: Mapping[str, Any]) -> RunAdvice:
    """The advice in one entry of ``Store.read_runs``; whatever cannot be believed is left out."""
    state = _text(told.get("state")) or "unknown"
    return RunAdvice(
        run_id=_text(told.get("run_id")),
        state=state,
        is_gone=state in ALIVE_STATES and processes.is_gone(told.get("process")),
        stop_reason=_text(told.get("stop_reason")) or None,
        updated_at=_seconds(told.get("updated_at")),
        beat=_count(told.get("beat")),
        elapsed_seconds=_seconds(told.get("elapsed_seconds")),
        eta_seconds=_seconds(told.get("eta_seconds")),
        eta_low_seconds=_seconds(told.get("eta_low_seconds")),
        eta_high_seconds=_seconds(told.get("eta_high_seconds")),
        num_ended=_count(told.get("num_ended")) or 0,
        executor=_text(told.get("executor")),
        kinds={name: _kind(entry) for name, entry in _mapping(told.get("kinds")).items()},
        running=_batches(told.get("running")),
        num_queued=_count(told.get("queued")) or 0,
        slowest=_batches(told.get("slowest")),
    )


def _kind(told: Any) -> KindAdvice:
    entry = _mapping(told)
    return KindAdvice(
        blocked=_count(entry.get("blocked")) or 0,
        rate_per_second=_seconds(entry.get("rate_per_second")),
        estimated_seconds=_seconds(entry.get("estimated_seconds")) or 0.0,
        measured_seconds=_seconds(entry.get("measured_seconds")) or 0.0,
    )


def _batches(told: Any) -> tuple[BatchAdvice, ...]:
    entries = [_mapping(entry) for entry in told] if isinstance(told, list) else []
    return tuple(
        BatchAdvice(
            key=_text(entry.get("key")),
            kind=_text(entry.get("kind")),
            num_items=_count(entry.get("num_items")),
            seconds=_seconds(entry.get("seconds")),
            estimated_seconds=_seconds(entry.get("estimated_seconds")),
            attempt=_count(entry.get("attempt")),
            what=_text(entry.get("what")),
            deadline_seconds=_seconds(entry.get("deadline_seconds")),
        )
        for entry in entries
        if entry
    )


def _mapping(told: Any) -> dict[str, Any]:
    return told if isinstance(told, dict) else {}


def _text(told: Any) -> str:
    return told if isinstance(told, str) else ""


def _seconds(told: Any) -> float | None:
    """A number that is finite and not negative."""
    if isinstance(told, bool) or not isinstance(told, int | float):
        return None
    return float(told) if 0 <= told <= _LARGEST and math.isfinite(told) else None


def _count(told: Any) -> int | None:
    found = _seconds(told)
    return None if found is None else int(found)
