"""Simulated annealing by the package ``simanneal``, with full energies: the reference engine.

One chain, drawing as the package does. A move transposes two random units in every group, or in one; the
energy is that of the method's objective (Entezari et al. 2021, appendix A.4, with the first of the
networks fixed).
"""

from __future__ import annotations

import math
import random as stdlib_random  # noqa: TID251  simanneal draws from this module; see _private_simanneal
import signal
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from types import SimpleNamespace
from typing import Any

import simanneal.anneal

from workers.alignment.annealing.problem import Problem
from workers.alignment.annealing.schedule import NUM_PROBES, from_probes, rule
from workers.alignment.annealing.starts import Start, starts_of
from workers.alignment.batch import Batch, Finding, result_of
from workers.alignment.budget import Budget
from workers.alignment.methods import SimulatedAnnealing
from workers.alignment.midpoint import Indices, midpoint_energy
from workers.alignment.outcome import AlignmentResult
from workers.params import row
from workers.permutation import permute
from workers.seeding import derive_seed

Energy = Callable[[Indices], float]
Swap = Callable[[Indices, stdlib_random.Random], bool]

_exclusive = threading.Lock()


def anneal(method: SimulatedAnnealing, batch: Batch) -> AlignmentResult:
    """Group of networks by group of networks."""
    assert batch.examples is not None
    examples = batch.examples.subset(method.num_examples)
    problems = [
        Problem(
            [row(member, index) for member in batch.members], batch.spec, name, examples, method.objective
        )
        for index, name in enumerate(batch.names)
    ]
    starts = _starts(method, batch, problems)
    findings = [_anneal_one(method, *one) for one in zip(problems, starts, strict=True)]
    return result_of(findings, method.objective, batch.spec)


def _anneal_one(method: SimulatedAnnealing, problem: Problem, started: Start) -> Finding:
    """The best permutations that the annealer visited; the first member stays.

    Steps are proposed moves. The objective at the end is never above that at the start, since the
    start counts among the states visited.
    """
    budget = replace(Budget.of(method), began=time.perf_counter() - started.seconds)
    energy, start = _energy(problem), started.state(0)
    draws = stdlib_random.Random(derive_seed("alignment", problem.name, "simulated_annealing"))
    start_energy = energy(start)
    if not math.isfinite(start_energy):
        return Finding(
            permutations=problem.permutations_of(problem.identity()),
            objective_start=math.nan,
            objective_end=math.nan,
            num_evaluations=1,
            seconds=budget.seconds,
            outcome="non_finite",
            details={},
        )
    swap = _transpose if method.moves == "every_group" else _transpose_one
    hot, cold, num_probes = _temperatures(method, energy, start, start_energy, draws, swap)
    with _private_simanneal(draws):
        annealer = _Annealer(start, energy, draws, swap, budget, 2 + num_probes)
        annealer.Tmax, annealer.Tmin, annealer.steps = hot, cold, method.steps
        best, _ = annealer.anneal()
    return Finding(
        permutations=problem.permutations_of(best),
        objective_start=start_energy,
        objective_end=energy(best),
        num_evaluations=2 + num_probes + annealer.num_evaluations,
        seconds=budget.seconds,
        outcome=annealer.stopped_by or "steps_done",
        details={
            "temperature_start": hot,
            "temperature_end": cold,
            "temperature_rule": rule(method),
            "acceptance": annealer.acceptance,
            "engine": method.engine,
        },
    )


def _energy(problem: Problem) -> Energy:
    """The objective as a function of a state."""
    if len(problem.members) == 2 and problem.objective.startswith("midpoint"):
        first, second = problem.members
        return midpoint_energy(problem.examples, problem.objective, first, second, problem.spec)
    return lambda state: problem.energy(list(state))


