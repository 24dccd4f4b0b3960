"""A module of a user's own that misbehaves while it trains, as files beside it say."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import torch
from torch import Tensor, nn

TRIES = Path(__file__).parent / "tries"
BATCH_SIZE = 48
"""Of the sweep's minibatches: nothing but training ever calls with so many examples."""


class Moody(nn.Module):
    """An MLP. ``mood`` is "good", or what its training does: "always", "twice", "hangs"."""

    def __init__(self, mood: str) -> None:
        super().__init__()
        self.mood = mood
        self.first, self.second = nn.Linear(64, 8), nn.Linear(8, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        if self.mood != "good" and self.training and inputs.shape[0] == BATCH_SIZE:
            misbehave(self.mood)
        return self.second(torch.relu(self.first(inputs)))


def misbehave(mood: str) -> None:
    """Raises until it is mended, dies twice, or hangs once and will not be interrupted."""
    if (TRIES / f"{mood}-mended").exists():
        return
    if mood == "always":
        raise ArithmeticError("this never works")
    tries = len(list(TRIES.glob(f"{mood}-try-*")))
    if tries >= (2 if mood == "twice" else 1):
        return
    (TRIES / f"{mood}-try-{tries}").touch()
    if mood == "twice":
        os.kill(os.getpid(), signal.SIGKILL)
    while True:
        try:
            time.sleep(1)
        except KeyboardInterrupt:
            continue


def build(mood: str = "good") -> nn.Module:
    """The module in some mood."""
    return Moody(mood)
