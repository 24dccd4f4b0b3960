"""One attempt that was submitted: how far it is, what it takes, and how long it may take."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from lmc_sweep.execution.work import DEADLINE_FACTOR, Work

ESTIMATES_PER_DEADLINE = 10.0
"""How many times its estimated seconds an attempt may take."""


class Phase(Enum):
    """How far an attempt is from being forgotten."""

    RUNNING = 0
    ASKED = 1
    FORCED = 2
    FORGOTTEN = 3


@dataclass(slots=True)
class InFlight:
    """One attempt that was submitted and of which nothing was heard yet."""

    key: str
    work: Work
    since: float
    deadline_seconds: float
    grace_seconds: float
    """How long it may have queued behind others, which its deadline does not count."""
    was_queued: bool
    """Whether every slot was taken when it was submitted."""
    room: int
    """Slots that it takes."""
    part: float
    """The same as a part of all there are for its kind."""
    due: float
    """When it is asked to end."""
    place: str = ""
    """Where it runs (``execution.placement``)."""
    pool: str = ""
    """What its slots are of: those of different pools do not wait for each other."""
    began: float | None = None
    """Since when it has a slot, as far as can be told from here; None while it queues."""
    phase: Phase = Phase.RUNNING
    is_started: bool = True
    """Whether a worker was known to have begun it when it was asked to end."""

    def age(self, now: float) -> float:
        """Seconds that it has had a slot."""
        return 0.0 if self.began is None else now - self.began

    @property
    def deadline_age(self) -> float | None:
        """At what age it is asked to end."""
        return None if self.began is None else self.due - self.began

    def time_left(self, now: float, expected: float) -> float:
        """Seconds that it will take still: past its time, a quarter of its age."""
        return max(expected - self.age(now), self.age(now) / 4)


def deadline_seconds(work: Work, scale: float, shortest: float) -> float:
    """Seconds that an attempt may take: ten times its estimate, more after each that was too short.

    Args:
        work: What is attempted.
        scale: Measured over estimated seconds of batches like it; 1 where nothing was measured.
        shortest: ``execution.min_deadline_seconds``.
    """
    expected = scale * work.batch.seconds
    return float(max(shortest, ESTIMATES_PER_DEADLINE * expected) * DEADLINE_FACTOR**work.expired)
