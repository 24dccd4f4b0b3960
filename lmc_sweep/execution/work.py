"""A batch and its history, and what follows when an attempt at it ends without its results.

The rules are pure: which cause, how often before, how many items. When to do what follows is the
driver's business.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from types import MappingProxyType

from lmc_sweep.execution.causes import CAUSES, Cause
from lmc_sweep.planning.batching import Batch
from lmc_sweep.planning.resizing import halves

LONGEST_BACKOFF_SECONDS = 60.0
DEADLINE_FACTOR = 3.0
"""By how much the deadline grows with every attempt that it ended."""
ALONE_AGAIN = 2
"""Attempts of an item whose batch used up its own: what befell the batch may have been another's doing."""


@dataclass(frozen=True)
class Work:
    """A batch that is to be run, and what is known of earlier attempts at it.

    Attributes:
        batch: The items.
        group: Number of what its items have in common (``planning.batching.group_key``).
        number: Of the next attempt, from 1; parts of a batch go on counting.
        ended: Attempts that ended without results, by cause.
        expired: Attempts at this very batch that ended by their deadline.
        escalations: How often it got more room.
    """

    batch: Batch
    group: int = 0
    number: int = 1
    ended: Mapping[str, int] = field(default_factory=lambda: MappingProxyType({}))
    expired: int = 0
    escalations: int = 0

    @property
    def key(self) -> str:
        """Name of the next attempt."""
        return f"{self.batch.id}-{self.number}"

    @property
    def is_fresh(self) -> bool:
        """Whether nothing was attempted yet."""
        return self.number == 1

    @property
    def share(self) -> int:
        """How many times the resources of its kind it should reserve."""
        return 1 << self.escalations

    def with_batch(self, batch: Batch) -> Work:
        """Other items with the same history."""
        return replace(self, batch=batch)

    def only(self, item_ids: Collection[str]) -> Work:
        """The same with these of its items alone, of which there is one at least."""
        batch, wanted = self.batch, frozenset(item_ids)
        items = tuple(item for item in batch.items if item.id in wanted)
        if len(items) == len(batch.items):
            return self
        share = len(items) / len(batch.items)
        return self.with_batch(replace(batch, items=items, seconds=share * batch.seconds))


@dataclass(frozen=True)
class Next:
    """What follows: work after a pause; without any, its items are given up."""

    work: tuple[Work, ...]
    delay_seconds: float = 0.0


def after(work: Work, cause: Cause, retries: int) -> Next:
    """What follows an attempt that ended without its results.

    Memory that ran out calls for half the batch, and for a single item twice the room. Everything else is
    tried again as it is, and in halves once the attempts at a batch are used up, until the item that is to
    blame stands alone.

    Args:
        cause: Why it ended.
        retries: ``execution.retries`` of the sweep, for causes without a number of their own.
    """
    most = retries + 1 if cause.max_attempts is None else cause.max_attempts
    num_ended = work.ended.get(cause.name, 0) + 1
    delay = backoff(cause, num_ended)
    several = len(work.batch.items) > 1
    if cause.escalates and several:
        return Next(_in_halves(work, {**work.ended, cause.name: 0}), delay)
    if num_ended < most:
        return Next((_once_more(work, cause, num_ended),), delay)
    if several and cause.max_attempts != 1:
        parts = _in_halves(work, {})
        return Next(tuple(replace(part, ended=_used_up(work, part, cause, most)) for part in parts), delay)
    return Next(())


def unfinished(work: Work) -> Next:
    """What follows an attempt that no worker ever began: another, which is not counted."""
    return Next((replace(work, number=work.number + 1),))


def uncounted(work: Work, cause: Cause) -> Next:
    """What follows where no item can be to blame: another attempt after a pause, which is not counted."""
    return Next((replace(work, number=work.number + 1),), backoff(cause, 1))


def backoff(cause: Cause, num_ended: int) -> float:
    """Seconds to wait after so many attempts ended by a cause: doubled each time, up to a minute."""
    return min(cause.backoff_seconds * 2.0 ** min(num_ended - 1, 30), LONGEST_BACKOFF_SECONDS)


def known(cause: str) -> Cause:
    """The class of that name; of a name that is not known, that of a worker that died."""
    return CAUSES.get(cause, CAUSES["worker_died"])


def _once_more(work: Work, cause: Cause, num_ended: int) -> Work:
    """The same batch, with what the cause adds to its history."""
    return replace(
        work,
        number=work.number + 1,
        ended={**work.ended, cause.name: num_ended},
        expired=work.expired + (cause.name == "deadline"),
        escalations=work.escalations + cause.escalates,
    )


def _used_up(whole: Work, part: Work, cause: Cause, most: int) -> Mapping[str, int]:
    """The history of a part of a batch that used up its attempts: one is left, two for an item alone."""
    left = ALONE_AGAIN if len(part.batch.items) == 1 else 1
    return {**whole.ended, cause.name: max(most - left, 0)}


def _in_halves(work: Work, ended: Mapping[str, int]) -> tuple[Work, Work]:
    """The two halves of a batch. Of its longer deadlines one step stays: the estimate may be far off."""
    first, second = (
        replace(work, batch=part, number=work.number + 1, ended=ended, expired=min(work.expired, 1))
        for part in halves(work.batch)
    )
    return first, second
