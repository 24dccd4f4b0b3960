"""Which batch can run next: dependencies between items, pauses, and the order of what is ready."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from lmc_sweep.execution.work import Work
from lmc_sweep.planning.batching import Batch, group_key
from lmc_sweep.planning.items import KINDS, Item, NetworkItem

_Entry = tuple[float, int, Work]  # order, serial number


class Schedule:
    """Work that waits for items, work that pauses, and work that is ready.

    Work becomes ready when every item that it requires is settled: there, or given up. Items whose
    inputs were given up are blocked: they never run, and what requires them is blocked in turn. Later
    kinds go first, so that whole cells finish early; within a kind the longest first, or, reversed, the
    other way round throughout.
    """

    def __init__(self, batches: Sequence[Batch]) -> None:
        self.is_reversed = False
        self.seconds: defaultdict[int, float] = defaultdict(float)
        """Estimated seconds of what has not been taken, by group."""
        self.num_left: Counter[int] = Counter()
        """Batches that have not been taken, by group."""
        self.kind_of_group: list[str] = []
        self._on_gpus: set[int] = set()
        self._serial = itertools.count()
        self._groups: dict[tuple[object, ...], int] = {}
        self._ready: dict[int, list[_Entry]] = defaultdict(list)
        self._heads: dict[str, list[tuple[float, int, int]]] = {kind: [] for kind in KINDS}
        self._num_ready: Counter[str] = Counter()
        self._paused: list[_Entry] = []
        self._waiting: dict[str, list[int]] = defaultdict(list)
        self._missing: dict[int, tuple[Work, set[str]]] = {}
        self._unavailable: set[str] = set()
        to_do = {item.id for batch in batches for item in batch.items}
        for position, batch in enumerate(batches):
            work = Work(batch, self._group(batch))
            missing = set(batch.requires & to_do)
            if not missing:
                self.add(work)
                continue
            self.seconds[work.group] += batch.seconds
            self.num_left[work.group] += 1
            self._missing[position] = (work, missing)
            for required in missing:
                self._waiting[required].append(position)

    def __bool__(self) -> bool:
        """Whether anything is ready or pauses."""
        return bool(self._paused) or self._num_ready.total() > 0

    def needs_gpu(self, group: int) -> bool:
        """Whether CPUs cannot compute what a group asks."""
        return group in self._on_gpus

    def num_ready(self, kind: str) -> int:
        """Batches of a kind that could be taken now."""
        return self._num_ready[kind]

    def add(self, work: Work) -> None:
        """Makes work ready, for the first time or again."""
        self.seconds[work.group] += work.batch.seconds
        self.num_left[work.group] += 1
        self._make_ready(work)

    def add_later(self, work: Work, due: float) -> None:
        """Adds work that must not start before a time."""
        self.seconds[work.group] += work.batch.seconds
        self.num_left[work.group] += 1
        heapq.heappush(self._paused, (due, next(self._serial), work))

    def release(self, now: float) -> float | None:
        """Makes ready whose pause is over; returns when the next one ends."""
        while self._paused and self._paused[0][0] <= now:
            self._make_ready(heapq.heappop(self._paused)[2])
        return self._paused[0][0] if self._paused else None

    def take(
        self, has_room: Callable[[str], bool], suits: Callable[[Work], bool] | None = None
    ) -> Work | None:
        """The next work of a kind for which there is room; groups whose next work does not suit are left."""
        for kind in reversed(KINDS):
            heads, left = self._heads[kind], []
            try:
                while heads:
                    order, serial, group = heads[0]
                    ready = self._ready.get(group)
                    if not ready or ready[0][:2] != (order, serial):
                        heapq.heappop(heads)  # something else of the group came or went since
                        continue
                    if not has_room(kind):
                        break
                    head = heapq.heappop(heads)
                    if suits is None or suits(ready[0][2]):
                        return self._pop(group)
                    left.append(head)
            finally:
                for head in left:
                    heapq.heappush(heads, head)
        return None

    def peek(self, group: int) -> Work | None:
        """What ``take_alike`` would return."""
        ready = self._ready.get(group)
        return ready[0][2] if ready else None

    def take_alike(self, group: int) -> Work:
        """The next work of a group."""
        return self._pop(group)

    def reverse(self) -> None:
        """Turns the order round: another driver works on the same batches from the other end."""
        self.is_reversed = not self.is_reversed
        ready = sorted(entry for entries in self._ready.values() for entry in entries)
        self._ready.clear()
        self._num_ready.clear()
        self._heads = {kind: [] for kind in KINDS}
        for _, _, work in ready:
            self._make_ready(work)

    def settle(self, done: Iterable[str], given_up: Iterable[str]) -> Counter[str]:
        """Books items that are there or never will be; returns how many of each kind that blocks."""
        failed = list(given_up)
        self._unavailable.update(failed)
        blocked: Counter[str] = Counter()
        settled = [*done, *failed]
        while settled:
            item_id = settled.pop()
            for position in self._waiting.pop(item_id, ()):
                work, missing = self._missing[position]
                missing.discard(item_id)
                if missing:
                    continue
                del self._missing[position]
                settled += self._unblock(work, blocked)
        return blocked

    def _unblock(self, work: Work, blocked: Counter[str]) -> list[str]:
        """Makes ready what can run of work that waits no more; returns the ids of what cannot."""
        batch = work.batch
        self.seconds[work.group] -= batch.seconds
        self.num_left[work.group] -= 1
        able = tuple(item for item in batch.items if not self._is_blocked(item))
        if able:
            share = len(able) / len(batch.items)
            self.add(work.with_batch(replace(batch, items=able, seconds=share * batch.seconds)))
        if len(able) == len(batch.items):
            return []
        lost = [item.id for item in batch.items if self._is_blocked(item)]
        blocked[batch.kind] += len(lost)
        self._unavailable.update(lost)
        return lost

    def _is_blocked(self, item: Item) -> bool:
        return bool(self._unavailable) and not self._unavailable.isdisjoint(item.requires)

    def _group(self, batch: Batch) -> int:
        """Number of a batch's group, from 0 in the order of their first batches."""
        key = (batch.kind, *group_key(batch.items[0]))
        if key not in self._groups:
            self._groups[key] = len(self._groups)
            self.kind_of_group.append(batch.kind)
            if _needs_gpu(batch.items[0]):
                self._on_gpus.add(self._groups[key])
        return self._groups[key]

    def _make_ready(self, work: Work) -> None:
        serial = next(self._serial)
        sign = 1 if self.is_reversed else -1
        order, place = sign * work.batch.seconds, -sign * serial
        entries = self._ready[work.group]
        heapq.heappush(entries, (order, place, work))
        if entries[0][1] == place:
            heapq.heappush(self._heads[work.batch.kind], (order, place, work.group))
        self._num_ready[work.batch.kind] += 1

    def _pop(self, group: int) -> Work:
        """Takes the first of a group, and puts the second at its head."""
        entries = self._ready[group]
        work = heapq.heappop(entries)[2]
        kind = work.batch.kind
        self._num_ready[kind] -= 1
        self.seconds[group] -= work.batch.seconds
        self.num_left[group] -= 1
        if entries:
            heapq.heappush(self._heads[kind], (*entries[0][:2], group))
        else:
            del self._ready[group]
        return work


def _needs_gpu(item: Item) -> bool:
    """Whether a network trains in a precision that only GPUs have."""
    training = getattr(item.spec, "training", None) if isinstance(item, NetworkItem) else None
    return training is not None and training.precision == "tf32"
