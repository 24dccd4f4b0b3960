"""Ranks of many samples at once, for rank correlations that are drawn thousands of times."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from numpy import ndarray


def ranks(values: Float64[ndarray, "*samples cells"], axis: int = -1) -> Float64[ndarray, "*samples cells"]:
    """Ranks along an axis, counted from 1, of ties their mean; NaN throughout a sample that holds one.

    The same as ``scipy.stats.rankdata``, whose package alone takes longer to import than this to run.
    """
    samples = np.moveaxis(np.asarray(values, dtype=np.float64), axis, -1)
    order = np.argsort(samples, axis=-1, kind="stable")
    ordered = np.take_along_axis(samples, order, axis=-1)
    places = np.arange(samples.shape[-1])
    differs = ordered[..., 1:] != ordered[..., :-1]
    edge = np.ones((*samples.shape[:-1], 1), dtype=bool)
    # Of every value the first and the last place of those that equal it.
    first = np.maximum.accumulate(np.where(np.concatenate([edge, differs], -1), places, 0), axis=-1)
    last = np.where(np.concatenate([differs, edge], -1), places, samples.shape[-1])
    last = np.minimum.accumulate(last[..., ::-1], axis=-1)[..., ::-1]
    found = np.empty_like(samples)
    np.put_along_axis(found, order, (first + last) / 2 + 1, axis=-1)
    found[np.isnan(samples).any(-1)] = np.nan
    return np.moveaxis(found, -1, axis)
