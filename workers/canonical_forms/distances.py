"""Euclidean distances between all pairs of many networks, tensor by tensor, in bounded memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from workers.canonical_forms.reading import Reader, chunks
from workers.params import row

ALL = "all"
"""Name of the distance of all tensors together: the root of the sum of their squares."""

DEFAULT_MAX_BYTES = 5e8

RECHECKED_SHARE = 1e-5
"""Squared distance, as a share of |a|^2 + |b|^2, below which it is formed from differences.

|a|^2 + |b|^2 - 2 <a, b> in float64 was off by 8e-14 of |a|^2 + |b|^2 at most (400,000 entries, normal,
positive and heavy-tailed ones). So distances from products are right to 1e-8, and below the bound they
would not be.
"""

_COPIES = 32
"""Bytes per parameter of a network of the smaller block: as read, permuted, in float64, differences."""


@dataclass(frozen=True)
class PairDistances:
    """Distances of the n(n-1)/2 pairs, in the order of ``itertools.combinations``; by tensor and of all."""

    by_tensor: dict[str, Float64[Tensor, " pairs"]]

    @property
    def names(self) -> tuple[str, ...]:
        """Of the tensors, and ``all``, which is the last."""
        return tuple(self.by_tensor)


def pairwise_distances(
    read: Reader,
    members: Sequence[int],
    names: Sequence[str] | None = None,
    max_bytes: float = DEFAULT_MAX_BYTES,
) -> PairDistances:
    """The Euclidean distance of every two networks, for each tensor taken as a point in R^m, in float64.

    A block of networks stays in memory while those behind it pass by in smaller ones. Networks with equal
    tensors are at distance 0 exactly.

    Args:
        read: Gives some of the networks; called with each of them once per block.
        members: Positions of the networks, two at least.
        names: The tensors; without them, all those of floating point.
        max_bytes: Bound of what both blocks take, one network in each at least; the pairs' distances
            come on top.

    Raises:
        ValueError: For fewer than two networks.

    Source:
        Sorensen 2020, table 1, for the weight matrices.
    """
    if len(members) < 2:
        raise ValueError(f"distances are of pairs: give two networks or more, not {len(members)}")
    first = row(read(members[:1]), 0)
    chosen = (
        [n for n, tensor in first.items() if tensor.is_floating_point()] if names is None else list(names)
    )
    entries = sum(first[name].numel() for name in chosen)
    small = max(1, int(max_bytes / 3 / (_COPIES * entries)))
    large = max(1, int(max_bytes * 2 / 3 / (8 * entries)))
    num = len(members)
    squares = {name: torch.zeros(num, num, dtype=torch.float64) for name in chosen}
    for start in range(0, num, large):
        end = min(start + large, num)
        block = _gathered(read, members[start:end], chosen, small)
        for name, points in block.items():
            squares[name][start:end, start:end] = _squared(points, points)
        for begin in range(end, num, small):
            stop = min(begin + small, num)
            others = _points(read, members[begin:stop], chosen)
            for name, points in block.items():
                squares[name][start:end, begin:stop] = _squared(points, others[name])
        del block
    above = torch.triu_indices(num, num, 1)
    of_pairs = {name: square[above[0], above[1]] for name, square in squares.items()}
    total = torch.stack(list(of_pairs.values())).sum(0)
    return PairDistances({name: square.sqrt() for name, square in of_pairs.items()} | {ALL: total.sqrt()})


def _points(read: Reader, members: Sequence[int], names: Sequence[str]) -> dict[str, Float64[Tensor, "N m"]]:
    """Each tensor of some networks as points in float64."""
    networks = read(members)
    return {name: networks[name].flatten(1).cpu().double() for name in names}


def _gathered(
    read: Reader, members: Sequence[int], names: Sequence[str], size: int
) -> dict[str, Float64[Tensor, "N m"]]:
    """The same for a block that is read in smaller ones."""
    gathered: dict[str, Tensor] = {}
    filled = 0
    for chunk in chunks(members, size):
        for name, points in _points(read, chunk, names).items():
            if name not in gathered:
                gathered[name] = points.new_empty(len(members), points.shape[1])
            gathered[name][filled : filled + len(chunk)] = points
        filled += len(chunk)
    return gathered


def _squared(first: Float64[Tensor, "A m"], second: Float64[Tensor, "B m"]) -> Float64[Tensor, "A B"]:
    """Squared distances of the points of two blocks; those of near points from their differences."""
    sums = _squared_norms(first).unsqueeze(1) + _squared_norms(second)
    found = (sums - 2 * (first @ second.mT)).clamp_(min=0)
    near = found < RECHECKED_SHARE * sums
    for k in near.any(1).nonzero().flatten().tolist():
        for others in near[k].nonzero().flatten().split(_rows_at_once(first)):
            found[k, others] = (second[others] - first[k]).square_().sum(1)
    return found


def _squared_norms(points: Float64[Tensor, "A m"]) -> Float64[Tensor, " A"]:
    """Of every point, without a copy of all of them."""
    return torch.stack([torch.dot(point, point) for point in points])


def _rows_at_once(points: Float64[Tensor, "A m"]) -> int:
    """Differences that are held together: some 32 MB of them."""
    return max(1, (1 << 22) // int(points.shape[1]))
