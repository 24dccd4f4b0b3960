"""Brute force: every permutation once, the best of them, and a refusal where there are too many."""

from __future__ import annotations

import math
from itertools import permutations, product

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import mlp_programs, random_stack, seeds, shapes_of

from workers.alignment.align import Examples, align
from workers.alignment.annealing.problem import Problem
from workers.alignment.every_order import all_moves, transpositions
from workers.alignment.methods import BruteForce, SimulatedAnnealing
from workers.architectures.mlp import MLPProgram
from workers.params import ParamStack, row
from workers.permutation.derive import derive_permutation_spec


def pair_of(program: MLPProgram, seed: int, dtype: torch.dtype = torch.float64) -> list[ParamStack]:
    """Two random networks."""
    stacks = [random_stack(shapes_of(program), 1, seed + k) for k in range(2)]
    return [{name: tensor.to(dtype) for name, tensor in one.items()} for one in stacks]


def examples_of(program: MLPProgram, seed: int, dtype: torch.dtype = torch.float64) -> Examples:
    """Random examples."""
    stream = torch.Generator().manual_seed(seed)
    inputs = torch.randn(23, program.num_inputs, generator=stream).to(dtype)
    return Examples(program, inputs, torch.randint(program.num_classes, (23,), generator=stream))


@pytest.mark.parametrize("sizes", [[1], [2], [5], [4, 3], [1, 3], [3, 1, 2], [2, 2, 2]])
def test_moves_run_through_every_state_once(sizes: list[int]) -> None:
    """From the identity, as many states as there are permutations, none of them twice."""
    state = [np.arange(units) for units in sizes]
    seen = [tuple(map(tuple, state))]
    for slots, places in all_moves(sizes):
        for slot, place in zip(slots, places, strict=True):
            index = state[slot]
            index[[place, place + 1]] = index[[place + 1, place]]
            seen.append(tuple(map(tuple, state)))
    assert math.prod(map(math.factorial, sizes)) == len(seen) == len(set(seen))


def test_as_many_transpositions_as_orders() -> None:
    """Of eight units: 8! - 1, all of neighbors."""
    places = transpositions(8)
    assert math.factorial(8) - 1 == len(places)
    assert set(range(7)) == set(places.tolist())


@given(
    mlp_programs(), seeds(), st.sampled_from(["midpoint_error", "midpoint_loss"]),
    st.sampled_from([torch.float32, torch.float64]),
)  # fmt: skip
def test_nothing_is_better(program: MLPProgram, seed: int, objective: str, dtype: torch.dtype) -> None:
    """The objective is the least over all permutations, each evaluated in full."""
    program = MLPProgram(
        program.num_inputs, min(program.width, 4 if program.depth == 1 else 3),
        min(program.depth, 2), program.num_classes,
    )  # fmt: skip
    spec = derive_permutation_spec(program.module)
    members, examples = pair_of(program, seed, dtype), examples_of(program, seed, dtype)
    found = align(
        BruteForce(objective=objective),  # type: ignore[arg-type]
        members, spec, names=["p"], examples=examples,
    )  # fmt: skip
    problem = Problem([row(member, 0) for member in members], spec, "p", examples, objective)
    orders = product(*(permutations(range(units)) for units in spec.groups.values()))
    least = min(problem.energy([np.array(order) for order in state]) for state in orders)
    assert least == float(found.objective_end)
    state = problem.state_of([{g: i[0] for g, i in one.items()} for one in found.permutations])
    assert least == problem.energy(state)
    assert ["exact"] == found.outcome


def test_no_search_finds_less() -> None:
    """Annealing on the same examples reports no less than the exact optimum, here of 5,040."""
    program = MLPProgram(4, 7, 1, 3)
    spec = derive_permutation_spec(program.module)
    members, examples = pair_of(program, 3, torch.float32), examples_of(program, 3, torch.float32)
    for objective in ("midpoint_error", "midpoint_loss"):
        exact, searched = (
            align(method, members, spec, names=["p"], examples=examples)
            for method in (
                BruteForce(objective=objective),  # type: ignore[arg-type]
                SimulatedAnnealing(objective=objective, steps=2000, restarts=3),  # type: ignore[arg-type]
            )
        )
        assert float(exact.objective_end) <= float(searched.objective_end)
        assert 5040 == exact.details[0]["num_permutations"]


def test_too_many_are_refused_with_their_number_and_their_time() -> None:
    """Before anything is searched; numbers beyond reading are told as powers of ten."""
    for width, message in (
        (11, r"brute_force would try 39,916,800 permutations, and max_permutations is 4,000,000: about"),
        (200, r"about 10\^375 permutations.*years at .* s each. Take narrower networks"),
    ):
        program = MLPProgram(4, width, 1, 3)
        with pytest.raises(ValueError, match=message):
            align(
                BruteForce(), pair_of(program, 0), derive_permutation_spec(program.module),
                names=["p"], examples=examples_of(program, 0),
            )  # fmt: skip


@pytest.mark.parametrize(
    ("bounds", "outcome"),
    [
        ({"max_evaluations": 500}, "max_evaluations"),
        ({"max_evaluations": 1}, "max_evaluations"),
        ({"max_evaluations": 20}, "max_evaluations"),
        ({"max_seconds": 1e-9}, "max_seconds"),
    ],
)
def test_budgets_stop_it(bounds: dict[str, float], outcome: str) -> None:
    """The best so far is returned, and the outcome is not exact."""
    program = MLPProgram(4, 7, 1, 3)
    found = align(
        BruteForce(**bounds),  # type: ignore[arg-type]
        pair_of(program, 0), derive_permutation_spec(program.module),
        names=["p"], examples=examples_of(program, 0),
    )  # fmt: skip
    assert [outcome] == found.outcome
    assert int(found.num_evaluations) <= bounds.get("max_evaluations", 100)
    assert float(found.objective_end) <= float(found.objective_start)
