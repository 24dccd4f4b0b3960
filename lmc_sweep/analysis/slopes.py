"""Slopes of logarithms against logarithms of widths, with intervals over seeds."""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Slope:
    """An exponent: values change as this power of the width.

    Attributes:
        value: Mean of the seeds' slopes.
        low, high: Ends of its 95 % interval; None with a single seed.
        num_seeds: Seeds that have a value at every width.
        widths: Those widths, ascending.
    """

    value: float
    low: float | None
    high: float | None
    num_seeds: int
    widths: tuple[float, ...]

    def is_below(self, exponent: float) -> bool | None:
        """Whether the whole interval lies below an exponent; None where it holds it, or there is none."""
        if self.low is None or self.high is None or self.low <= exponent <= self.high:
            return None
        return self.high < exponent


def slope(values: Iterable[tuple[int, float, float | None]]) -> Slope | None:
    """The slope of log value against log width, by least squares for every seed.

    Every seed is a repetition of the whole curve with draws of its own, so that the interval is that of
    a mean of independent numbers (Student's t). A seed counts if it has a value above 0 at every width.

    Args:
        values: Seed, width, value.

    Returns:
        None where fewer than two widths, or no seed, have values.
    """
    by_seed: dict[int, dict[float, float]] = defaultdict(dict)
    found: set[float] = set()
    for seed, width, value in values:
        found.add(width)
        if value is not None and math.isfinite(value) and value > 0:
            by_seed[seed][width] = value
    widths = sorted(found)
    complete = [own for _, own in sorted(by_seed.items()) if len(own) == len(widths)]
    if len(widths) < 2 or not complete:
        return None
    at = np.log(widths)
    at -= at.mean()
    logarithms = np.log([[own[width] for width in widths] for own in complete])
    slopes = logarithms @ at / (at @ at)
    mean, num = float(slopes.mean()), len(slopes)
    if num < 2:
        return Slope(mean, None, None, num, tuple(widths))
    from scipy import special  # scipy.stats takes longer to import than all that is done here

    reach = float(special.stdtrit(num - 1, 0.975)) * float(slopes.std(ddof=1)) / math.sqrt(num)
    return Slope(mean, mean - reach, mean + reach, num, tuple(widths))
