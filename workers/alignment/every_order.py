"""Moves that run through all permutations of some groups, each one transposition away from the one before.

The order within a group is that of adjacent transpositions (Steinhaus, Johnson, Trotter); over several
groups, the inner one runs back and forth between the moves of the outer ones. So every state is a
proposal of the annealer's walks, with their incremental energies.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np

from workers.alignment.annealing.moves import Moves

SEGMENT = 4096
"""States between two looks at the clock at most."""


def transpositions(num_units: int) -> np.ndarray:
    """The lower places of adjacent transpositions that run through all orders of some units, int16.

    The last unit sweeps down and up; between two sweeps the others make their next move.
    """
    found = np.zeros(0, np.int16)
    for units in range(2, num_units + 1):
        sweeps = np.empty((len(found) + 1, units), np.int16)
        sweeps[0::2, :-1] = np.arange(units - 2, -1, -1)
        sweeps[1::2, :-1] = np.arange(units - 1)
        sweeps[:-1, -1] = found
        sweeps[0::2, -1] += 1  # after a sweep down, the others stand one place higher
        found = sweeps.ravel()[:-1]
    return found


def all_moves(slot_sizes: Sequence[int]) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Slots and lower places of adjacent transpositions that run through all states, piece by piece."""
    inner = transpositions(slot_sizes[0])
    yield np.zeros(len(inner), np.int64), inner
    if len(slot_sizes) == 1:
        return
    is_reversed = False
    for slots, places in all_moves(slot_sizes[1:]):
        for slot, place in zip(slots.tolist(), places.tolist(), strict=True):
            is_reversed = not is_reversed
            back = inner[::-1] if is_reversed else inner
            yield (
                np.concatenate([[slot + 1], np.zeros(len(inner), np.int64)]),
                np.concatenate([np.array([place], np.int16), back]),
            )


def segments(slot_sizes: Sequence[int], num_moves: int) -> Iterator[Moves]:
    """The first moves of all, some thousand at a time."""
    slots, places, waiting = [], [], 0
    for more_slots, more_places in all_moves(slot_sizes):
        slots.append(more_slots)
        places.append(more_places)
        waiting += len(more_slots)
        if waiting < SEGMENT and num_moves > waiting:
            continue
        joined = np.stack([np.concatenate(slots), np.concatenate(places).astype(np.int64)])[:, :num_moves]
        for begin in range(0, joined.shape[1], SEGMENT):
            yield accepted_moves(*joined[:, begin : begin + SEGMENT])
        num_moves -= joined.shape[1]
        slots, places, waiting = [], [], 0
        if not num_moves:
            return


def accepted_moves(slots: np.ndarray, places: np.ndarray) -> Moves:
    """Adjacent transpositions that are carried out whatever the energy."""
    lower = np.ascontiguousarray(places[:, None])
    return Moves(np.ascontiguousarray(slots[:, None]), lower, lower + 1, np.full(len(slots), math.inf))
