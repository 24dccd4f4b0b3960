"""A canonical order of the hidden units of one network: the same for all its permuted copies.

Units are colored by what the weights say of them (``workers.permutation.coloring``). Where that leaves
units tied that cannot be exchanged without a trace, each is tried as the first, and the network whose
digest is smallest is the canonical one. Symmetries that such trials uncover are not tried again; the
number of trials is thereby the same for every permuted copy, and so is what is given up as ambiguous.

Sources: Sorensen 2020, algorithm 1 (the order by outgoing weights); McKay and Piperno 2014, Practical
graph isomorphism II (refinement and individualization).
"""

from __future__ import annotations

import hashlib
from typing import Literal, NamedTuple

import numpy as np
import torch
from jaxtyping import Int64
from torch import Tensor

from workers.params import Params
from workers.permutation.coloring import (
    interchangeable,
    put_first,
    put_in_order,
    refined,
    tied_cells,
)
from workers.permutation.spec import PermutationSpec
from workers.permutation.unit_arrays import Coloring, UnitArrays

Key = Literal["lexicographic", "power"]

MAX_TRIALS = 200
"""Complete orders of one network that are tried. Twelve tied units in full symmetry take some 70."""


class CanonicalOrder(NamedTuple):
    """A permutation, and how many units it places by chance: 0 where it is canonical.

    With ``permute.apply``, ``permutation`` puts the units in order; its indices are int64 (W,).
    """

    permutation: dict[str, Int64[Tensor, " W"]]
    ambiguous_units: int


def canonical_permutation(
    params: Params, spec: PermutationSpec, key: Key = "lexicographic", *, power: float | None = None
) -> CanonicalOrder:
    """The permutation that puts a network's hidden units in their canonical order.

    Groups are ordered from the output backward: by the outgoing weights, entry after entry, the units
    that read them in their own canonical order. Ties are broken by biases and norms, by incoming
    weights, by statistics, and by what that tells of others in turn. Units that are exact clones, or may
    be exchanged for other reasons, can stand in either order. All permuted copies of a network get
    the same weights, bit for bit but for the sign of zeros, or all of them are found ambiguous.

    Args:
        params: One network, with numbers in all entries; unchanged.
        spec: Where groups act. What it names and the network lacks is passed over.
        key: ``lexicographic``, or ``power``: by the sum of the outgoing weights times 1, p, p^2, ...
            first. Where that rounds to the same, the weights decide.
        power: p, above 1; with the key ``power`` alone.

    Raises:
        ValueError: If ``power`` and ``key`` do not go together.
    """
    if (key == "power") != (power is not None):
        raise ValueError(
            f"the key power needs a power, and no other key has one: got key {key}, power {power}"
        )
    if power is not None and not power > 1:
        raise ValueError(f"power must be above 1, not {power}: outgoing weights are told apart by its powers")
    units = UnitArrays.of(params, spec, power)
    start = _settled(units, units.uncolored())
    num_tied = sum(len(cell) for colors in start.values() for cell in tied_cells(colors))
    found = _Trials(units).run(start) if num_tied else start
    coloring = _first(units, start) if found is None else found
    permutation = {group: torch.from_numpy(np.argsort(colors)) for group, colors in coloring.items()}
    return CanonicalOrder(permutation, num_tied if found is None else 0)


class _TooManyError(Exception):
    """More trials than ``MAX_TRIALS``."""


class _Trials:
    """The orders of one network that are tried; lives for one call."""

    def __init__(self, units: UnitArrays) -> None:
        self._units, self._num_trials = units, 0

    def run(self, start: Coloring) -> Coloring | None:
        """The order of the smallest digest; None if there are too many to try."""
        try:
            found = self._orders(start)
        except _TooManyError:
            return None
        return found[min(found)]

    def _orders(self, coloring: Coloring) -> dict[bytes, Coloring]:
        """For every network that a settled coloring can lead to an order, by digest.

        Of a unit whose first descendant is one that has been seen, all have been seen: a symmetry
        carries the one unit over into the other.
        """
        if (chosen := _next_cell(coloring)) is None:
            return {self._tried(coloring): coloring}
        group, cell = chosen
        found: dict[bytes, Coloring] = {}
        for same in interchangeable(self._units, group, cell):
            child = _with_first(self._units, coloring, group, cell, same[0])
            if not found or self._tried(_first(self._units, child)) not in found:
                found.update(self._orders(child))
        return found

    def _tried(self, coloring: Coloring) -> bytes:
        """Digest of the network in a complete order."""
        self._num_trials += 1
        if self._num_trials > MAX_TRIALS:
            raise _TooManyError
        digest = hashlib.sha256()
        for name, array in self._units.arrays.items():
            ordered = array
            for axis in range(array.ndim):
                ordered = ordered.take(np.argsort(self._units.labels(name, axis, coloring)), axis)
            digest.update(np.ascontiguousarray(ordered).tobytes())
        return digest.digest()


def _settled(units: UnitArrays, coloring: Coloring) -> Coloring:
    """The coloring refined, with cells whose units are all interchangeable in any order."""
    colors = dict(refined(units, coloring))
    for group in colors:
        for cell in tied_cells(colors[group]):
            if len(interchangeable(units, group, cell)) == 1:
                colors[group] = put_in_order(colors[group], cell)
    return colors


def _next_cell(coloring: Coloring) -> tuple[str, list[int]] | None:
    """The first tied units of the group nearest to the output; None where nothing is tied."""
    for group in reversed(list(coloring)):
        for cell in tied_cells(coloring[group]):
            return group, cell
    return None


def _with_first(units: UnitArrays, coloring: Coloring, group: str, cell: list[int], chosen: int) -> Coloring:
    """What follows if one of the units of a cell is the first of them."""
    return _settled(units, {**coloring, group: put_first(coloring[group], cell, chosen)})


def _first(units: UnitArrays, coloring: Coloring) -> Coloring:
    """A complete order: the first of tied units is the one that happens to lie first."""
    while (chosen := _next_cell(coloring)) is not None:
        group, cell = chosen
        coloring = _with_first(units, coloring, group, cell, cell[0])
    return coloring
