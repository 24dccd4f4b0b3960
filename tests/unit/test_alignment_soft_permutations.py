"""Soft permutations against hard ones, and what the frame problem makes of them."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import DrawnSpec, seeds, specs

from workers.alignment.frame_problem import FrameProblem
from workers.alignment.soft_permutations import Matrices, hardened, matrices_of, soft_apply
from workers.architectures.mlp import MLPProgram
from workers.params import ParamStack, rows, stack
from workers.permutation import permute
from workers.permutation.derive import derive_permutation_spec
from workers.permutation.permute import PermutationStack
from workers.permutation.spec import PermutationSpec
from workers.seeding import generator


def drawn_stack(drawn: DrawnSpec, num: int, seed: int) -> ParamStack:
    """Random networks of the shapes that go with a spec."""
    return {
        name: torch.randn((num, *shape), generator=generator("test", "soft", name, seed), dtype=torch.float64)
        for name, shape in drawn.shapes.items()
    }


def drawn_permutation(spec: PermutationSpec, num: int, seed: int) -> PermutationStack:
    """A random permutation of every network."""
    each = [permute.random(spec, "test", "soft", seed, k) for k in range(num)]
    return {group: torch.stack([one[group] for one in each]) for group in spec.groups}


def drawn_matrices(spec: PermutationSpec, num: int, seed: int) -> Matrices:
    """The mean of three random permutations."""
    hard = [matrices_of(drawn_permutation(spec, num, 3 * seed + k)) for k in range(3)]
    return {group: sum(one[group] for one in hard) / 3 for group in spec.groups}


@given(specs(), seeds())
def test_hard_matrices_do_what_their_permutation_does(drawn: DrawnSpec, seed: int) -> None:
    """Blocks, pinned segments and groups twice on an axis included; absent groups stay."""
    networks, spec = drawn_stack(drawn, 2, seed), drawn.spec
    permutation = drawn_permutation(spec, 2, seed)
    if len(permutation) > 1:
        permutation.pop(min(permutation))
    expected = permute.apply(networks, permutation, spec)
    actual = soft_apply(networks, matrices_of(permutation), spec)
    assert all(torch.equal(expected[name], actual[name]) for name in networks)


@given(specs(), seeds(), st.sampled_from([torch.float32, torch.float64]))
def test_hardening_undoes_the_making_of_matrices(drawn: DrawnSpec, seed: int, dtype: torch.dtype) -> None:
    """A permutation that became matrices comes back."""
    permutation = drawn_permutation(drawn.spec, 2, seed)
    found = hardened(matrices_of(permutation, dtype))
    assert all(torch.equal(index, found[group]) for group, index in permutation.items())


@given(specs(), seeds(), st.integers(2, 4))
def test_the_objective_is_the_sum_over_pairs(drawn: DrawnSpec, seed: int, num: int) -> None:
    """Of inner products of permuted networks; the soft objective differs from it by a constant."""
    networks, spec = drawn_stack(drawn, num, seed), drawn.spec
    named = {name: networks[name] for name, _ in spec.axes}
    problem = FrameProblem.of([rows(networks, [k]) for k in range(num)], spec)
    constants = []
    for draw in (0, 1):
        permutation = drawn_permutation(spec, num, seed + draw)
        permuted = permute.apply(named, permutation, spec)
        expected = sum(
            float((tensor[j] * tensor[k]).sum())
            for tensor in permuted.values()
            for j, k in combinations(range(num), 2)
        )
        assert expected == pytest.approx(problem.objective(permutation), rel=1e-12, abs=1e-9)
        assert abs(expected) <= problem.scale * (1 + 1e-12)
        constants.append(expected - problem.soft_objective(matrices_of(permutation)))
    assert constants[0] == pytest.approx(constants[1], rel=1e-9, abs=1e-9)


@given(specs(), seeds(), st.integers(2, 3))
def test_the_gradient_is_that_of_the_soft_objective(drawn: DrawnSpec, seed: int, num: int) -> None:
    """Against a central difference in a random direction, for parameters with any number of axes."""
    networks, spec = drawn_stack(drawn, num, seed), drawn.spec
    problem = FrameProblem.of([rows(networks, [k]) for k in range(num)], spec)
    at, to = drawn_matrices(spec, num, seed), drawn_matrices(spec, num, seed + 1)
    direction = {group: to[group] - at[group] for group in at}
    gradient = problem.gradient(at)
    actual = sum(float((gradient[group] * direction[group]).sum()) for group in at)
    step = 1e-4
    ahead, behind = (
        problem.soft_objective({g: at[g] + sign * step * direction[g] for g in at}) for sign in (1, -1)
    )
    assert (ahead - behind) / (2 * step) == pytest.approx(actual, rel=1e-4, abs=1e-4)


def test_the_number_of_inputs_does_not_change_inner_products() -> None:
    """Features are replaced by a basis of what the units span once they are more than the units."""
    wide = MLPProgram(num_inputs=40, width=3, depth=2, num_classes=3)
    networks = [stack([wide.initialize(k)]) for k in range(2)]
    problem = FrameProblem.of(networks, derive_permutation_spec(wide.module))
    first, second = problem.features["layers.0"]
    assert (3, 6) == tuple(first.shape)
    a, b = (
        torch.cat([n["layers.0.weight"][0], n["layers.0.bias"][0].unsqueeze(1)], dim=1).double()
        for n in networks
    )
    assert torch.allclose(a @ b.T, first @ second.T, rtol=0, atol=1e-12)
