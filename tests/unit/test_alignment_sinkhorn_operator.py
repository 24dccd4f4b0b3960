"""Sinkhorn's iteration and the derivative of its fixed point."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from workers.alignment.sinkhorn_operator import soft_permutations, through_soft_permutations
from workers.alignment.soft_permutations import hardened, matrices_of
from workers.seeding import generator


def drawn(num: int, width: int, seed: int) -> torch.Tensor:
    """Scores (N, W, W)."""
    return torch.randn((num, width, width), generator=generator("test", "scores", seed), dtype=torch.float64)


@given(st.integers(1, 3), st.integers(1, 9), st.integers(0, 999), st.sampled_from([3.0, 1.0, 0.3]))
def test_rows_and_columns_sum_to_one(num: int, width: int, seed: int, entropy: float) -> None:
    """At any entropy that leaves the matrix soft; entries are positive."""
    offsets = torch.zeros(num, width, dtype=torch.float64)
    for _ in range(10):
        matrices, offsets = soft_permutations(drawn(num, width, seed), entropy, offsets)
    assert bool((matrices > 0).all())
    for axis in (1, 2):
        assert torch.allclose(torch.ones(num, width).double(), matrices.sum(axis), rtol=0, atol=1e-3)


def test_as_entropy_falls_the_assignment_appears() -> None:
    """The soft permutation nears that with the largest sum of scores; where entropy rules, it is uniform."""
    index = torch.stack([torch.randperm(6, generator=generator("test", "hard", k)) for k in range(2)])
    scores = matrices_of({"g": index})["g"] + 0.1 * drawn(2, 6, 0)
    start = torch.zeros(2, 6, dtype=torch.float64)
    hard, soft = (soft_permutations(scores, entropy, start)[0] for entropy in (0.05, 1e6))
    assert torch.equal(index, hardened({"g": scores})["g"])
    assert bool((hard.gather(2, index.unsqueeze(2)) > 0.99).all())
    assert torch.allclose(torch.full((2, 6, 6), 1 / 6).double(), soft, rtol=1e-4)


def test_where_the_iteration_begins_does_not_matter() -> None:
    """The offsets of another matrix lead to the same fixed point."""
    scores, zeros = drawn(1, 8, 1), torch.zeros(1, 8, dtype=torch.float64)
    _, offsets = soft_permutations(drawn(1, 8, 2), 1.0, zeros)
    cold, warm = (soft_permutations(scores, 1.0, start)[0] for start in (zeros, offsets))
    assert torch.allclose(cold, warm, rtol=0, atol=1e-6)


@given(st.integers(2, 7), st.integers(0, 999), st.sampled_from([2.0, 1.0, 0.5]))
def test_the_derivative_is_that_of_the_fixed_point(width: int, seed: int, entropy: float) -> None:
    """Against central differences along a random direction, of two matrices at once."""
    scores, towards, outer = (drawn(2, width, 3 * seed + k) for k in range(3))
    zeros = torch.zeros(2, width, dtype=torch.float64)

    def value(shift: float) -> float:
        at = scores + shift * towards
        for_offsets = zeros
        for _ in range(5):  # 250 iterations: differences must not see what is left of them
            matrices, for_offsets = soft_permutations(at, entropy, for_offsets)
        return float((matrices * outer).sum())

    matrices, _ = soft_permutations(scores, entropy, soft_permutations(scores, entropy, zeros)[1])
    actual = float((through_soft_permutations(matrices, outer, entropy) * towards).sum())
    step = 1e-3
    expected = (value(step) - value(-step)) / (2 * step)
    assert expected == pytest.approx(actual, rel=2e-3, abs=2e-3)


def test_a_hard_permutation_passes_no_derivative() -> None:
    """Where the linear system is singular, the derivative is zero and finite."""
    matrices = torch.eye(4, dtype=torch.float64)[[2, 0, 3, 1]].unsqueeze(0)
    found = through_soft_permutations(matrices, drawn(1, 4, 5), 0.01)
    assert torch.allclose(torch.zeros(1, 4, 4).double(), found, atol=1e-4)
