"""The units of several networks in order, by each treatment."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from workers.alignment.batch import Batch
from workers.alignment.methods import WeightMatching
from workers.alignment.weight_matching import match_weights
from workers.canonical_forms.merging import merged
from workers.canonical_forms.reading import Reader, in_turn
from workers.canonical_forms.specs import Matched, Merged, Sorted, Treatment
from workers.device import map_on_threads
from workers.params import row, rows
from workers.permutation import permute
from workers.permutation.canonical import CanonicalOrder, canonical_permutation
from workers.permutation.permute import PermutationStack
from workers.permutation.spec import PermutationSpec


@dataclass(frozen=True)
class Orders:
    """What puts the units of n networks in order: a row for each, and its units placed by chance."""

    permutation: PermutationStack
    ambiguous_units: tuple[int, ...]


def orders(
    treatment: Treatment, read: Reader, members: Sequence[int], names: Sequence[str], spec: PermutationSpec
) -> Orders:
    """The permutations that a treatment finds for some networks; no network changes what it computes.

    Args:
        treatment: How the units are ordered.
        read: Gives some of the networks, all of whose numbers are finite.
        members: Positions of the networks; with ``matched``, the first is the one that stays.
        names: Of all networks, by position: the random streams of searches derive from them.
        spec: Where the groups of units act.
    """
    if isinstance(treatment, Sorted):
        return _sorted(treatment, read, members, spec)
    if isinstance(treatment, Matched):
        found = _matched(treatment, read, members, names, spec)
    elif isinstance(treatment, Merged):
        found = merged(treatment, read, members, names, spec)
    else:
        found = permute.identity(spec, len(members))
    return Orders(found, (0,) * len(members))


def _sorted(treatment: Sorted, read: Reader, members: Sequence[int], spec: PermutationSpec) -> Orders:
    """The canonical order of every network by itself."""

    def of_chunk(chunk: Sequence[int]) -> list[CanonicalOrder]:
        networks = read(chunk)
        return [
            canonical_permutation(row(networks, k), spec, treatment.key, power=treatment.power)
            for k in range(len(chunk))
        ]

    found = [one for of_one in map_on_threads(of_chunk, list(in_turn(read, members))) for one in of_one]
    return Orders(
        {group: torch.stack([order[group] for order, _ in found]) for group in spec.groups},
        tuple(ambiguous for _, ambiguous in found),
    )


def _matched(
    treatment: Matched, read: Reader, members: Sequence[int], names: Sequence[str], spec: PermutationSpec
) -> PermutationStack:
    """Each network to the first, by weight matching."""
    method = WeightMatching(restarts=treatment.restarts)
    first = read(members[:1])
    parts = [permute.identity(spec, 1)]
    for chunk in in_turn(read, members[1:]):
        batch = Batch(
            [rows(first, [0] * len(chunk)), read(chunk)],
            spec,
            [f"{names[members[0]]}/{names[member]}" for member in chunk],
        )
        parts.append(match_weights(method, batch).permutations[1])
    return {group: torch.cat([part[group] for part in parts]) for group in spec.groups}
