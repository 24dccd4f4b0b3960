"""The best of every permutation there is, each of them a proposal of the annealer's walks."""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Iterator
from dataclasses import dataclass, field, replace

import numpy as np
import torch

from workers.alignment.annealing.ground import Ground, Plan
from workers.alignment.annealing.moves import Moves, Walk, replay
from workers.alignment.annealing.problem import Problem, State
from workers.alignment.annealing.warming import compile_for
from workers.alignment.batch import Batch, Finding, result_of
from workers.alignment.budget import Budget
from workers.alignment.every_order import SEGMENT, accepted_moves, segments
from workers.alignment.methods import BruteForce
from workers.alignment.outcome import AlignmentResult
from workers.device import map_on_threads
from workers.params import row

NUM_CANDIDATES = 32
"""States that are evaluated in full at the end: the best, and those as good within the tolerance; fewer where
evaluations are bounded."""

LOSS_TOLERANCE = 1e-4
"""In nats; an error may be off by one example."""

SEGMENT_SECONDS = 0.05
"""Time between two looks, about; one state at least."""

MEASURED_EXAMPLES, MEASURED_MOVES = 1000, 200
"""What the time of a refused search is estimated on."""


def search_all(method: BruteForce, batch: Batch) -> AlignmentResult:
    """The best of all permutations of the second network, pair by pair.

    ``num_evaluations`` counts the states, and the candidates that were evaluated in full at the end.

    Raises:
        ValueError: If there are more than ``max_permutations``, with their number and the time they
            would take.
    """
    examples = batch.required_examples(method.num_examples)
    problems = [
        Problem(
            [row(member, index) for member in batch.members], batch.spec, name, examples, method.objective
        )
        for index, name in enumerate(batch.names)
    ]
    _refuse_too_many(method, problems[0], batch.max_bytes)
    compile_for(Plan.of(problems[0], batch.max_bytes), problems[0], batch.max_bytes)
    if examples.labels.device.type == "cpu":
        share = batch.max_bytes / torch.get_num_threads()  # whatever shares the batch
        findings = map_on_threads(lambda problem: _search_one(method, problem, share), problems)
    else:
        findings = [_search_one(method, problem, batch.max_bytes) for problem in problems]
    return result_of(findings, method.objective, batch.spec)


@dataclass(order=True)
class _Candidate:
    """A state and its energy; the worst of a heap, and of equals the latest, comes first."""

    rank: tuple[float, int]
    state: State = field(compare=False)

    @classmethod
    def of(cls, energy: float, number: int, state: State) -> _Candidate:
        """The state with this number in the order of all states."""
        return cls((-energy, -number), state)


