"""Which pairs share networks, also by way of others: they are no independent numbers."""

from __future__ import annotations

from collections.abc import Hashable, Iterable, Sequence
from typing import Protocol


class PairLike(Protocol):
    """What a row of a pair says of its networks."""

    @property
    def group(self) -> Hashable:
        """The networks that were aligned together."""

    @property
    def networks(self) -> Sequence[str]:
        """Ids of networks that the row rests on."""


def clusters(labels: Sequence[Iterable[Hashable]]) -> list[int]:
    """The connected component that each entry's labels lie in, numbered as they appear."""
    above: dict[Hashable, Hashable] = {}

    def root(label: Hashable) -> Hashable:
        while above.setdefault(label, label) != label:
            label = above[label]
        return label

    firsts = []
    for own in labels:
        first, *others = own
        firsts.append(first)
        for other in others:
            above[root(other)] = root(first)
    numbers: dict[Hashable, int] = {}
    return [numbers.setdefault(root(first), len(numbers)) for first in firsts]


def clusters_of(rows: Iterable[PairLike]) -> list[int]:
    """The cluster of each row: those of one group, and those that share networks, are one."""
    return clusters([(row.group, *row.networks) for row in rows])


def share_networks(rows: Iterable[PairLike]) -> bool:
    """Whether groups share networks with each other, as the pairs of study ``all_pairs`` do."""
    groups = list({row.group: row for row in rows}.values())
    return max(clusters_of(groups), default=-1) + 1 < len(groups)
