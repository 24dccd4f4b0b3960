"""Learning rates."""

from __future__ import annotations

import math

from workers.specs import TrainingSpec


def learning_rate(training: TrainingSpec, epoch: int) -> float:
    """Learning rate of an epoch, counted from 0.

    ``constant``: the one given. ``cosine``: learning_rate / 2 * (1 + cos(pi * epoch / max_epochs)).
    """
    if training.schedule == "constant":
        return training.learning_rate
    if training.schedule != "cosine":
        raise ValueError(f"unknown schedule {training.schedule!r}; known are constant, cosine")
    return training.learning_rate / 2 * (1 + math.cos(math.pi * epoch / training.max_epochs))
