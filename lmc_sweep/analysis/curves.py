"""Loss or error along the segment between two networks, pair by pair and in the mean."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from lmc_sweep.analysis.cell_rows import BarrierQuestion, CellBarrier, cell_barrier, finest, read_columns
from lmc_sweep.analysis.clusters import clusters_of
from workers.seeding import derive_seed

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

NUM_RESAMPLES = 2000
CURVES = {"loss": "losses", "error": "errors"}
"""Quantity to its column in ``barriers``."""

Curves = Mapping[CellBarrier, Float64[ndarray, " alphas"]]
"""Each pair's curve; the row's ``value`` is that at alpha 1/2."""


@dataclass(frozen=True)
class MeanCurve:
    """The mean over pairs at each alpha, with the ends of its 95 % interval; None of one group alone."""

    alphas: Float64[ndarray, " alphas"]
    mean: Float64[ndarray, " alphas"]
    low: Float64[ndarray, " alphas"] | None
    high: Float64[ndarray, " alphas"] | None
    num_pairs: int


def read_curves(store: Store, sweep: str | None, question: BarrierQuestion) -> Curves:
    """The curves of a store, or of one sweep in it: of each pair and method the finest grid.

    Pairs of which a network diverged have no curve.
    """
    curves = {}
    for row, heights in read_columns(store, sweep, question, CURVES[question.quantity]):
        if heights and all(height is not None for height in heights):
            values = np.array(heights, dtype=np.float64)
            middle = float(np.interp(0.5, row["alphas"], values))
            curves[cell_barrier(row, middle)] = values
    return {row: curves[row] for row in finest(curves)}


def of_one_grid(rows: Sequence[CellBarrier]) -> tuple[list[CellBarrier], int]:
    """The rows on the grid of alphas that most have, the finer of two; and how many are on others."""
    grids = Counter(row.alphas for row in rows)
    most = max(grids, key=lambda grid: (grids[grid], len(grid)), default=())
    kept = [row for row in rows if row.alphas == most]
    return kept, len(rows) - len(kept)


def mean_curve(rows: Sequence[CellBarrier], curves: Curves) -> MeanCurve:
    """The mean of the rows' curves, all on one grid; pairs that share networks are drawn together."""
    heights = np.stack([curves[row] for row in rows])
    places = clusters_of(rows)
    num_places = max(places) + 1
    sums = np.zeros((num_places, heights.shape[1]))
    counts = np.zeros(num_places)
    for place, values in zip(places, heights, strict=True):
        sums[place] += values
        counts[place] += 1
    low = high = None
    if num_places > 1:
        stream = np.random.default_rng(derive_seed("bootstrap", "curve", num_places))
        drawn = stream.integers(num_places, size=(NUM_RESAMPLES, num_places))
        weights = np.stack([np.bincount(draw, minlength=num_places) for draw in drawn])
        means = weights @ sums / (weights @ counts)[:, None]
        low, high = np.quantile(means, [0.025, 0.975], axis=0)
    return MeanCurve(np.array(rows[0].alphas), heights.mean(0), low, high, len(rows))
