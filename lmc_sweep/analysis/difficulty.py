"""How the barrier goes with the test error of the networks, over cells."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from lmc_sweep.analysis.cell_rows import (
    CellBarrier,
    CellNetwork,
    Kind,
    barrier_mean,
    grouped,
    network_mean,
)
from lmc_sweep.analysis.intervals import Mean
from lmc_sweep.analysis.ranks import ranks
from workers.seeding import derive_seed

NUM_RESAMPLES = 2000
NUM_CELLS_LEAST = 4
"""Cells below which a rank correlation says nothing: three orders in six agree by chance alone."""


@dataclass(frozen=True)
class CellPoint:
    """One cell: the mean test error of the networks in its pairs, and the mean barrier of the pairs."""

    kind: Kind
    cell_id: str
    test_error: Mean
    barrier: Mean


@dataclass(frozen=True)
class RankCorrelation:
    """Spearman's, with its 95 % interval; all None where ``undefined_because`` says why."""

    value: float | None
    low: float | None
    high: float | None
    undefined_because: str | None
    num_cells: int


def cell_points(rows: Sequence[CellBarrier], networks: Sequence[CellNetwork]) -> list[CellPoint]:
    """One point for each cell that has a barrier and a test error.

    Args:
        rows: Of one world, method and split.
        networks: At least those in the pairs.
    """
    by_id = {network.network_id: network for network in networks}
    found = []
    measured = [row for row in rows if row.value is not None]
    for cell, of_cell in grouped(measured, lambda row: row.cell_id).items():
        ends = dict.fromkeys(end for row in of_cell for end in (row.network_a, row.network_b))
        error = network_mean([by_id[end] for end in ends if end in by_id], "test_error")
        if error is not None:
            found.append(CellPoint(of_cell[0].kind, cell, error, barrier_mean(of_cell)))
    return found


def rank_correlation(points: Sequence[CellPoint]) -> RankCorrelation:
    """Spearman's correlation of test error and barrier over cells.

    The interval is the percentile interval at 95 % of NUM_RESAMPLES draws of as many cells with replacement;
    draws in which one of the two has no spread are left out.
    """
    pairs = np.array([[point.test_error.value, point.barrier.value] for point in points]).reshape(-1, 2)
    number = len(pairs)
    if number < NUM_CELLS_LEAST:
        return RankCorrelation(None, None, None, f"fewer than {NUM_CELLS_LEAST} cells", number)
    if (np.ptp(pairs, axis=0) == 0).any():
        return RankCorrelation(None, None, None, "no spread over cells", number)
    stream = np.random.default_rng(derive_seed("bootstrap", "spearman", number))
    drawn = pairs[stream.integers(number, size=(NUM_RESAMPLES, number))]
    low, high = np.quantile(_spearman(drawn[(np.ptp(drawn, axis=1) > 0).all(1)]), [0.025, 0.975])
    return RankCorrelation(float(_spearman(pairs[None])[0]), float(low), float(high), None, number)


def _spearman(drawn: Float64[ndarray, "draws cells 2"]) -> Float64[ndarray, " draws"]:
    """Pearson's correlation of the ranks, of ties their mean, of every draw; both must have spread."""
    ranked = ranks(drawn, axis=1)
    centered = ranked - ranked.mean(1, keepdims=True)
    found: Float64[ndarray, " draws"] = centered.prod(2).sum(1) / np.sqrt((centered**2).sum(1).prod(1))
    return found
