"""One chain: its proposals and schedule, the best state it has seen, and how it went."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from workers.alignment.annealing.moves import DOWNHILL, Moves, Steps, bounds, drawn, replay
from workers.alignment.annealing.problem import Problem, State
from workers.alignment.annealing.schedule import temperatures
from workers.alignment.methods import SimulatedAnnealing
from workers.alignment.outcome import SearchTrace

NUM_POINTS = 100
"""Points of a trace, spread evenly over the logarithm of the steps."""

NUM_PARTS = 10
"""Parts of a chain of which the acceptance is told."""


@dataclass(frozen=True)
class Schedule:
    """Temperatures at the start and the end, and over how many steps they fall."""

    hot: float
    cold: float
    steps: int

    def after(self, start: int, stop: int) -> np.ndarray:
        """T of the steps start + 1 to stop."""
        return temperatures(self.hot, self.cold, start, stop, self.steps)


class Chain:
    """The host's side of a chain: what it proposes next, and what it remembers.

    ``num_steps`` is how many of the method's steps it makes: fewer where evaluations are bounded.
    """

    def __init__(
        self, problem: Problem, method: SimulatedAnnealing, number: int, start: State, num_steps: int
    ) -> None:
        self.number, self.start, self.num_steps = number, start, num_steps
        self.best, self.best_energy, self.energy = start, np.inf, np.inf
        self.num_made, self.drift = 0, 0.0
        self._is_greedy = method.acceptance == "greedy"
        self._stream = drawn(
            problem.slot_sizes, method.moves == "every_group",
            problem.name, "simulated_annealing", "chain", number,
        )  # fmt: skip
        self._ahead, self._uniform = next(self._stream)
        self._taken = 0
        self._steps = method.steps
        self._points: list[int] = np.unique(np.geomspace(1, method.steps, NUM_POINTS).astype(int)).tolist()
        self._trace: list[tuple[int, float, float, float, float, float]] = []
        self._last_point = (0, 0)
        self._num_accepted = 0
        self._accepted_in, self._made_in = np.zeros(NUM_PARTS), np.zeros(NUM_PARTS)

    @property
    def has_begun(self) -> bool:
        """Whether it was given a schedule, though it may have made no step."""
        return bool(self._trace)

    @property
    def is_done(self) -> bool:
        """Whether all steps are made."""
        return self.num_made >= self.num_steps

    def begin(self, schedule: Schedule, num_before: int, energy: float, seconds: float) -> None:
        """Notes the start, and by what temperatures and after how many evaluations it begins."""
        self._schedule, self._num_before = schedule, num_before
        self.best_energy = self.energy = energy
        self._trace.append(
            (num_before, seconds, energy, energy, 0.0 if self._is_greedy else schedule.hot, 0.0)
        )
        self._set_bounds()

    def _set_bounds(self) -> None:
        """By how much the energy may rise in the moves drawn together."""
        if self._is_greedy:
            self._ahead.bounds[:] = DOWNHILL
        else:
            cooled = self._schedule.after(self.num_made, self.num_made + len(self._uniform))
            self._ahead.bounds[:] = bounds(self._uniform, cooled)

    def propose(self, at_most: int) -> Moves:
        """The next moves, no more than are left of those drawn together."""
        if self._taken == len(self._ahead):
            self._ahead, self._uniform = next(self._stream)
            self._taken = 0
            self._set_bounds()
        stop = min(self._taken + at_most, len(self._ahead), self._taken + self.num_steps - self.num_made)
        return self._ahead.part(self._taken, stop)

    def note(self, before: State, moves: Moves, steps: Steps, began: float, ended: float) -> None:
        """Remembers what became of the moves that were proposed last.

        Args:
            before: The state that they started from.
            moves: What was proposed.
            steps: What became of it.
            began: Seconds of the search when they were proposed.
            ended: Seconds when they were done.
        """
        first, last = self.num_made + 1, self.num_made + len(moves)
        accepted = self._num_accepted + np.cumsum(steps.accepted)
        lows = np.minimum(np.minimum.accumulate(steps.present), self.best_energy)
        for k in [k for k in self._points if first <= k <= last]:
            seconds = began + (ended - began) * (k - self.num_made) / len(moves)
            at = k - first
            self._note_point(k, seconds, float(steps.present[at]), float(lows[at]), int(accepted[at]))
        lowest = int(np.argmin(steps.present))  # the earliest of equals
        if steps.present[lowest] < self.best_energy:
            self.best_energy = float(steps.present[lowest])
            self.best = replay(before, moves.part(0, lowest + 1), steps.accepted[: lowest + 1])
        self.energy = float(steps.present[-1])
        part = (np.arange(first, last + 1) - 1) * NUM_PARTS // self._steps
        np.add.at(self._accepted_in, part, steps.accepted)
        np.add.at(self._made_in, part, 1)
        self._num_accepted = int(accepted[-1])
        self._taken += len(moves)
        self.num_made = last

    def end(self, seconds: float, drift: float) -> None:
        """Notes the end, where the trace has not come to it, and how far energies had drifted."""
        self.drift = drift
        if self.num_made > self._last_point[0]:
            self._note_point(self.num_made, seconds, self.energy, self.best_energy, self._num_accepted)

    @property
    def acceptance(self) -> list[float]:
        """Share of proposals accepted in each tenth of the steps, as far as they were made."""
        made = self._made_in > 0
        return [float(share) for share in self._accepted_in[made] / self._made_in[made]]

    @property
    def trace(self) -> SearchTrace:
        """How it went."""
        return SearchTrace(self.number, *(list(column) for column in zip(*self._trace, strict=True)))

    def _note_point(self, k: int, seconds: float, energy: float, best: float, num_accepted: int) -> None:
        """Adds the point of the trace after step k."""
        since, accepted_before = self._last_point
        hot = 0.0 if self._is_greedy else float(self._schedule.after(k - 1, k)[0])
        acceptance = (num_accepted - accepted_before) / (k - since)
        self._trace.append((self._num_before + k, seconds, energy, best, hot, acceptance))
        self._last_point = (k, num_accepted)
