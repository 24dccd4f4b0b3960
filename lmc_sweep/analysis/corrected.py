"""p-values corrected for how many were looked at."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values that bound the chance of any false rejection among all (Holm 1979).

    Of m values, the k-th smallest is multiplied by m - k + 1; none is smaller than the one before.
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    factors = np.arange(len(values), 0, -1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.minimum(np.maximum.accumulate(values[order] * factors), 1)
    return [float(value) for value in adjusted]


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """p-values that bound the expected share of false ones among the rejections (Benjamini, Hochberg 1995).

    Of m values, the k-th smallest is multiplied by m / k; none is larger than the one after.
    """
    values = np.asarray(p_values, dtype=np.float64)
    order = np.argsort(values, kind="stable")
    factors = len(values) / np.arange(1, len(values) + 1)
    adjusted = np.empty_like(values)
    adjusted[order] = np.clip(np.minimum.accumulate((values[order] * factors)[::-1])[::-1], 0, 1)
    return [float(value) for value in adjusted]
