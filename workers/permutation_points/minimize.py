"""Minimization of many functions at once by quasi-Newton steps, each at its own pace.

Every evaluation serves all functions of the stack: one is in the middle of a line search, another has just
found its next direction, a third begins anew because what it minimizes has changed. None waits for another.

The line search brackets the weak Wolfe conditions by bisection, which needs no second derivatives and holds
for functions with kinks as well.

Source:
    Lewis and Overton 2013, Nonsmooth optimization via quasi-Newton methods, algorithm 2.6.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from workers.permutation_points.curvature import Curvature, curvature_of, dot

Evaluate = Callable[[Float[Tensor, "N D"]], tuple[Float64[Tensor, " N"], Float[Tensor, "N D"]]]
"""From points to values and gradients, one function per row."""

_DECREASE, _CURVATURE = 1e-4, 0.9
_MOST_TRIALS = 40
"""Trials of one line search: forty halvings leave 1e-12 of a step."""
_SLACK = 8.0
"""Rounding errors of a value that do not count as a rise, in units of its last digit."""


@dataclass
class _Searches:
    """The line searches of all functions.

    ``fall`` is the slope along the direction; the step that is tried next lies between ``low`` and ``high``.
    ``is_fresh``: the point itself is to be evaluated. ``is_plain``: the direction is the gradient's.
    """

    direction: Tensor
    fall: Tensor
    step: Tensor
    low: Tensor
    high: Tensor
    num_trials: Tensor
    is_fresh: Tensor
    is_plain: Tensor


@dataclass
class Descent:
    """Where every function of a stack is on its way down.

    Attributes:
        points: The best point of each.
        values: There.
        gradients: There.
        is_stalled: Whether no step led lower, not even along the gradient: a kink, or the last digits.
        curvature: What was learned on the way.
    """

    points: Float[Tensor, "N D"]
    values: Float64[Tensor, " N"]
    gradients: Float[Tensor, "N D"]
    is_stalled: Bool[Tensor, " N"]
    curvature: Curvature
    _searches: _Searches

    @classmethod
    def start(cls, points: Float[Tensor, "N D"]) -> Descent:
        """Nothing has been evaluated yet."""
        num = len(points)
        zeros, no = points.new_zeros(num), torch.zeros(num, dtype=torch.bool)
        searches = _Searches(
            direction=torch.zeros_like(points),
            fall=zeros,
            step=zeros,
            low=zeros,
            high=torch.full_like(zeros, torch.inf),
            num_trials=torch.zeros(num, dtype=torch.int64),
            is_fresh=~no,
            is_plain=no,
        )
        values = torch.full((num,), torch.inf, dtype=torch.float64)
        return cls(points.clone(), values, torch.zeros_like(points), no, curvature_of(points), searches)

    def rows(self, index: Int64[Tensor, " rows"]) -> Descent:
        """Some of the functions."""
        searches = _Searches(**{name: part[index] for name, part in vars(self._searches).items()})
        return Descent(
            self.points[index],
            self.values[index],
            self.gradients[index],
            self.is_stalled[index],
            self.curvature.rows(index),
            searches,
        )

    def begin_anew(self, chosen: Bool[Tensor, " N"]) -> None:
        """What the chosen ones minimize has changed: they are evaluated where they stand.

        What was learned of the curvature stays; where it misleads, the plain gradient takes over.
        """
        self._searches.is_fresh = self._searches.is_fresh | chosen
        self.is_stalled = self.is_stalled & ~chosen

    def advance(self, evaluate: Evaluate) -> Bool[Tensor, " N"]:
        """One evaluation of all; returns which have a new point, and its value and gradient with it."""
        search = self._searches
        step = torch.where(search.is_fresh | self.is_stalled, 0.0, search.step)
        trial = self.points + step[:, None] * search.direction
        values, gradients = evaluate(trial)
        bound = self.values + (_DECREASE * search.step * search.fall).double() + self._rounding()
        falls = values <= bound
        turned = dot(gradients, search.direction) >= _CURVATURE * search.fall
        accepted = (search.is_fresh | (falls & turned)) & ~self.is_stalled
        searching = ~accepted & ~self.is_stalled
        self._narrow(searching, falls)
        self._learn(accepted & ~search.is_fresh, trial, gradients)
        self.points = torch.where(accepted[:, None], trial, self.points)
        self.values = torch.where(accepted, values, self.values)
        self.gradients = torch.where(accepted[:, None], gradients, self.gradients)
        search.is_fresh = search.is_fresh & ~accepted
        self._aim(accepted, searching & (search.num_trials >= _MOST_TRIALS))
        return accepted

    def _rounding(self) -> Tensor:
        """By how much a value may rise through rounding alone."""
        rounding: Tensor = self.values.abs() * (_SLACK * torch.finfo(self.points.dtype).eps)
        return rounding

    def _narrow(self, searching: Tensor, falls: Tensor) -> None:
        """The next step of those that search: twice the last, or between one too short and one too long."""
        search = self._searches
        search.low = torch.where(searching & falls, search.step, search.low)
        search.high = torch.where(searching & ~falls, search.step, search.high)
        between = torch.where(search.high.isinf(), 2 * search.step, (search.low + search.high) / 2)
        search.step = torch.where(searching, between, search.step)
        search.num_trials = search.num_trials + searching

    def _learn(self, chosen: Tensor, trial: Tensor, gradients: Tensor) -> None:
        """Takes in the steps along which the gradient turned upward."""
        moves, turns = trial - self.points, gradients - self.gradients
        kept = chosen & (dot(moves, turns) > 1e-10 * moves.norm(dim=1) * turns.norm(dim=1))
        if kept.any():
            self.curvature.learn(kept, moves, turns)

    def _aim(self, accepted: Tensor, lost: Tensor) -> None:
        """New directions and first steps of those that have a new point, or whose search was in vain.

        After a search in vain the plain gradient is tried; after that, nothing.
        """
        search = self._searches
        self.is_stalled = self.is_stalled | (lost & search.is_plain)
        self.curvature.forget(lost)
        direction = -self.curvature.times(self.gradients)
        fall = dot(direction, self.gradients)
        length = self.gradients.norm(dim=1)
        no_descent = ~(fall < -1e-12 * direction.norm(dim=1) * length)
        self.curvature.forget((accepted | lost) & no_descent)
        plain = ~self.curvature.knows() | no_descent
        direction = torch.where(plain[:, None], -self.gradients, direction)
        chosen = accepted | lost
        first = torch.where(plain, 1 / length.clamp(min=1.0), 1.0)
        search.fall = torch.where(chosen, torch.where(plain, -(length**2), fall), search.fall)
        search.step = torch.where(chosen, first, search.step)
        search.low = torch.where(chosen, 0.0, search.low)
        search.high = torch.where(chosen, torch.inf, search.high)
        search.direction = torch.where(chosen[:, None], direction, search.direction)
        search.is_plain = torch.where(chosen, plain, search.is_plain)
        search.num_trials = torch.where(chosen, 0, search.num_trials)
