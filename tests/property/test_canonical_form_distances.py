"""Distances in blocks are those of every pair by itself, at any distance and in any blocks."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import random_stack, seeds

from workers.canonical_forms.distances import ALL, pairwise_distances
from workers.canonical_forms.reading import Reader
from workers.params import ParamStack, num_networks, row, rows

SHAPES = {"weight": (5, 7), "bias": (5,)}


def reader(stack: ParamStack) -> Reader:
    """A reader of the networks of a stack."""
    return lambda members: rows(stack, list(members))


def brute_force(stack: ParamStack, members: Sequence[int]) -> dict[str, list[float]]:
    """Distances pair by pair, from differences, summed exactly."""
    found: dict[str, list[float]] = {name: [] for name in (*stack, ALL)}
    for first, second in combinations(members, 2):
        squares = {
            name: (row(stack, first)[name].double() - row(stack, second)[name].double()).square()
            for name in stack
        }
        sums = {name: math.fsum(square.flatten().tolist()) for name, square in squares.items()}
        for name, total in {**sums, ALL: math.fsum(sums.values())}.items():
            found[name].append(math.sqrt(total))
    return found


@given(
    seed=seeds(),
    num=st.integers(2, 9),
    log_spread=st.integers(-12, 1),
    copies=st.integers(0, 3),
    is_single=st.booleans(),
    networks_held=st.integers(0, 20),
)
def test_distances_equal_those_of_every_pair_by_itself(
    seed: int, num: int, log_spread: int, copies: int, is_single: bool, networks_held: int
) -> None:
    """Of networks far apart, nearly equal and equal, in blocks of any size, to 1e-8; of equal ones, 0."""
    stack = random_stack(SHAPES, num, seed)
    stack = {name: tensor[:1] + 10.0**log_spread * tensor for name, tensor in stack.items()}
    if is_single:
        stack = {name: tensor.float() for name, tensor in stack.items()}
    for k in range(min(copies, num - 1)):
        for tensor in stack.values():
            tensor[k + 1] = tensor[0]
    members = torch.randperm(num, generator=torch.Generator().manual_seed(seed)).tolist()
    found = pairwise_distances(reader(stack), members, max_bytes=40 * 8.0 * networks_held)
    for name, expected in brute_force(stack, members).items():
        assert expected == pytest.approx(found.by_tensor[name].tolist(), rel=1e-8, abs=0.0)


@given(seed=seeds(), networks_held=st.integers(0, 30))
def test_blocks_read_few_networks_at_a_time(seed: int, networks_held: int) -> None:
    """No block that is read is larger than the bound of memory allows, one network at least."""
    stack, most = random_stack(SHAPES, 7, seed), 0

    def read(members: Sequence[int]) -> ParamStack:
        nonlocal most
        most = max(most, len(members))
        return rows(stack, list(members))

    pairwise_distances(read, range(7), max_bytes=40 * 96.0 * networks_held)
    assert min(7, max(1, networks_held)) == most


def test_tensors_are_chosen_and_whole_numbers_left_out() -> None:
    """Distances are of the tensors that are named; without names, of all but counters."""
    stack = {**random_stack(SHAPES, 3, 0), "count": torch.arange(3)}
    assert ("weight", "bias", ALL) == pairwise_distances(reader(stack), range(3)).names
    only = pairwise_distances(reader(stack), range(3), ["bias"])
    assert ("bias", ALL) == only.names
    assert torch.equal(only.by_tensor["bias"], only.by_tensor[ALL])
    assert num_networks(stack) == 3


def test_one_network_has_no_distance() -> None:
    """Fewer than two networks are refused."""
    with pytest.raises(ValueError, match="two networks or more, not 1"):
        pairwise_distances(reader(random_stack(SHAPES, 2, 0)), [0])
