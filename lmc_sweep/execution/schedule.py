"""Which batch can run next: dependencies between items, and the order of what is ready."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from lmc_sweep.planning.batching import Batch
from lmc_sweep.planning.items import KINDS, Item


class Schedule:
    """Batches that wait for items, and batches that are ready.

    A batch becomes ready when every item that it requires is settled: there, or given up. Items whose
    inputs were given up are blocked: they never run, and what requires them is blocked in turn. Later
    kinds go first, so that whole cells finish early; within a kind the longest first.
    """

    def __init__(self, batches: Sequence[Batch]) -> None:
        self._serial = itertools.count()
        self._ready: dict[str, list[tuple[float, int, Batch, int]]] = {kind: [] for kind in KINDS}
        self._waiting: dict[str, list[int]] = defaultdict(list)
        self._missing: dict[int, tuple[Batch, set[str]]] = {}
        self._unavailable: set[str] = set()
        to_do = {item.id for batch in batches for item in batch.items}
        for position, batch in enumerate(batches):
            missing = set(batch.requires & to_do)
            if not missing:
                self.add(batch, attempt=1)
                continue
            self._missing[position] = (batch, missing)
            for required in missing:
                self._waiting[required].append(position)

    def __bool__(self) -> bool:
        """Whether anything is ready."""
        return any(self._ready.values())

    def add(self, batch: Batch, attempt: int) -> None:
        """Makes a batch ready, for the first time or again."""
        heapq.heappush(self._ready[batch.kind], (-batch.seconds, next(self._serial), batch, attempt))

    def take(self, has_room: Callable[[str], bool]) -> tuple[Batch, int] | None:
        """The next batch for whose kind there is room, without its blocked items, and its attempt."""
        for kind in reversed(KINDS):
            while self._ready[kind] and has_room(kind):
                _, _, batch, attempt = heapq.heappop(self._ready[kind])
                able = tuple(item for item in batch.items if not self._is_blocked(item))
                if able:
                    share = len(able) / len(batch.items)
                    return replace(batch, items=able, seconds=share * batch.seconds), attempt
        return None

    def settle(self, done: Iterable[str], given_up: Iterable[str]) -> Counter[str]:
        """Books items that are there or never will be; returns how many of each kind that blocks."""
        available, failed = set(done), set(given_up)
        self._unavailable |= failed
        blocked: Counter[str] = Counter()
        settled = [*available, *failed]
        while settled:
            for position in self._waiting.pop(settled.pop(), ()):
                if position not in self._missing:
                    continue  # released by another of the items that settled together
                batch, missing = self._missing[position]
                missing -= available | self._unavailable
                if missing:
                    continue
                newly = {item.id for item in batch.items if self._is_blocked(item)} - self._unavailable
                blocked[batch.kind] += len(newly)
                self._unavailable |= newly
                settled += newly
                del self._missing[position]
                if len(newly) < len(batch.items):
                    self.add(batch, attempt=1)
        return blocked

    def _is_blocked(self, item: Item) -> bool:
        return not self._unavailable.isdisjoint(item.requires)
