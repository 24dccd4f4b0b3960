"""The search of one group of networks: its start, its temperatures, its chains, and what comes out."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from workers.alignment.annealing import schedule
from workers.alignment.annealing.chain import Chain, Schedule
from workers.alignment.annealing.moves import Moves, drawn, movable
from workers.alignment.annealing.problem import Problem
from workers.alignment.annealing.starts import Start
from workers.alignment.batch import Finding
from workers.alignment.methods import SimulatedAnnealing

LOSS_SLACK = 1e-4
"""In nats: more than carried losses may be off; an error may be off by one example."""


class Course:
    """From the start of a search to its finding.

    ``num_evaluations`` counts those made so far but for the chains' proposals.
    """

    def __init__(self, method: SimulatedAnnealing, problem: Problem, start: Start, energy: float) -> None:
        self.problem, self._method, self._start, self._energy = problem, method, start, energy
        self.num_evaluations = 1 + problem.num_endpoint_evaluations
        self._can_move = bool(movable(problem.slot_sizes))
        needs_probes = method.temperature_start == "auto" and method.acceptance == "metropolis"
        left = self._evaluations_left()
        self._num_probes = min(schedule.NUM_PROBES if needs_probes else 0, left)
        num_steps = min(method.steps, (left - self._num_probes) // method.restarts)
        self.chains: list[Chain] = []
        if math.isfinite(energy) and self._can_move and num_steps:
            self.chains = [
                Chain(problem, method, number, start.state(number), num_steps)
                for number in range(method.restarts)
            ]
        self.is_probed = not self._num_probes
        self._is_out_of_time = False
        self.schedule = Schedule(*schedule.from_probes(method, []), method.steps)

    def _evaluations_left(self) -> int:
        """Evaluations that probes and proposals may still use; room is kept for the results."""
        if self._method.max_evaluations is None:
            return 2**62
        return max(0, self._method.max_evaluations - self.num_evaluations - self._method.restarts)

    @property
    def probes(self) -> Moves:
        """Random moves from the start that are never accepted."""
        moves, _ = next(
            drawn(
                self.problem.slot_sizes, self._method.moves == "every_group",
                self.problem.name, "simulated_annealing", "probes",
            )
        )  # fmt: skip
        moves.bounds[:] = -math.inf
        return moves.part(0, self._num_probes)

    def take_probes(self, energies: Sequence[float]) -> None:
        """Sets the temperatures by what the probes found, unless they were broken off."""
        self.num_evaluations += len(energies)
        if len(energies) == self._num_probes:
            rises = [energy - self._energy for energy in energies]
            self.schedule = Schedule(*schedule.from_probes(self._method, rises), self._method.steps)
            self.is_probed = True

    def leave_out_chains_that_never_began(self) -> None:
        """Where the time was up before."""
        begun = [chain for chain in self.chains if chain.has_begun]
        self._is_out_of_time = len(begun) < len(self.chains)
        self.chains = begun

    def settle(self) -> dict[int, float]:
        """The best states' energies in full, by chain: of the best, and of others that might be as good.

        Energies that were carried along have rounding errors, and may be wrong where logits overflowed: so
        the next best is evaluated as long as it could be the best.
        """
        found: dict[int, float] = {}
        least = self._energy
        slack = LOSS_SLACK if self.problem.measures_loss else 1.5 / self.problem.denominator
        for chain in sorted(self.chains, key=lambda chain: (chain.best_energy, chain.number)):
            if found and chain.best_energy > least + slack:
                break
            found[chain.number] = self.full_energy(chain)
            if found[chain.number] < least:
                least = found[chain.number]
        return found

    def full_energy(self, chain: Chain) -> float:
        """The energy of a chain's best state, in full."""
        return self._energy if self._is_start(chain) else self.problem.energy(chain.best)

    def _is_start(self, chain: Chain) -> bool:
        """Whether a chain's best state is the one whose energy is known already."""
        return all(np.array_equal(a, b) for a, b in zip(chain.best, self._start.state(0), strict=True))

    def finding(self, found: Mapping[int, float], seconds: float) -> Finding:
        """The best of the chains, or the start; ``found`` are energies in full, by chain."""
        state, energy, best_chain = self._start.state(0), self._energy, 0
        for chain in self.chains:
            if chain.number in found and found[chain.number] < energy:
                state, energy, best_chain = chain.best, found[chain.number], chain.number
        is_finite = math.isfinite(self._energy)
        num_full = sum(chain.number in found and not self._is_start(chain) for chain in self.chains)
        num_made = sum(chain.num_made for chain in self.chains)
        return Finding(
            permutations=self.problem.permutations_of(state if is_finite else self.problem.identity()),
            objective_start=self._energy if is_finite else math.nan,
            objective_end=energy if is_finite else math.nan,
            num_evaluations=self.num_evaluations + num_made + num_full,
            seconds=seconds,
            outcome=self._outcome() if is_finite else "non_finite",
            details=self._details(found, best_chain) if is_finite else {},
            traces=tuple(chain.trace for chain in self.chains),
        )

    def _outcome(self) -> str:
        """How the chains ended."""
        if self._is_out_of_time:
            return "max_seconds"
        if not self._can_move or (
            self.chains and all(chain.num_made == self._method.steps for chain in self.chains)
        ):
            return "steps_done"
        return "max_evaluations" if all(chain.is_done for chain in self.chains) else "max_seconds"

    def _details(self, found: Mapping[int, float], best_chain: int) -> dict[str, object]:
        """What else there is to tell."""
        greedy = self._method.acceptance == "greedy"
        energies = [found.get(chain.number, chain.best_energy) for chain in self.chains]
        details: dict[str, object] = {
            "temperature_start": 0.0 if greedy else self.schedule.hot if self.is_probed else None,
            "temperature_end": 0.0 if greedy else self.schedule.cold if self.is_probed else None,
            "temperature_rule": "none: greedy" if greedy else schedule.rule(self._method),
            "acceptance": self.chains[best_chain].acceptance if self.chains else [],
            "engine": self._method.engine,
            "best_chain": best_chain,
            "chains": [energy if math.isfinite(energy) else None for energy in energies],
            "drift": max((chain.drift for chain in self.chains), default=0.0),
        }
        if self._start.details is not None:
            details["start"] = self._start.details
        return details