def _starts(method: SimulatedAnnealing, batch: Batch, problems: Sequence[Problem]) -> list[Start]:
    """As for the batched engine; but of two networks, a random start is drawn as it always was."""
    if method.start != "random" or len(batch.members) > 2:
        return starts_of(method, batch, problems)
    drawn = [
        permute.random(problem.spec, "alignment", problem.name, "simulated_annealing", "start")
        for problem in problems
    ]
    return [Start([[one[group].numpy() for group in batch.spec.groups]]) for one in drawn]


class _Annealer(simanneal.anneal.Annealer):  # type: ignore[misc]
    """The problem as ``simanneal`` wants it: a state, a move, an energy."""

    updates = 10  # how often the acceptance is noted

    def __init__(
        self,
        start: Indices,
        energy: Energy,
        draws: stdlib_random.Random,
        swap: Swap,
        budget: Budget,
        num_before: int,
    ) -> None:
        self._energy, self._draws, self._swap = energy, draws, swap
        self._budget, self._num_before = budget, num_before
        self.num_evaluations = 0
        self.stopped_by: str | None = None
        self.acceptance: list[float] = []
        super().__init__(start)

    def copy_state(self, state: Indices) -> Indices:
        """A copy of the indices; the engine's deep copy would cost more than the energy."""
        return [index.copy() for index in state]

    def move(self) -> float | None:
        """Transposes units; 0.0 where nothing changed, so that nothing is evaluated.

        The package stops after a step in which ``user_exit`` is set.
        """
        self.stopped_by = self._budget.exceeded(self._num_before + self.num_evaluations + 1)
        if self.stopped_by:
            self.user_exit = True
            return 0.0
        changed = self._swap(self.state, self._draws)
        return None if changed else 0.0

    def energy(self) -> float:
        """The energy of the present state; not finite counts as infinite."""
        self.num_evaluations += 1
        value = self._energy(self.state)
        return value if math.isfinite(value) else math.inf

    def update(self, step: int, _t: float, _e: float, acceptance: float | None, _i: float | None) -> None:
        """Notes the fraction of moves accepted since the last note, instead of printing it."""
        if acceptance is not None:
            self.acceptance.append(acceptance)


def _transpose(state: Indices, draws: stdlib_random.Random) -> bool:
    """Swaps two units in every group, in place; whether anything changed."""
    changed = False
    for index in state:
        a, b = draws.randrange(len(index)), draws.randrange(len(index))
        if a != b:
            index[a], index[b] = index[b], index[a]
            changed = True
    return changed


def _transpose_one(state: Indices, draws: stdlib_random.Random) -> bool:
    """Swaps two units in one group that has as many, in place; whether there is one."""
    groups = [index for index in state if len(index) >= 2]
    if not groups:
        return False
    index = groups[draws.randrange(len(groups))]
    a, b = draws.sample(range(len(index)), 2)
    index[a], index[b] = index[b], index[a]
    return True


def _temperatures(
    method: SimulatedAnnealing,
    energy: Energy,
    start: Indices,
    start_energy: float,
    draws: stdlib_random.Random,
    swap: Swap,
) -> tuple[float, float, int]:
    """Temperatures at the start and the end, in units of the energy, and the evaluations this took."""
    rises: list[float] = []
    if method.temperature_start == "auto":
        for _ in range(NUM_PROBES):
            state = [index.copy() for index in start]
            if swap(state, draws):
                rises.append(energy(state) - start_energy)
    hot, cold = from_probes(method, rises)
    return hot, cold, len(rises)


@contextmanager
def _private_simanneal(draws: stdlib_random.Random) -> Iterator[None]:
    """Inside, ``simanneal`` draws from ``draws`` and leaves the signal handlers alone.

    The one place that adapts a library which uses the global generator. It also sets a handler for
    SIGINT, which fails outside the main thread and would swallow a Ctrl-C in it.
    """
    module: Any = simanneal.anneal
    inert = SimpleNamespace(SIGINT=signal.SIGINT, signal=lambda *_: None)
    with _exclusive:
        before = module.random, module.signal
        module.random, module.signal = draws, inert
        try:
            yield
        finally:
            module.random, module.signal = before
