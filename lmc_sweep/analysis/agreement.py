"""How far the worlds agree, with an interval, or why that cannot be said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from workers.seeding import derive_seed

NUM_RESAMPLES = 2000
NUM_CELLS_LEAST = 3
"""Cells below which a correlation says nothing: through two points there is always a line."""

SOLVED = 1e-6
"""Barriers up to this are none: ten times the rounding of a mean loss in float32."""


@dataclass(frozen=True)
class Agreement:
    """Of one method, how the mean barriers of the cells go together in the two worlds.

    Attributes:
        correlation: Pearson's, over cells; None where it is undefined.
        low: Lower end of the 95 % interval.
        high: Its upper end.
        undefined_because: Why there is none.
        num_cells: Cells with barriers in both worlds.
        num_solved_cells: Those of them without a barrier left in world ``model``: not in the correlation.
        num_solved: Pairs of world ``model`` whose barrier of the loss is at most SOLVED.
        num_model_pairs: Pairs of world ``model``.
        real_mean: Mean over the cells of the correlation of the mean barrier in world ``real``; over all
            where every cell is solved; NaN without cells.
        model_mean: The same in world ``model``.
    """

    correlation: float | None
    low: float | None
    high: float | None
    undefined_because: str | None
    num_cells: int
    num_solved_cells: int
    num_solved: int
    num_model_pairs: int
    real_mean: float
    model_mean: float


def agreement(
    cells: Sequence[tuple[Float64[ndarray, " real"], Float64[ndarray, " model"]]],
    model_losses: Sequence[Float64[ndarray, " model"]] | None = None,
) -> Agreement:
    """Correlation over cells of the mean barrier in the real world and in our model.

    The interval is the percentile interval of NUM_RESAMPLES draws of as many cells with replacement, at
    95 %: with few cells it is rough. (Resampling the pairs of each cell instead would add their noise a
    second time, and the interval would lie below the correlation.)

    Agreement is evidence only for searches that can fail in world ``model``, where a permutation without
    barrier exists by construction: cells in which a method finds it every time are left out of the
    correlation and of the means, as ``compare`` leaves them out; without others the correlation is
    undefined. Solved is what has no
    barrier of the loss: errors of a few examples are 0 by chance, and at alpha 1/2 a barrier may hide.

    Args:
        cells: The barriers of each cell, real and model; cells without both are left out.
        model_losses: Of each cell, the largest barriers of the loss in our model; without them, ``cells`` are
            taken for losses.
    """
    losses = [model for _, model in cells] if model_losses is None else model_losses
    joined = zip(cells, losses, strict=True)
    both = [(real, model, left) for (real, model), left in joined if len(real) and len(model)]
    every = np.array([[real.mean(), model.mean()] for real, model, _ in both]).reshape(-1, 2)
    is_solved = np.array([left.max() <= SOLVED for _, _, left in both], dtype=bool)
    # Midpoint barriers below 0 may still differ where all is solved: reason enough only for the words.
    means = every if is_solved.all() else every[~is_solved]
    of_model = np.concatenate([np.empty(0), *losses])
    num_solved = int((of_model <= SOLVED).sum())
    reason = _undefined_because(means, num_solved == len(of_model) > 0)
    interval: tuple[float | None, float | None] = (None, None)
    if reason is None:
        interval = _interval(means)
    return Agreement(
        correlation=float(np.corrcoef(means.T)[0, 1]) if reason is None else None,
        low=interval[0],
        high=interval[1],
        undefined_because=reason,
        num_cells=len(both),
        num_solved_cells=int(is_solved.sum()),
        num_solved=num_solved,
        num_model_pairs=len(of_model),
        real_mean=float(means[:, 0].mean()) if len(both) else float("nan"),
        model_mean=float(means[:, 1].mean()) if len(both) else float("nan"),
    )


def _undefined_because(means: Float64[ndarray, "cells 2"], solves_all: bool) -> str | None:
    """The reason why these means have no correlation, if there is one."""
    if len(means) == 0:
        return "no cell has barriers in both worlds"
    if solves_all:  # midpoint barriers below 0 may still differ, by the noise of the examples
        return "no spread in our model, which it solves exactly"
    if np.ptp(means[:, 1]) <= SOLVED:
        return "no spread in our model"
    if np.ptp(means[:, 0]) <= SOLVED:
        return "no spread in the real world"
    if len(means) < NUM_CELLS_LEAST:
        return f"fewer than {NUM_CELLS_LEAST} cells"
    return None


def _interval(means: Float64[ndarray, "cells 2"]) -> tuple[float, float]:
    """Percentile interval at 95 % from resampled cells; draws in which a world has no spread are left out."""
    stream = np.random.default_rng(derive_seed("bootstrap", len(means)))
    drawn = means[stream.integers(len(means), size=(NUM_RESAMPLES, len(means)))]
    drawn = drawn - drawn.mean(1, keepdims=True)
    scale = np.sqrt((drawn**2).sum(1).prod(1))
    spread = scale > 1e-9 * scale.max()
    correlations = drawn.prod(2).sum(1)[spread] / scale[spread]
    low, high = np.quantile(correlations, [0.025, 0.975])
    return float(low), float(high)
