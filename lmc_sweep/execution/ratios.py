"""What batches that ended teach of those to come: a factor on the estimates, and what each costs besides."""

from __future__ import annotations

import math
from collections import deque

UNKNOWN_SPREAD = math.log(2.0)
"""Spread of the logarithm of measured over estimated seconds where too little was measured: a factor of 2."""
PRIOR_SECONDS = 4.0
"""Seconds of work that weigh as much as what was known before."""
TINY_SECONDS = 2.0
"""A batch of so many seconds counts half: what shorter ones take is mostly not the work itself."""
STARTUP_SECONDS = 10.0
"""A worker's first batches may take so much longer, by which nothing is learned of the others."""
OVERHEAD_SECONDS = 0.05
"""What a batch costs at the least, however small its estimate: it is sent and answered."""
KEPT_BATCHES = 63


class Ratios:
    """Measured and estimated seconds of batches that ended, and the spread of their ratios."""

    def __init__(self) -> None:
        self.num_batches = 0
        self._evidence = 0.0
        self._estimated = self._measured = 0.0
        self._mean = self._squares = 0.0
        self._recent: deque[tuple[float, float]] = deque(maxlen=KEPT_BATCHES)

    def add(self, estimated: float, measured: float) -> None:
        """Adds a batch, weighed by its length (the variance by Welford's recurrence)."""
        self.num_batches += 1
        self._recent.append((estimated, measured))
        length = max(estimated, measured - STARTUP_SECONDS)
        weight = length / (length + TINY_SECONDS)
        self._evidence += weight * length
        self._estimated += weight * estimated
        self._measured += weight * measured
        value = math.log((measured + 1.0) / (estimated + 1.0))
        off = value - self._mean
        self._mean += off / self.num_batches
        self._squares += off * (value - self._mean)

    def scale(self, prior: float) -> float:
        """Measured over estimated seconds, drawn towards a prior on the scale of logarithms.

        With E seconds of evidence and c of ``PRIOR_SECONDS``, (measured / estimated)^(E / (E + c)) times
        prior^(c / (E + c)): a batch of 0.01 s that took 3 s says next to nothing.
        """
        if self._estimated <= 0 or self._measured <= 0:
            return prior
        share = self._evidence / (self._evidence + PRIOR_SECONDS)
        return math.exp(share * math.log(self._measured / self._estimated) + (1 - share) * math.log(prior))

    def overhead(self, scale: float, num_slots: int) -> float:
        """Seconds that a batch takes beyond its scaled estimate: the median of the latest.

        As many batches as there are slots, and one, are taken to have cost ``OVERHEAD_SECONDS``: the
        first of each worker may have waited for its start.
        """
        rest = sorted(self._excesses(scale))
        return ([OVERHEAD_SECONDS] * (num_slots + 1) + rest)[(num_slots + 1 + len(rest)) // 2]

    def mean_overhead(self, scale: float) -> float:
        """The mean of the same without those: more than most batches will cost."""
        rest = self._excesses(scale)
        return sum(rest) / len(rest) if rest else OVERHEAD_SECONDS

    def _excesses(self, scale: float) -> list[float]:
        """What each of the latest took beyond its scaled estimate; of long ones the scale tells."""
        return [
            max(measured - scale * estimated, OVERHEAD_SECONDS)
            if estimated < TINY_SECONDS
            else OVERHEAD_SECONDS
            for estimated, measured in self._recent
        ]

    @property
    def spread(self) -> float:
        """Standard deviation of the logarithm of the ratio of one batch, a second added to both."""
        if self.num_batches < 2:
            return UNKNOWN_SPREAD
        return math.sqrt(self._squares / (self.num_batches - 1))