def _search_one(method: BruteForce, problem: Problem, max_bytes: float) -> Finding:
    """The best of all states of one pair."""
    budget = Budget.of(method)
    start, count = problem.identity(), _count(problem)
    start_energy = problem.energy(start)
    is_finite = math.isfinite(start_energy)
    allowed, num_kept = count - 1, NUM_CANDIDATES
    if method.max_evaluations is not None:
        left = method.max_evaluations - 1
        num_kept = max(1, min(NUM_CANDIDATES, left // 2))
        allowed = min(allowed, max(0, left - num_kept))
    outcome, num_made, candidates, drift = "exact", 0, [_Candidate.of(start_energy, 0, start)], 0.0
    if is_finite and allowed:
        ground = Ground(Plan.of(problem, max_bytes), [problem], max_bytes)
        walk = ground.walk([0], [start])
        tolerance = LOSS_TOLERANCE if problem.measures_loss else 1.5 / problem.denominator
        for moves in _paced(segments(problem.slot_sizes, allowed), budget):
            walk = _pass_through(ground, walk, moves, candidates, num_kept, num_made + 1, tolerance)
            num_made += len(moves)
            drift = max(drift, walk.drift)
        if num_made < allowed:
            outcome = "max_seconds"
    if num_made == allowed < count - 1:
        outcome = "max_evaluations"
    # the earliest first, so that of equals it is the one
    candidates.sort(reverse=True)
    energies = [start_energy if one.state is start else problem.energy(one.state) for one in candidates] + [
        start_energy
    ]
    states = [one.state for one in candidates] + [start]
    best = min(range(len(states)), key=energies.__getitem__) if is_finite else len(states) - 1
    return Finding(
        permutations=problem.permutations_of(states[best]),
        objective_start=start_energy if is_finite else math.nan,
        objective_end=energies[best] if is_finite else math.nan,
        num_evaluations=1 + num_made + sum(state is not start for state in states),
        seconds=budget.seconds,
        outcome=outcome if is_finite else "non_finite",
        details={"num_permutations": count, "candidates": len(candidates), "drift": drift}
        if is_finite
        else {},
    )


def _paced(segments: Iterator[Moves], budget: Budget) -> Iterator[Moves]:
    """The moves in parts of about as many seconds each, until the time is up."""
    length = 1
    for moves in segments:
        done = 0
        while done < len(moves):
            if budget.exceeded(0):
                return
            before, part = budget.seconds, moves.part(done, done + length)
            yield part
            done += len(part)
            per_move = max(budget.seconds - before, 1e-9) / len(part)
            length = max(1, min(SEGMENT, 2 * length, int(SEGMENT_SECONDS / per_move)))


def _pass_through(
    ground: Ground,
    walk: Walk,
    moves: Moves,
    candidates: list[_Candidate],
    num_kept: int,
    number: int,
    tolerance: float,
) -> Walk:
    """Carries out the moves and keeps the best states; the walk afterwards.

    An energy that is not finite cannot be carried along: the walk begins anew behind it.
    """
    while len(moves):
        (before,) = walk.states()
        (steps,) = walk.run([moves])
        wild = np.flatnonzero(~np.isfinite(steps.proposed))
        done = int(wild[0]) + 1 if len(wild) else len(moves)
        _keep(candidates, num_kept, before, moves.part(0, done), steps.proposed[:done], number, tolerance)
        if len(wild):
            walk = ground.walk([0], [replay(before, moves.part(0, done), np.ones(done, np.bool_))])
        moves, number = moves.part(done, len(moves)), number + done
    return walk


def _keep(
    candidates: list[_Candidate],
    num_kept: int,
    before: State,
    moves: Moves,
    energies: np.ndarray,
    number: int,
    tolerance: float,
) -> None:
    """Puts the states that are as good as the best, within the tolerance, among the candidates."""
    if not len(moves):
        return
    best = min(
        float(np.min(energies, initial=math.inf, where=np.isfinite(energies))),
        min(-one.rank[0] for one in candidates),
    )
    for step in np.argsort(energies, kind="stable")[:num_kept].tolist():
        energy = float(energies[step])
        is_full = len(candidates) >= num_kept
        if not energy <= best + tolerance or (is_full and energy >= -candidates[0].rank[0]):
            break
        state = replay(before, moves.part(0, step + 1), np.ones(step + 1, np.bool_))
        put = heapq.heapreplace if is_full else heapq.heappush
        put(candidates, _Candidate.of(energy, number + step, state))
    while len(candidates) > 1 and -candidates[0].rank[0] > best + tolerance:
        heapq.heappop(candidates)


def _count(problem: Problem) -> int:
    """How many states there are."""
    return math.prod(math.factorial(units) for units in problem.slot_sizes)


def _refuse_too_many(method: BruteForce, problem: Problem, max_bytes: float) -> None:
    """Raises ValueError for more permutations than are allowed."""
    count = _count(problem)
    if count <= method.max_permutations:
        return
    total = len(problem.examples.labels)
    small = replace(problem, examples=problem.examples.subset(min(total, MEASURED_EXAMPLES)))
    walk = Ground(Plan.of(small, max_bytes), [small], max_bytes).walk([0], [small.identity()])
    slot, units = max(enumerate(small.slot_sizes), key=lambda one: one[1])
    places = np.arange(MEASURED_MOVES) % (units - 1)
    moves = accepted_moves(np.full(MEASURED_MOVES, slot), places)
    walk.run([moves.part(0, 1)])
    start = time.perf_counter()
    walk.run([moves])
    per_state = (time.perf_counter() - start) / len(moves) * total / len(small.examples.labels)
    digits = math.log10(count)
    number = f"{count:,}" if digits < 15 else f"about 10^{digits:.0f}"
    raise ValueError(
        f"brute_force would try {number} permutations, and max_permutations is "
        f"{method.max_permutations:,}: about {_duration(digits + math.log10(per_state))} at "
        f"{per_state:.2g} s each. Take narrower networks, raise max_permutations, or search with "
        "simulated_annealing"
    )


def _duration(log_seconds: float) -> str:
    """Seconds, given by their logarithm, in words."""
    for unit, seconds in (("years", 365.25 * 86400), ("days", 86400.0), ("hours", 3600.0), ("minutes", 60.0)):
        digits = log_seconds - math.log10(seconds)
        if digits >= 5:
            return f"10^{digits:.0f} {unit}"
        if digits >= 0:
            return f"{10**digits:.3g} {unit}"
    return f"{10**log_seconds:.2g} seconds"
