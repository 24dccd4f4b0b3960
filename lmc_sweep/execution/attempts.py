"""What is in flight, and what is done about an attempt that takes too long.

An attempt past its deadline is asked to end, then its process is ended, then it is forgotten: of a machine
that hangs nothing more may ever be heard, and nobody waits for it. Times are those of a clock that only
runs forward.
"""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence

from lmc_sweep.execution.executor import Executor
from lmc_sweep.execution.in_flight import InFlight, Phase
from lmc_sweep.execution.pace import Rest
from lmc_sweep.execution.work import Work

FORCE_AFTER_SECONDS = 10.0
"""From asking a task to end to ending its process."""
FORGET_AFTER_SECONDS = 5.0
"""From ending a task's process to waiting for it no more."""


class Attempts:
    """The attempts in flight, by key, and when to look at each again."""

    def __init__(self) -> None:
        self.room: Counter[str] = Counter()
        """Slots that are taken, by place."""
        self._by_key: dict[str, InFlight] = {}
        self._queued: defaultdict[str, dict[str, InFlight]] = defaultdict(dict)
        """Those that wait for a slot, by pool."""
        self._homeless: defaultdict[str, dict[str, InFlight]] = defaultdict(dict)
        """Those that wait for a machine, since none of now has a slot for them, by pool."""
        self._taken: defaultdict[str, float] = defaultdict(float)
        """Part of a pool's slots that those have which began."""
        self._num: Counter[str] = Counter()
        """Slots that are taken, by pool."""
        self._entries: Counter[str] = Counter()
        """Attempts in flight, by pool."""
        self._looks: list[tuple[float, int, str]] = []
        self._serial = itertools.count()

    def __len__(self) -> int:
        return len(self._by_key)

    def begin(
        self,
        work: Work,
        now: float,
        deadline: float,
        num_slots: int,
        place: str | None = None,
        pool: str = "",
    ) -> InFlight:
        """Books an attempt that is about to be submitted; ``place`` is its kind where none is given."""
        place = place or work.batch.kind
        room = max(1, min(work.share, num_slots))
        was_queued = self._num[pool] >= num_slots
        latest = max((entry.since + entry.deadline_seconds for entry in self._by_key.values()), default=now)
        entry = InFlight(
            key=work.key,
            work=work,
            since=now,
            deadline_seconds=deadline,
            grace_seconds=max(latest - now, 0.0),
            was_queued=was_queued,
            room=room,
            part=room / max(num_slots, 1),
            due=max(latest, now) + deadline if was_queued else now + deadline,
            place=place,
            pool=pool,
        )
        self._by_key[entry.key] = entry
        (self._queued if num_slots else self._homeless)[pool][entry.key] = entry
        self.room[place] += entry.room
        self._num[pool] += entry.room
        self._entries[pool] += 1
        self._promote(pool, now)
        self._look(entry, now + deadline)
        return entry

    @property
    def num_queued(self) -> int:
        """Those that wait for a slot."""
        return sum(len(found) for waiting in (self._queued, self._homeless) for found in waiting.values())

    def arrived(self, slots: Mapping[str, int], now: float) -> None:
        """Lets those that waited for machines queue for the slots, by place, that there are now."""
        for pool, waiting in self._homeless.items():
            for entry in [entry for entry in waiting.values() if slots.get(entry.place)]:
                del waiting[entry.key]
                entry.part = entry.room / slots[entry.place]
                self._queued[pool][entry.key] = entry
            self._promote(pool, now)

    def end(self, key: str, now: float) -> InFlight | None:
        """Takes out an attempt that ended; None for one that nobody waits for any more."""
        entry = self._by_key.pop(key, None)
        if entry is not None:
            self.room[entry.place] -= entry.room
            self._num[entry.pool] -= entry.room
            self._entries[entry.pool] -= 1
            waited = any(waiting[entry.pool].pop(key, None) for waiting in (self._queued, self._homeless))
            if not waited:
                self._taken[entry.pool] -= entry.part
            elif entry.began is None:
                entry.began = entry.since  # it had a slot after all: since when, nobody knows
            self._promote(entry.pool, now)
        return entry

    def _promote(self, pool: str, now: float) -> None:
        """Lets the oldest that queue have the slots that are free; if any has a machine, one always runs."""
        queued = self._queued[pool]
        while queued:
            entry = next(iter(queued.values()))
            if len(queued) + len(self._homeless[pool]) == self._entries[pool]:
                self._taken[pool] = 0.0
            elif self._taken[pool] + entry.part > 1 + 1e-9:
                return
            del queued[entry.key]
            self._taken[pool] += entry.part
            entry.began = now

    def longest(self, count: int) -> list[InFlight]:
        """Those that have had a slot longest."""
        running = (entry for entry in self._by_key.values() if entry.began is not None)
        return heapq.nsmallest(count, running, key=lambda entry: entry.began or 0.0)

    def seconds_left(
        self, now: float, scales: Sequence[float], overheads: Mapping[str, float]
    ) -> dict[str, Rest]:
        """What is in flight, by kind.

        Args:
            scales: Of each group.
            overheads: Seconds that a batch of each kind takes beyond its scaled estimate.
        """
        left: dict[str, Rest] = {}
        for entry in self._by_key.values():
            batch = entry.work.batch
            expected = scales[entry.work.group] * batch.seconds + overheads.get(batch.kind, 0.0)
            seconds, so_far = entry.time_left(now, expected), left.get(batch.kind, Rest())
            left[batch.kind] = Rest(
                so_far.seconds + seconds, max(so_far.longest_seconds, seconds), so_far.num_batches + 1
            )
        return left

    def press(self, now: float, executor: Executor) -> list[InFlight]:
        """Takes the next step with each attempt that is past its time; returns those that it forgot."""
        forgotten = []
        while self._looks and self._looks[0][0] <= now:
            entry = self._by_key.get(heapq.heappop(self._looks)[2])
            if entry is not None and self._step(entry, now, executor) is Phase.FORGOTTEN:
                forgotten.append(entry)
        return forgotten

    def cancel_all(self, executor: Executor, *, force: bool) -> None:
        """Asks everything that runs to end, or ends its process: each once."""
        phase = Phase.FORCED if force else Phase.ASKED
        for key, entry in list(self._by_key.items()):
            if entry.phase.value < phase.value:
                entry.phase = phase
                executor.cancel(key, force=force)

    def forget_all(self, now: float, executor: Executor) -> None:
        """Waits for nothing any more."""
        for key in list(self._by_key):
            executor.forget(key)
            self.end(key, now)

    def drop_all(self) -> None:
        """Waits for nothing any more; the executor is not told, since it is gone."""
        self._by_key.clear()
        self._queued.clear()
        self._homeless.clear()
        self.room.clear()
        self._num.clear()
        self._entries.clear()
        self._taken.clear()

    def _step(self, entry: InFlight, now: float, executor: Executor) -> Phase:
        if entry.phase is Phase.RUNNING:
            started = executor.is_started(entry.key)
            if entry.grace_seconds and (entry.was_queued or not started):
                entry.due = now + entry.grace_seconds
                self._look(entry, entry.due)
                entry.grace_seconds = 0.0
                return entry.phase
            entry.is_started = started
            entry.phase = Phase.ASKED
            executor.cancel(entry.key, force=False)
            self._look(entry, now + FORCE_AFTER_SECONDS)
        elif entry.phase is Phase.ASKED:
            entry.phase = Phase.FORCED
            executor.cancel(entry.key, force=True)
            self._look(entry, now + FORGET_AFTER_SECONDS)
        else:
            entry.phase = Phase.FORGOTTEN
            executor.forget(entry.key)
            self.end(entry.key, now)
        return entry.phase

    def _look(self, entry: InFlight, when: float) -> None:
        """Notes when to look at an attempt again, and drops the notes of those that ended."""
        if len(self._looks) > 2 * len(self._by_key) + 64:
            self._looks = [look for look in self._looks if look[2] in self._by_key]
            heapq.heapify(self._looks)
        heapq.heappush(self._looks, (when, next(self._serial), entry.key))
