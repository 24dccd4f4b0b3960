"""How long things take against their estimates, and how long the rest will: measured while a run goes."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from lmc_sweep.execution.ratios import OVERHEAD_SECONDS, UNKNOWN_SPREAD, Ratios

RECENT_SECONDS = 60.0
RATE_SAMPLES = 60
SURE = 1.3
"""Standard deviations to each side of an ETA: four of five times the end lies between."""
UNSEEN_SPREAD = math.log(3.0)
"""Spread where nothing of a kind was measured: a factor of 3."""
UNSEEN_OVERHEAD_SECONDS = 0.5
"""What a batch of a kind of which nothing was measured may well cost besides its estimate."""
LEAST_SPREAD = 0.1
"""What no number of batches tells: how the last of them fall on the slots, what else the machines do."""


@dataclass(frozen=True)
class Eta:
    """Seconds to the end, and the range in which it is to be expected."""

    seconds: float
    low_seconds: float
    high_seconds: float


@dataclass(frozen=True)
class Rest:
    """What is in flight of one kind.

    Attributes:
        seconds: That its batches will take still, those that queue in full.
        longest_seconds: Of the one that takes longest.
        num_batches: How many they are.
    """

    seconds: float = 0.0
    longest_seconds: float = 0.0
    num_batches: int = 0


def rest_seconds(running: Mapping[str, Rest], slots: Mapping[str, int]) -> float | None:
    """Seconds until what is in flight has ended, if nothing more begins; None where nothing is.

    Args:
        running: What is in flight, by kind.
        slots: Tasks of each kind that can run at a time.
    """
    shared = sum(rest.seconds / max(slots.get(kind, 1), 1) for kind, rest in running.items())
    return max(shared, *(rest.longest_seconds for rest in running.values())) if running else None


class Pace:
    """Ratios by group and by kind, and the rates at which items of each kind were done of late."""

    def __init__(self, kind_of_group: Sequence[str]) -> None:
        self._kind_of_group = kind_of_group
        self._groups: dict[int, Ratios] = {}
        self._kinds: dict[str, Ratios] = {}
        self._all = Ratios()
        self._samples: deque[tuple[float, Counter[str]]] = deque(maxlen=RATE_SAMPLES)

    def ended(self, group: int, estimated: float, measured: float) -> None:
        """Books a batch all of whose items were computed."""
        for ratios in (
            self._groups.setdefault(group, Ratios()),
            self._kinds.setdefault(self._kind_of_group[group], Ratios()),
            self._all,
        ):
            ratios.add(estimated, measured)

    def scale(self, group: int) -> float | None:
        """Measured over estimated seconds of a group; None before any of its kind was measured."""
        return self._scale(group) if self._kind_of_group[group] in self._kinds else None

    def scales(self) -> list[float]:
        """The scale of every group: drawn towards its kind's, that towards that of all, that towards 1."""
        return [self._scale(group) for group in range(len(self._kind_of_group))]

    def _scale(self, group: int) -> float:
        of_kind = self._kind_scale(self._kind_of_group[group])
        own = self._groups.get(group)
        return own.scale(of_kind) if own else of_kind

    def _kind_scale(self, kind: str) -> float:
        of_all = self._all.scale(1.0)
        ratios = self._kinds.get(kind)
        return ratios.scale(of_all) if ratios else of_all

    def overheads(self, slots: Mapping[str, int]) -> dict[str, float]:
        """Seconds that a batch of each kind takes beyond its scaled estimate."""
        return {
            kind: self._kinds.get(kind, self._all).overhead(self._kind_scale(kind), max(num_slots, 1))
            for kind, num_slots in slots.items()
        }

    def eta(
        self,
        left: Sequence[float],
        batches: Sequence[float],
        running: Mapping[str, Rest],
        slots: Mapping[str, int],
    ) -> Eta | None:
        """When the end is to be expected; None before anything was measured.

        The work of a kind is shared among its slots; but one batch of each kind after another, those that
        wait for each other, and the longest that is in flight, take their time whatever the slots.

        Args:
            left: Estimated seconds of what has not begun, by group.
            batches: How many batches of each group that makes.
            running: What is in flight, by kind.
            slots: Tasks of each kind that can run at a time.
        """
        if not self._all.num_batches:
            return None
        shared, chain = [0.0, 0.0, 0.0], [0.0, 0.0, 0.0]
        overheads = self.overheads(slots)
        for kind, num_slots in slots.items():
            rest = running.get(kind, Rest())
            work, count = self._work(kind, left, batches, overheads[kind], rest)
            starts = self._starts(kind) if count else (0.0, 0.0, 0.0)
            for place, (seconds, start) in enumerate(zip(work, starts, strict=True)):
                alone = seconds / max(count, 1.0)
                longest = rest.longest_seconds if count <= num_slots else 0.0
                shared[place] += start + seconds / max(num_slots, 1)
                chain[place] += start + max(alone, longest)
        low, expected, high = map(max, shared, chain)
        return Eta(expected, low, high)

    def _work(
        self, kind: str, left: Sequence[float], batches: Sequence[float], overhead: float, rest: Rest
    ) -> tuple[tuple[float, float, float], float]:
        """Worker seconds of a kind still to come, at least, about and at most, and batches."""
        most_overhead = self._most_overhead(kind, overhead)
        count = float(rest.num_batches)
        width = SURE * self._deviation(None, kind, max(count, 1.0))
        work = [rest.seconds * math.exp(-width), rest.seconds, rest.seconds * math.exp(width)]
        for group, estimated in enumerate(left):
            if self._kind_of_group[group] != kind or batches[group] <= 0:
                continue
            number = max(batches[group], 1.0)
            count += number
            scaled = self._scale(group) * max(estimated, 0.0)
            width = SURE * self._deviation(group, kind, number)
            work[0] += (scaled + overhead * number) * math.exp(-width)
            work[1] += scaled + overhead * number
            work[2] += (scaled + overhead * number) * math.exp(width) + (most_overhead - overhead) * number
        return (work[0], work[1], work[2]), count

    def _starts(self, kind: str) -> tuple[float, float, float]:
        """What the first batches of a kind wait for, at least, about and at most: as those of others did."""
        if kind in self._kinds:
            return 0.0, 0.0, 0.0
        start = self._all.mean_overhead(self._all.scale(1.0))
        return 0.0, start, 2 * start

    def _most_overhead(self, kind: str, overhead: float) -> float:
        ratios = self._kinds.get(kind)
        if ratios is None:
            return max(overhead, UNSEEN_OVERHEAD_SECONDS)
        mean = ratios.mean_overhead(self._kind_scale(kind))
        return max(overhead, OVERHEAD_SECONDS + (mean - OVERHEAD_SECONDS) / math.sqrt(ratios.num_batches))

    def _deviation(self, group: int | None, kind: str, num_left: float) -> float:
        """Standard deviation of the logarithm of what is left of a group, over its expected seconds."""
        of_kind = self._kinds.get(kind)
        if of_kind is None:
            return UNSEEN_SPREAD
        own = self._groups.get(group) if group is not None else of_kind
        if own is None:
            return max(of_kind.spread, UNKNOWN_SPREAD)
        return LEAST_SPREAD + own.spread * math.sqrt(1 / own.num_batches + 1 / num_left)

    def sample(self, now: float, done: Counter[str]) -> None:
        """Notes how many items of each kind are done by now."""
        self._samples.append((now, Counter(done)))
        while len(self._samples) > 2 and now - self._samples[1][0] > RECENT_SECONDS:
            self._samples.popleft()

    def rate(self, kind: str) -> float:
        """Items of a kind done per second, of late."""
        if len(self._samples) < 2:
            return 0.0
        (start, before), (end, after) = self._samples[0], self._samples[-1]
        return (after[kind] - before[kind]) / max(end - start, 1e-9)
