"""Energies of shallow convolutional networks that are carried along are those of the states, in full."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from strategies import seeds

from workers.alignment.align import Examples, align
from workers.alignment.annealing import convolved_ground, convolved_walk
from workers.alignment.annealing.convolved_ground import ConvolvedGround
from workers.alignment.annealing.convolved_walk import ConvolvedWalk
from workers.alignment.annealing.ground import Ground, Plan
from workers.alignment.annealing.moves import Moves, Steps, drawn, replay
from workers.alignment.annealing.problem import Problem, State
from workers.alignment.methods import SimulatedAnnealing
from workers.architectures.module_program import ModuleProgram
from workers.architectures.shallow_cnn import ShallowCNN
from workers.device import threads
from workers.params import stack
from workers.permutation.derive import derive_permutation_spec

OBJECTIVES = ("midpoint_error", "midpoint_loss", "average_error", "pairwise_barrier")
SHAPE, WIDTH, NUM_CLASSES = (1, 11, 13), 5, 4


def problem_of(
    depth: int,
    num_members: int,
    objective: str,
    seed: int,
    num_examples: int = 40,
    dtype: torch.dtype = torch.float32,
) -> Problem:
    """Networks as they are initialized, on random examples."""
    program = ModuleProgram(partial(ShallowCNN, SHAPE, WIDTH, depth, NUM_CLASSES), SHAPE, NUM_CLASSES)
    stream = torch.Generator().manual_seed(seed)
    inputs = 3.0 * torch.randn(num_examples, *SHAPE, generator=stream, dtype=dtype)
    labels = torch.randint(NUM_CLASSES, (num_examples,), generator=stream)
    members = [
        {name: 2.0 * tensor.to(dtype) for name, tensor in program.initialize(seed + k).items()}
        for k in range(num_members)
    ]
    spec = derive_permutation_spec(program.module, torch.zeros(1, *SHAPE))
    return Problem(members, spec, f"pair {seed}", Examples(program, inputs, labels), objective)


def some_moves(problem: Problem, every_group: bool, count: int, seed: int, accepted: float) -> Moves:
    """Moves of which about a share is carried out, whatever their energy, and the others are not."""
    moves, uniform = next(drawn(problem.slot_sizes, every_group, "test", seed))
    moves.bounds[:] = np.where(uniform < accepted, np.inf, -np.inf)
    return moves.part(0, count)


def walked(problem: Problem, moves: Sequence[Moves], max_bytes: float = 1e9) -> tuple[Steps, State, float]:
    """What became of the last of some moves, where they led, and the drift."""
    walk = Ground(Plan.of(problem, max_bytes), [problem], max_bytes).walk([0], [problem.identity()])
    for part in moves:
        (steps,) = walk.run([part])
    return steps, walk.states()[0], walk.drift


def full_energies(problem: Problem, moves: Moves) -> list[float]:
    """The energy of every proposal, by a forward pass of the merged networks."""
    state, proposed = problem.identity(), []
    for step in range(len(moves)):
        after = replay(state, moves.part(step, step + 1), np.ones(1, np.bool_))
        proposed.append(problem.energy(after))
        state = state if moves.bounds[step] == -np.inf else after
    return proposed


@given(
    st.integers(2, 4), st.integers(2, 3), st.sampled_from(OBJECTIVES), st.booleans(), st.booleans(), seeds(),
)  # fmt: skip
def test_incremental_energies_are_full_energies(
    depth: int, num_members: int, objective: str, every_group: bool, is_kept: bool, seed: int
) -> None:
    """At any depth, for any objective and kind of move, with and without room for all channels."""
    if objective.startswith("midpoint"):
        num_members = 2
    problem = problem_of(depth, num_members, objective, seed)
    chain = convolved_ground.chain_bytes(problem)
    max_bytes = 1e9 if is_kept else 1.01 * chain
    plan = Plan.of(problem, max_bytes)
    assert ("convolved", is_kept) == (plan.kind, plan.shared_bytes > 0.0)
    moves = some_moves(problem, every_group, 16, seed, accepted=0.5)
    steps, state, _ = walked(problem, [moves], max_bytes)
    assert pytest.approx(full_energies(problem, moves), rel=1e-5, abs=1e-5) == steps.proposed.tolist()
    assert (moves.bounds == np.inf).tolist() == steps.accepted.tolist()
    held = [steps.proposed[k] for k in range(len(moves)) if steps.accepted[k]]
    assert pytest.approx(held) == steps.present[steps.accepted]
    expected = replay(problem.identity(), moves, steps.accepted)
    assert [index.tolist() for index in expected] == [index.tolist() for index in state]


@pytest.mark.parametrize("objective", ["midpoint_loss", "midpoint_error"])
@pytest.mark.parametrize("depth", [2, 3, 4])
def test_energies_do_not_drift(depth: int, objective: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """After 600 accepted moves the energy carried along is the full one to 1e-5, refreshed or not."""
    problem = problem_of(depth, 2, objective, 7, num_examples=100)
    moves = [some_moves(problem, False, 200, seed, accepted=1.0) for seed in range(3)]
    state = problem.identity()
    for part in moves:
        state = replay(state, part, np.ones(len(part), np.bool_))
    for refresh in (50, 10**9):
        monkeypatch.setattr(convolved_walk, "REFRESH_AFTER", refresh)
        steps, _, drift = walked(problem, moves)
        assert pytest.approx(problem.energy(state), abs=1e-5) == float(steps.present[-1])
        assert drift < 1e-5
        if objective == "midpoint_loss":
            assert (refresh == 50) == (drift > 0.0)


def test_double_precision_is_carried_along() -> None:
    """In float64 every energy is the full one to 1e-10, over several blocks of examples."""
    problem = problem_of(3, 3, "midpoint_loss", 3, num_examples=1100, dtype=torch.float64)
    moves = some_moves(problem, False, 30, 1, accepted=0.5)
    steps, _, _ = walked(problem, [moves])
    assert pytest.approx(full_energies(problem, moves), rel=1e-10) == steps.proposed.tolist()


def test_a_trace_is_the_same_in_any_company() -> None:
    """A search of two groups on two threads finds, bit for bit, what one of one group on one thread does."""
    first, second = (problem_of(3, 2, "midpoint_loss", seed, num_examples=600) for seed in (1, 2))
    method = SimulatedAnnealing(objective="midpoint_loss", steps=150, restarts=2)

    def found(problems: Sequence[Problem], count: int) -> list[list[float]]:
        members = [stack([problem.members[k] for problem in problems]) for k in range(2)]
        names = [problem.name for problem in problems]
        with threads(count):
            result = align(method, members, first.spec, names=names, examples=first.examples)
        return [trace.objective for trace in result.traces[0]]

    assert found([first], 1) == found([first, second], 2)
    assert len(found([first], 2)[0]) > 10


def kept_bytes(holder: object) -> int:
    """Memory of the tensors that an object of the annealer holds, itself or in what it holds."""
    if isinstance(holder, torch.Tensor):
        return holder.untyped_storage().nbytes()
    if isinstance(holder, list | tuple):
        return sum(kept_bytes(one) for one in holder)
    if isinstance(holder, dict):
        return kept_bytes([*holder.values()])
    if isinstance(holder, ConvolvedGround):
        return 0  # shared
    if type(holder).__module__.startswith("workers.alignment.annealing.convolved"):
        return kept_bytes([one for name, one in vars(holder).items() if name != "_labels"])
    return 0


@pytest.mark.parametrize("depth", [2, 4])
@pytest.mark.parametrize("objective", ["midpoint_loss", "pairwise_barrier"])
def test_what_is_kept_was_planned(depth: int, objective: str) -> None:
    """After moves in all groups, a chain holds no more than was told beforehand, and no less than a third."""
    problem = problem_of(depth, 2 if objective == "midpoint_loss" else 3, objective, 1, num_examples=6000)
    ground = ConvolvedGround(problem, is_kept=True)
    walk = ConvolvedWalk([ground], [problem.identity()])
    walk.run([some_moves(problem, False, 20, 1, accepted=0.5)])
    planned = convolved_ground.chain_bytes(problem)
    assert planned / 3 < kept_bytes(walk) < planned
    shared = kept_bytes([one for one in vars(ground).values() if isinstance(one, torch.Tensor | list)])
    assert shared <= 1.1 * convolved_ground.ground_bytes(problem)


def test_what_does_not_fit_is_evaluated_in_full() -> None:
    """Where a chain's layers do not fit into memory, every proposal is a forward pass."""
    problem = problem_of(3, 2, "midpoint_error", 1)
    assert Plan.of(problem, 0.9 * convolved_ground.chain_bytes(problem)).kind == "direct"


@given(
    st.integers(1, 5), st.integers(1, 4), st.integers(1, 5), st.integers(1, 5), st.integers(1, 40), seeds(),
)  # fmt: skip
def test_the_compiled_convolution_is_that_of_torch(
    num_outputs: int, num_channels: int, height: int, width: int, length: int, seed: int
) -> None:
    """For any number of channels, and maps of any sides, those of one position included."""
    stream = torch.Generator().manual_seed(seed)

    def drawn_tensor(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=stream, dtype=torch.float64)

    maps, bias = drawn_tensor(num_channels, height, width, length), drawn_tensor(num_outputs)
    weight = drawn_tensor(num_outputs, num_channels, 3, 3)
    expected = torch.nn.functional.conv2d(maps.permute(3, 0, 1, 2), weight, bias, padding=1)
    found = convolved_ground.convolved(bias, weight, maps, maps.new_empty(num_outputs, height, width, length))
    assert torch.allclose(expected.permute(1, 2, 3, 0), found, rtol=1e-10, atol=1e-12)
