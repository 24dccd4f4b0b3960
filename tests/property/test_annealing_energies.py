"""Energies that are carried along from move to move are those of the states, by the plain forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import mlp_programs, random_stack, seeds, shapes_of

from workers.alignment.align import Examples
from workers.alignment.annealing import deep_walk, layered_walk, margin_walk
from workers.alignment.annealing.deep_walk import DeepGround
from workers.alignment.annealing.direct_walk import DirectWalk
from workers.alignment.annealing.ground import Ground, Plan
from workers.alignment.annealing.layered_ground import LayeredGround
from workers.alignment.annealing.layered_walk import LayeredWalk
from workers.alignment.annealing.margin_walk import MarginGround
from workers.alignment.annealing.moves import Moves, Walk, drawn, movable, replay
from workers.alignment.annealing.problem import Problem, State
from workers.architectures.mlp import MLPProgram
from workers.params import row
from workers.permutation.derive import derive_permutation_spec

OBJECTIVES = ("midpoint_error", "midpoint_loss", "average_error", "pairwise_barrier")


def problem_of(
    program: MLPProgram,
    num_members: int,
    objective: str,
    seed: int,
    dtype: torch.dtype,
    num_examples: int = 40,
) -> Problem:
    """Random networks on random examples."""
    stacks = [random_stack(shapes_of(program), 1, seed + k) for k in range(num_members)]
    stream = torch.Generator().manual_seed(seed)
    inputs = torch.randn(num_examples, program.num_inputs, generator=stream).to(dtype)
    labels = torch.randint(program.num_classes, (num_examples,), generator=stream)
    members = [{name: tensor.to(dtype) for name, tensor in row(one, 0).items()} for one in stacks]
    spec = derive_permutation_spec(program.module)
    return Problem(members, spec, f"pair {seed}", Examples(program, inputs, labels), objective)


def some_moves(problem: Problem, every_group: bool, count: int, seed: int, accepted: float) -> Moves:
    """Moves of which about a share is carried out, whatever their energy, and the others are not."""
    moves, uniform = next(drawn(problem.slot_sizes, every_group, "test", seed))
    moves.bounds[:] = np.where(uniform < accepted, np.inf, -np.inf)
    return moves.part(0, count)


def full_energies(problem: Problem, start: State, moves: Moves) -> tuple[list[float], list[float]]:
    """Proposed and present energies of a walk, every one by a forward pass of the merged networks."""
    state, proposed, present = start, [], [problem.energy(start)]
    for step in range(len(moves)):
        after = replay(state, moves.part(step, step + 1), np.ones(1, np.bool_))
        proposed.append(problem.energy(after))
        stays = moves.bounds[step] == -np.inf
        state = state if stays else after
        present.append(present[-1] if stays else proposed[-1])
    return proposed, present[1:]


def assert_true(walk: Walk, problem: Problem, start: State, moves: Moves, tolerance: float) -> None:
    """Every energy of the walk is that of its state, and the walk ends where the moves lead."""
    (steps,) = walk.run([moves])
    proposed, present = full_energies(problem, start, moves)
    assert pytest.approx(proposed, rel=tolerance, abs=tolerance) == steps.proposed.tolist()
    assert pytest.approx(present, rel=tolerance, abs=tolerance) == steps.present.tolist()
    assert (moves.bounds == np.inf).tolist() == steps.accepted.tolist()
    expected = replay(start, moves, steps.accepted)
    assert [index.tolist() for index in expected] == [index.tolist() for index in walk.states()[0]]


@given(
    mlp_programs(), st.integers(2, 4), st.sampled_from(OBJECTIVES), st.booleans(), seeds(),
    st.sampled_from([torch.float32, torch.float64]),
)  # fmt: skip
def test_incremental_energies_are_full_energies(
    program: MLPProgram, num_members: int, objective: str, every_group: bool, seed: int, dtype: torch.dtype
) -> None:
    """At any depth, for any number of networks, objective and kind of move, by the kernel and by tensors."""
    if objective.startswith("midpoint"):
        num_members = 2
    problem = problem_of(program, num_members, objective, seed, dtype)
    if not movable(problem.slot_sizes):
        return
    plan = Plan.of(problem, 1e9)
    kinds = {torch.float64: "layers", torch.float32: "margins" if program.depth == 1 else "blocks"}
    assert kinds[dtype] == plan.kind
    start = problem.identity()
    walk = Ground(plan, [problem], 1e9).walk([0], [start])
    moves = some_moves(problem, every_group, 12, seed, accepted=0.5)
    assert_true(walk, problem, start, moves, 1e-5 if dtype == torch.float32 else 1e-10)


@pytest.mark.parametrize("objective", OBJECTIVES)
@pytest.mark.parametrize("every_group", [False, True])
@pytest.mark.parametrize("depth", [1, 4])
def test_compiled_and_tensor_walks_agree(objective: str, every_group: bool, depth: int) -> None:
    """The kernels and the tensor program tell the same energies of the same moves, over several blocks."""
    num_members = 2 if objective.startswith("midpoint") else 3
    problem = problem_of(MLPProgram(5, 9, depth, 4), num_members, objective, 3, torch.float32, 2500)
    start = problem.identity()
    moves = some_moves(problem, every_group, 60, 1, accepted=0.5)
    kind = MarginGround if depth == 1 else DeepGround
    (compiled,) = kind(problem, 1e9).walk([start]).run([moves])
    (tensors,) = LayeredWalk(LayeredGround([problem]), [0], [start]).run([moves])
    assert pytest.approx(compiled.proposed, abs=1e-6) == tensors.proposed
    assert pytest.approx(compiled.present, abs=1e-6) == tensors.present


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize("objective", ["midpoint_loss", "pairwise_barrier"])
def test_chains_that_advance_together_are_those_alone(depth: int, objective: str) -> None:
    """Chains of two groups of networks in one tensor program go as each of them goes by itself."""
    num_members = 2 if objective.startswith("midpoint") else 3
    problems = [
        problem_of(MLPProgram(5, 6, depth, 4), num_members, objective, 1, torch.float64),
        problem_of(MLPProgram(5, 6, depth, 4), num_members, objective, 2, torch.float64),
    ]
    problems[1] = replace(problems[1], examples=problems[0].examples)
    of_problem = [0, 0, 1]
    moves = [some_moves(problems[k], False, 40, chain, 0.4) for chain, k in enumerate(of_problem)]
    ground = LayeredGround(problems)
    starts = [problems[k].identity() for k in of_problem]
    walk = LayeredWalk(ground, of_problem, starts)
    together = walk.run(moves)
    for chain, k in enumerate(of_problem):
        alone = LayeredWalk(LayeredGround([problems[k]]), [0], [starts[chain]])
        (expected,) = alone.run([moves[chain]])
        assert pytest.approx(expected.present, rel=1e-12) == together[chain].present
        assert expected.accepted.tolist() == together[chain].accepted.tolist()
        assert [i.tolist() for i in alone.states()[0]] == [i.tolist() for i in walk.states()[chain]]


def run_long(walk: Walk, moves: Sequence[Moves]) -> float:
    """The last energy of a long walk."""
    last = 0.0
    for part in moves:
        (steps,) = walk.run([part])
        last = float(steps.present[-1])
    return last


@pytest.mark.parametrize(
    ("depth", "count", "dtype"), [(1, 1000, torch.float32), (3, 500, torch.float32), (3, 100, torch.float64)]
)
def test_energies_do_not_drift(
    depth: int, count: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch
) -> None:
    """After many accepted moves the loss carried along is the full one to 1e-5 nats, refreshed or not."""
    problem = problem_of(MLPProgram(5, 8, depth, 4), 2, "midpoint_loss", 7, dtype, 200)
    start = problem.identity()
    moves = [some_moves(problem, False, count, seed, accepted=1.0) for seed in range(3)]
    state = start
    for part in moves:
        state = replay(state, part, np.ones(len(part), np.bool_))
    for refresh in (100, 10**9):
        monkeypatch.setattr(margin_walk, "REFRESH_AFTER", refresh)
        monkeypatch.setattr(deep_walk, "REFRESH_AFTER", refresh)
        monkeypatch.setattr(layered_walk, "REFRESH_AFTER", refresh)
        walk = Ground(Plan.of(problem, 1e9), [problem], 1e9).walk([0], [start])
        assert pytest.approx(problem.energy(state), abs=1e-5) == run_long(walk, moves)
        assert (refresh == 100) == (walk.drift > 0.0)
        assert walk.drift < 1e-5


def test_rows_that_do_not_fit_are_formed_when_they_are_needed() -> None:
    """Without room for the pre-activations of all units, energies are the same."""
    problem = problem_of(MLPProgram(5, 9, 1, 4), 2, "midpoint_loss", 3, torch.float32, 300)
    moves = some_moves(problem, False, 50, 1, accepted=0.5)
    ground = MarginGround(problem, max_bytes=1000.0)
    assert not ground.is_cached
    assert_true(ground.walk([problem.identity()]), problem, problem.identity(), moves, 1e-5)


def test_equal_logits_go_to_the_first_class() -> None:
    """Where all weights are zero all logits are equal, and the first class is the prediction."""
    problem = problem_of(MLPProgram(2, 3, 1, 3), 2, "midpoint_error", 0, torch.float32)
    zeros = [{name: torch.zeros_like(tensor) for name, tensor in one.items()} for one in problem.members]
    problem = replace(problem, members=zeros)
    walk = MarginGround(problem, 1e9).walk([problem.identity()])
    expected = float((problem.examples.labels != 0).double().mean())
    assert pytest.approx(expected) == walk.energies()[0] == problem.energy(problem.identity())


def test_other_programs_are_evaluated_in_full() -> None:
    """A direct walk serves any program, and tells the energies of its states."""
    problem = problem_of(MLPProgram(4, 5, 2, 3), 3, "pairwise_barrier", 5, torch.float64)
    moves = some_moves(problem, False, 20, 2, accepted=0.5)
    assert_true(DirectWalk([problem], [problem.identity()]), problem, problem.identity(), moves, 1e-12)


@given(st.lists(st.floats(-60.0, 60.0, width=32), min_size=2, max_size=8), st.integers(0, 7))
def test_the_loss_of_any_margins(logits: list[float], label: int) -> None:
    """The compiled loss is cross-entropy to 1e-5 nats, for margins far beyond where exp overflows."""
    label %= len(logits)
    program = MLPProgram(1, 1, 1, len(logits))
    weights = {
        "layers.0.weight": torch.zeros(1, 1),
        "layers.0.bias": torch.zeros(1),
        "layers.1.weight": torch.zeros(len(logits), 1),
        "layers.1.bias": torch.tensor(logits) * 3,
    }
    examples = Examples(program, torch.zeros(1, 1), torch.tensor([label]))
    spec = derive_permutation_spec(program.module)
    problem = Problem([weights, weights], spec, "p", examples, "midpoint_loss")
    expected = float(torch.nn.functional.cross_entropy(torch.tensor([logits]).double() * 3, examples.labels))
    found = MarginGround(problem, 1e9).walk([problem.identity()]).energies()[0]
    assert pytest.approx(expected, rel=1e-6, abs=1e-5) == found
