"""How long things take against their estimates, and how long the rest will: measured while a run goes."""

from __future__ import annotations

import math
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

RECENT_SECONDS = 60.0
RATE_SAMPLES = 60
UNKNOWN_SPREAD = math.log(2.0)
"""Spread of the logarithm of measured over estimated seconds where too little was measured: a factor of 2."""
SURE = 1.3
"""Standard deviations to each side of an ETA: four of five times the end lies between."""


@dataclass
class Ratios:
    """Measured and estimated seconds of batches that ended, and the spread of their ratios."""

    estimated: float = 0.0
    measured: float = 0.0
    num_batches: int = 0
    _mean: float = 0.0
    _squares: float = 0.0

    def add(self, estimated: float, measured: float) -> None:
        """Adds a batch (the variance by Welford's recurrence)."""
        self.estimated += estimated
        self.measured += measured
        self.num_batches += 1
        value = math.log(max(measured, 1e-6) / max(estimated, 1e-6))
        off = value - self._mean
        self._mean += off / self.num_batches
        self._squares += off * (value - self._mean)

    @property
    def scale(self) -> float | None:
        """Measured over estimated seconds."""
        return self.measured / self.estimated if self.estimated > 0 and self.measured > 0 else None

    @property
    def spread(self) -> float:
        """Standard deviation of the logarithm of the ratio of one batch."""
        if self.num_batches < 2:
            return UNKNOWN_SPREAD
        return math.sqrt(self._squares / (self.num_batches - 1))


@dataclass(frozen=True)
class Eta:
    """Seconds to the end, and the range in which it is to be expected."""

    seconds: float
    low_seconds: float
    high_seconds: float


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
        """Measured over estimated seconds of a group, else of its kind; None before any was measured."""
        for ratios in (self._groups.get(group), self._kinds.get(self._kind_of_group[group])):
            if ratios is not None and ratios.scale is not None:
                return ratios.scale
        return None

    def scales(self) -> list[float]:
        """The scale of every group; that of all batches, else 1, where not even its kind was measured."""
        rest = self._all.scale or 1.0
        return [self.scale(group) or rest for group in range(len(self._kind_of_group))]

    def eta(
        self,
        left: Sequence[float],
        batches: Sequence[float],
        running: Mapping[str, float],
        slots: Mapping[str, int],
    ) -> Eta | None:
        """When the end is to be expected; None before anything was measured.

        Args:
            left: Estimated seconds of what has not begun, by group.
            batches: About how many batches of each group that makes.
            running: Measured seconds that what runs will take still, by kind.
            slots: Tasks of each kind that can run at a time.
        """
        if self._all.scale is None:
            return None
        scales = self.scales()
        seconds = sum(running[kind] / max(slots[kind], 1) for kind in running)
        low = high = seconds
        for group, estimated in enumerate(left):
            if estimated <= 1e-9:
                continue
            expected = scales[group] * estimated / max(slots[self._kind_of_group[group]], 1)
            width = SURE * self._deviation(group, max(batches[group], 1.0))
            seconds += expected
            low += expected * math.exp(-width)
            high += expected * math.exp(width)
        return Eta(seconds, low, high)

    def _deviation(self, group: int, num_left: float) -> float:
        """Standard deviation of the logarithm of what is left of a group, over its expected seconds."""
        own = self._groups.get(group)
        if own is not None and own.scale is not None:
            return own.spread * math.sqrt(1 / own.num_batches + 1 / num_left)
        of_kind = self._kinds.get(self._kind_of_group[group])
        return of_kind.spread if of_kind is not None else UNKNOWN_SPREAD

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
