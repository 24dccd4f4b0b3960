"""Means with intervals, over pairs of networks."""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from dataclasses import dataclass

import numpy as np

from workers.seeding import derive_seed

NUM_RESAMPLES = 2000


@dataclass(frozen=True)
class Mean:
    """A mean over ``num_values``, with the ends of its 95 % interval; None where one cluster gives none."""

    value: float
    low: float | None
    high: float | None
    num_values: int

    @property
    def reach(self) -> tuple[float, float]:
        """Lengths of the interval below and above the mean; 0 where there is none."""
        if self.low is None or self.high is None:
            return 0.0, 0.0
        return max(self.value - self.low, 0.0), max(self.high - self.value, 0.0)


def mean_with_interval(values: Sequence[float], clusters: Sequence[Hashable] | None = None) -> Mean:
    """The mean and the percentile interval at 95 % of NUM_RESAMPLES draws with replacement.

    Whole clusters are drawn, since their values share networks: of five networks that were aligned
    together, the ten pairs are one cluster. With few clusters the interval is rough, and too narrow.

    Args:
        values: At least one.
        clusters: Of each value, the cluster that it belongs to; without them, every value is one.
    """
    numbers = np.asarray(values, dtype=np.float64)
    labels = list(range(len(numbers))) if clusters is None else list(clusters)
    places = {label: index for index, label in enumerate(dict.fromkeys(labels))}
    index = np.array([places[label] for label in labels])
    sums = np.bincount(index, weights=numbers, minlength=len(places))
    counts = np.bincount(index, minlength=len(places))
    mean = float(numbers.mean())
    if len(places) < 2:
        return Mean(mean, None, None, len(numbers))
    stream = np.random.default_rng(derive_seed("bootstrap", "mean", len(places)))
    drawn = stream.integers(len(places), size=(NUM_RESAMPLES, len(places)))
    means = sums[drawn].sum(1) / counts[drawn].sum(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return Mean(mean, float(low), float(high), len(numbers))
