"""Budgets: when a search has to stop, and what it says then."""

from __future__ import annotations

import time
from dataclasses import dataclass, field

from workers.alignment.methods import Budgeted


@dataclass(frozen=True)
class Budget:
    """The bounds of one search, from the moment it began.

    A search asks ``exceeded`` where it could stop, and then returns the best that it has found.
    """

    max_seconds: float | None = None
    max_evaluations: int | None = None
    began: float = field(default_factory=time.perf_counter)

    @classmethod
    def of(cls, method: Budgeted) -> Budget:
        """The bounds of a method, from now on."""
        return cls(method.max_seconds, method.max_evaluations)

    @property
    def seconds(self) -> float:
        """Time since the search began."""
        return time.perf_counter() - self.began

    def exceeded(self, num_evaluations: int) -> str | None:
        """The bound that stops a search after so many evaluations, by name; None while it may go on."""
        if self.max_evaluations is not None and num_evaluations >= self.max_evaluations:
            return "max_evaluations"
        if self.max_seconds is not None and self.seconds >= self.max_seconds:
            return "max_seconds"
        return None

    def evaluations_left(self, num_evaluations: int) -> int | None:
        """Evaluations that may still be made; None without a bound."""
        return None if self.max_evaluations is None else max(0, self.max_evaluations - num_evaluations)
