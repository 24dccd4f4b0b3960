"""What chains propose, drawn ahead of the walk, and what became of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
import torch

from workers.alignment.annealing.problem import State
from workers.seeding import generator

DRAWN_AT_ONCE = 1024
"""Moves that a stream is asked for together: what it yields must not depend on how far a walk goes."""

DOWNHILL = -1e-300
"""The bound that strict improvements alone keep."""


@dataclass(frozen=True)
class Moves:
    """S proposals of T transpositions each, carried out together.

    Attributes:
        slots: (S, T) where.
        firsts: (S, T) one place to exchange.
        seconds: (S, T) the other, never the same.
        bounds: (S,) by how much the energy may rise: the move is accepted if it does not rise further,
            and whatever its energy where that is infinite.
    """

    slots: np.ndarray
    firsts: np.ndarray
    seconds: np.ndarray
    bounds: np.ndarray

    def __len__(self) -> int:
        return len(self.bounds)

    def part(self, start: int, stop: int) -> Moves:
        """Some of them, in a row."""
        return Moves(
            self.slots[start:stop], self.firsts[start:stop], self.seconds[start:stop], self.bounds[start:stop]
        )


@dataclass(frozen=True)
class Steps:
    """What became of S proposals: their energies, the energies held after them, and which were accepted."""

    proposed: np.ndarray
    present: np.ndarray
    accepted: np.ndarray


@runtime_checkable
class Walk(Protocol):
    """Chains that advance together: their states, and energies under moves."""

    @property
    def drift(self) -> float:
        """The largest difference seen between an energy that was carried along and one computed in full."""
        ...

    def run(self, moves: Sequence[Moves]) -> list[Steps]:
        """Proposes moves to every chain, as many to each and in the same slots, and carries some out."""
        ...

    def energies(self) -> list[float]:
        """The present energies, one per chain."""
        ...

    def states(self) -> list[State]:
        """Copies of the present states, one per chain."""
        ...


def replay(state: State, moves: Moves, accepted: np.ndarray) -> State:
    """The state after those of the moves that were accepted."""
    after = [index.copy() for index in state]
    for step in np.flatnonzero(accepted).tolist():
        for slot, a, b in zip(moves.slots[step], moves.firsts[step], moves.seconds[step], strict=True):
            index = after[slot]
            index[a], index[b] = index[b], index[a]
    return after


def movable(slot_sizes: Sequence[int]) -> list[int]:
    """The slots that have two units to exchange."""
    return [slot for slot, units in enumerate(slot_sizes) if units >= 2]


def drawn(
    slot_sizes: Sequence[int], every_group: bool, *stream: str | int
) -> Iterator[tuple[Moves, np.ndarray]]:
    """Endless proposals, with one uniform number in [0, 1) each; bounds are still zero.

    Which slot moves at a step comes from a stream that all chains have in common, so that chains can
    advance as one tensor program; which units, and the uniform numbers, come from the chain's own.
    """
    where = generator("alignment", "simulated_annealing", "slots")
    own = generator("alignment", *stream)
    can_move, sizes = np.array(movable(slot_sizes)), np.array(slot_sizes)
    num_swaps = len(can_move) if every_group else 1
    while True:
        if every_group:
            slots = np.tile(can_move, (DRAWN_AT_ONCE, 1))
        else:
            chances = torch.rand(DRAWN_AT_ONCE, 1, generator=where, dtype=torch.float64).numpy()
            slots = can_move[(chances * len(can_move)).astype(np.int64)]
        chances = torch.rand(DRAWN_AT_ONCE, 2 * num_swaps + 1, generator=own, dtype=torch.float64).numpy()
        units = sizes[slots]
        firsts = (chances[:, :num_swaps] * units).astype(np.int64)
        seconds = (chances[:, num_swaps:-1] * (units - 1)).astype(np.int64)
        seconds += seconds >= firsts  # uniform over the other places
        yield Moves(slots, firsts, seconds, np.zeros(DRAWN_AT_ONCE)), chances[:, -1]


def bounds(uniform: np.ndarray, temperatures: np.ndarray) -> np.ndarray:
    """How far an energy may rise for a Metropolis step: accepted with probability exp(-rise / T)."""
    with np.errstate(divide="ignore"):
        found: np.ndarray = -temperatures * np.log(uniform)
    return found
