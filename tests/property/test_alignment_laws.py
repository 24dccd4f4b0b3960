"""Laws of the searches: objectives that never worsen, exact assignments, energies of states alone."""

from __future__ import annotations

from itertools import permutations as all_orders

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import DrawnSpec, mlp_programs, random_permutation, random_stack, seeds, shapes_of, specs

from workers.alignment.align import Examples, align
from workers.alignment.methods import SimulatedAnnealing, WeightMatching
from workers.alignment.midpoint import _CachedMLP, _direct, _error_sum, _loss_sum, midpoint_energy
from workers.architectures.mlp import MLPProgram
from workers.params import ParamStack, row
from workers.permutation import permute
from workers.permutation.derive import derive_permutation_spec
from workers.permutation.spec import PermutationSpec


def inner_product(first: ParamStack, second: ParamStack, spec: PermutationSpec) -> float:
    """The objective of weight matching, in the plainest words."""
    return sum(float((first[name] * second[name]).sum()) for name in {name for name, _ in spec.axes})


@given(specs(), seeds(), st.integers(1, 3))
def test_weight_matching_never_lowers_its_objective(drawn: DrawnSpec, seed: int, restarts: int) -> None:
    """On any spec, with coupled groups and blocks, the end is at least the start; both are as recomputed."""
    spec = drawn.spec
    first, second = (random_stack(drawn.shapes, 2, seed + k) for k in range(2))
    found = align(WeightMatching(restarts=restarts), [first, second], spec, names=["p", "q"])
    assert bool((found.objective_end >= found.objective_start).all())
    aligned = permute.apply(second, found.permutations[1], spec)
    for n in range(2):
        one = [{name: tensor[n] for name, tensor in params.items()} for params in (first, second, aligned)]
        assert pytest.approx(inner_product(one[0], one[1], spec)) == float(found.objective_start[n])
        assert pytest.approx(inner_product(one[0], one[2], spec)) == float(found.objective_end[n])


@given(st.integers(1, 6), seeds())
def test_one_group_is_matched_as_by_brute_force(width: int, seed: int) -> None:
    """With a single hidden layer of up to 6 units the result is the best of all permutations."""
    program = MLPProgram(num_inputs=2, width=width, depth=1, num_classes=2)
    spec = derive_permutation_spec(program.module)
    first, second = (random_stack(shapes_of(program), 1, seed + k) for k in range(2))
    best = max(
        inner_product(first, permute.apply(second, {"layers.0": torch.tensor([order])}, spec), spec)
        for order in all_orders(range(width))
    )
    found = align(WeightMatching(), [first, second], spec, names=["p"])
    assert pytest.approx(best, rel=1e-12) == float(found.objective_end)
    assert found.details[0]["exact"]


@given(mlp_programs(), seeds())
def test_matching_is_a_fixed_point(program: MLPProgram, seed: int) -> None:
    """What has been matched is not moved again: no single assignment improves it."""
    spec = derive_permutation_spec(program.module)
    first, second = (random_stack(shapes_of(program), 1, seed + k) for k in range(2))
    found = align(WeightMatching(), [first, second], spec, names=["p"])
    aligned = permute.apply(second, found.permutations[1], spec)
    again = align(WeightMatching(restarts=1), [first, aligned], spec, names=["p"])
    assert "converged" == found.outcome[0]
    assert all(torch.equal(permute.identity(spec, 1)[g], again.permutations[1][g]) for g in spec.groups)


@given(mlp_programs(), seeds(), st.integers(1, 12))
def test_a_cached_energy_is_the_direct_one(program: MLPProgram, seed: int, num_states: int) -> None:
    """Along any walk, with small steps and jumps, the cache agrees with averaging weights from scratch."""
    spec = derive_permutation_spec(program.module)
    first, second = (row(random_stack(shapes_of(program), 1, seed + k), 0) for k in range(2))
    stream = torch.Generator().manual_seed(seed)
    inputs = torch.randn(11, program.num_inputs, generator=stream).double()
    labels = torch.randint(program.num_classes, (11,), generator=stream)
    for score in (_loss_sum, _error_sum):
        cached = _CachedMLP(program, inputs, labels, score, first, second)
        direct = _direct(program, inputs, labels, score, first, second, spec)
        state = [np.arange(units) for units in spec.groups.values()]
        for step in range(num_states):
            if step % 3 == 2:
                jump = random_permutation(spec, 1, seed + step)
                state = [jump[group][0].numpy() for group in spec.groups]
            else:
                state = [index.copy() for index in state]
                for index in state:
                    a, b = torch.randint(len(index), (2,), generator=stream).tolist()
                    index[a], index[b] = index[b], index[a]
            assert pytest.approx(direct(state), rel=1e-10, abs=1e-12) == cached(state)


@given(mlp_programs(), seeds(), st.sampled_from(["midpoint_loss", "midpoint_error"]))
def test_annealing_never_ends_above_its_start(program: MLPProgram, seed: int, measure: str) -> None:
    """The best state visited is returned: at most the start's energy, and equal to its own, recomputed."""
    spec = derive_permutation_spec(program.module)
    first, second = (random_stack(shapes_of(program), 1, seed + k) for k in range(2))
    stream = torch.Generator().manual_seed(seed)
    inputs = torch.randn(13, program.num_inputs, generator=stream).double()
    examples = Examples(program, inputs, torch.randint(program.num_classes, (13,), generator=stream))
    method = SimulatedAnnealing(steps=15, objective=measure)  # type: ignore[arg-type]
    found = align(method, [first, second], spec, names=["p"], examples=examples)
    energy = midpoint_energy(examples, measure, row(first, 0), row(second, 0), spec)
    best = [found.permutations[1][group][0].numpy() for group in spec.groups]
    start = [np.arange(units) for units in spec.groups.values()]
    assert float(found.objective_end) <= float(found.objective_start)
    assert pytest.approx(energy(best), rel=1e-12) == float(found.objective_end)
    assert pytest.approx(energy(start), rel=1e-12) == float(found.objective_start)
