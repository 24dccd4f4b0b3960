"""Networks that are read when they are needed, a few at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from workers.params import ParamStack, row, rows, stack_bytes
from workers.permutation import permute
from workers.permutation.permute import PermutationStack
from workers.permutation.spec import PermutationSpec

Reader = Callable[[Sequence[int]], ParamStack]
"""Positions of networks among those of a cell to their stack, in that order."""

NETWORKS_TOGETHER = 32
BYTES_TOGETHER = 64 << 20
"""Bounds of what is read in one go where each network is looked at by itself; one is read at least."""


def chunks(members: Sequence[int], size: int) -> Iterator[Sequence[int]]:
    """The members in their order, at most ``size`` at a time."""
    for start in range(0, len(members), size):
        yield members[start : start + size]


def in_turn(read: Reader, members: Sequence[int]) -> Iterator[Sequence[int]]:
    """The members in their order, few enough at a time to be read together."""
    if members:
        size = BYTES_TOGETHER // stack_bytes(read(members[:1]))
        yield from chunks(members, max(1, min(NETWORKS_TOGETHER, size)))


def held(read: Reader, num: int, max_bytes: float) -> Reader:
    """A reader of the same networks that keeps them in memory where all of them fit, and else reads anew."""
    first = read([0])
    if num * stack_bytes(first) > max_bytes:
        return read
    together = {name: tensor.new_empty(num, *tensor.shape[1:]) for name, tensor in first.items()}
    for chunk in in_turn(read, range(num)):
        for name, tensor in read(chunk).items():
            together[name][list(chunk)] = tensor
    return lambda members: rows(together, members)


def in_order(read: Reader, permutation: PermutationStack, spec: PermutationSpec) -> Reader:
    """A reader of the permuted networks; ``permutation`` has a row for every one of them."""

    def ordered(members: Sequence[int]) -> ParamStack:
        return permute.apply(read(members), rows(permutation, members), spec)

    return ordered


def finite_members(read: Reader, num: int) -> list[int]:
    """Positions of the networks whose tensors hold finite numbers alone."""
    found = []
    for chunk in in_turn(read, range(num)):
        networks = read(chunk)
        finite = [
            all(bool(tensor.isfinite().all()) for tensor in row(networks, k).values())
            for k in range(len(chunk))
        ]
        found += [member for member, is_finite in zip(chunk, finite, strict=True) if is_finite]
    return found
