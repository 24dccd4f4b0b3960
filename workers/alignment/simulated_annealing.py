"""Simulated annealing over permutations of the second network, by ``simanneal``.

A move transposes two random units in every group; the energy is the loss or the error of the
midpoint (Entezari et al. 2021, appendix A.4, with the first of the two networks fixed).
"""

from __future__ import annotations

import math
import random as stdlib_random  # noqa: TID251  simanneal draws from this module; see _private_simanneal
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import numpy as np
import simanneal.anneal
import torch

from workers.alignment.batch import Batch, pair_by_pair
from workers.alignment.examples import Examples
from workers.alignment.methods import SimulatedAnnealing
from workers.alignment.midpoint import Indices, midpoint_energy
from workers.alignment.outcome import AlignmentResult, PairAlignment
from workers.params import Params
from workers.permutation import permute
from workers.permutation.spec import PermutationSpec
from workers.seeding import derive_seed

NUM_PROBES = 100
"""Random moves from the start whose uphill steps set the temperatures."""

ACCEPTED_AT_START = 0.1
"""``temperature_start`` accepts the mean uphill move of the probes with this probability."""

COOLING = 0.01
"""``temperature_end`` over ``temperature_start``."""

RULE = (
    f"T_start accepts the mean uphill step of {NUM_PROBES} random moves with probability "
    f"{ACCEPTED_AT_START}; T_end = {COOLING} T_start"
)

Energy = Callable[[Indices], float]

_exclusive = threading.Lock()


def anneal(method: SimulatedAnnealing, batch: Batch) -> AlignmentResult:
    """Pair by pair."""
    assert batch.examples is not None
    examples = batch.examples.subset(method.num_examples)

    def search(first: Params, second: Params, name: str) -> PairAlignment:
        return anneal_pair(method, first, second, batch.spec, name, examples)

    return pair_by_pair(search, batch, method.objective)


def anneal_pair(
    method: SimulatedAnnealing,
    first: Params,
    second: Params,
    spec: PermutationSpec,
    name: str,
    examples: Examples,
) -> PairAlignment:
    """The best permutation of ``second`` that the annealer visited; ``first`` stays.

    Steps are proposed moves. The objective at the end is never above that at the start, since the
    start counts among the states visited.
    """
    energy = midpoint_energy(examples, method.objective, first, second, spec)
    draws = stdlib_random.Random(derive_seed("alignment", name, "simulated_annealing"))
    start = _start(method, spec, name)
    start_energy = energy(start)
    if not math.isfinite(start_energy):
        return PairAlignment.non_finite(spec, method.objective, num_evaluations=1)
    hot, cold, num_probes = _temperatures(method, energy, start, start_energy, draws)
    with _private_simanneal(draws):
        annealer = _Annealer(start, energy, draws)
        annealer.Tmax, annealer.Tmin, annealer.steps = hot, cold, method.steps
        best, _ = annealer.anneal()
    best_energy = energy(best)
    return PairAlignment(
        permutation={group: torch.from_numpy(index) for group, index in zip(spec.groups, best, strict=True)},
        objective=method.objective,
        objective_start=start_energy,
        objective_end=best_energy,
        num_evaluations=2 + num_probes + annealer.num_evaluations,
        outcome="steps_done",
        details={
            "temperature_start": hot,
            "temperature_end": cold,
            "temperature_rule": RULE
            if "auto" in (method.temperature_start, method.temperature_end)
            else "given",
            "acceptance": annealer.acceptance,
            "engine": method.engine,
        },
    )


class _Annealer(simanneal.anneal.Annealer):  # type: ignore[misc]
    """The problem as ``simanneal`` wants it: a state, a move, an energy."""

    updates = 10  # how often the acceptance is noted

    def __init__(self, start: Indices, energy: Energy, draws: stdlib_random.Random) -> None:
        self._energy, self._draws = energy, draws
        self.num_evaluations = 0
        self.acceptance: list[float] = []
        super().__init__(start)

    def copy_state(self, state: Indices) -> Indices:
        """A copy of the indices; the engine's deep copy would cost more than the energy."""
        return [index.copy() for index in state]

    def move(self) -> float | None:
        """One transposition in every group; 0.0 where that changed nothing, so that nothing is evaluated."""
        changed = _transpose(self.state, self._draws)
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


def _start(method: SimulatedAnnealing, spec: PermutationSpec, name: str) -> list[np.ndarray]:
    """The state that the search starts from."""
    if method.start == "identity":
        return [np.arange(units) for units in spec.groups.values()]
    drawn = permute.random(spec, "alignment", name, "simulated_annealing", "start")
    return [drawn[group].numpy() for group in spec.groups]


def _temperatures(
    method: SimulatedAnnealing,
    energy: Energy,
    start: Indices,
    start_energy: float,
    draws: stdlib_random.Random,
) -> tuple[float, float, int]:
    """Temperatures at the start and the end, in units of the energy, and the evaluations this took."""
    hot, cold = method.temperature_start, method.temperature_end
    num_probes = 0
    if hot == "auto":
        uphill = []
        for _ in range(NUM_PROBES):
            state = [index.copy() for index in start]
            if _transpose(state, draws):
                num_probes += 1
                uphill.append(energy(state) - start_energy)
        uphill = [change for change in uphill if 0.0 < change < math.inf]
        # no move goes uphill: any temperature will do
        mean = sum(uphill) / len(uphill) if uphill else 1e-3
        hot = mean / -math.log(ACCEPTED_AT_START)
    if cold == "auto":
        cold = COOLING * hot
    return hot, cold, num_probes


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
