"""Paths of low loss from a minimum to a permutation point, where two of its neurons are one."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Literal

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from workers.permutation_points.curvature import LARGEST_DENSE
from workers.permutation_points.kronecker import Bends
from workers.permutation_points.losses import Loss
from workers.permutation_points.merging import Merging
from workers.permutation_points.minimize import Descent
from workers.permutation_points.routes import Penalizing, Route, Shrinking
from workers.permutation_points.specs import OutputWeights

PathOutcome = Literal["converged", "max_evaluations", "stalled"]


@dataclass(frozen=True, kw_only=True)
class DistanceSchedule:
    """How two neurons are brought together: at every stage, all else is minimized.

    Attributes:
        num_steps: Distances on a logarithmic scale, from the first down to the last; then 0 follows.
            Brea et al. 2019 take 200 in the toy of figure 2 and 100 on MNIST.
        smallest: The last distance as a share of the first; 1e-4 in both.
        gradient_norm: A minimum is reached where the gradient with respect to the free variables is as short.
        max_evaluations: Of loss and gradient, at one stage.
        output_weights: Those of both neurons are ``free``, as in Brea et al. 2019, or ``held`` at the length
            that they have together at the start, while the distance is above 0, and with ReLU the
            parameter vectors below at theirs (``merging``).
        multipliers: The smallest above 0 and the largest of a penalty on the squared distance, by which
            the distance falls instead: 0 first, then on a logarithmic scale. None: there is no penalty.
    """

    num_steps: int = 200
    smallest: float = 1e-4
    gradient_norm: float = 1e-6
    max_evaluations: int = 10_000
    output_weights: OutputWeights = "free"
    multipliers: tuple[float, float] | None = None

    def shares(self) -> Float64[Tensor, " steps"]:
        """Every distance as a share of the first: from 1 downward, and 0 at the end."""
        logarithms = torch.linspace(0, 1, self.num_steps, dtype=torch.float64)
        return torch.cat([self.smallest**logarithms, torch.zeros(1, dtype=torch.float64)])

    def penalties(self, multipliers: tuple[float, float]) -> Float64[Tensor, " steps"]:
        """What multiplies the squared distance, one for each stage but the last: 0, then upward."""
        smallest, largest = multipliers
        logarithms = torch.linspace(0, 1, self.num_steps - 1, dtype=torch.float64)
        rising = smallest * (largest / smallest) ** logarithms
        return torch.cat([torch.zeros(1, dtype=torch.float64), rising])

    def route(self, merging: Merging, starts: Float[Tensor, "N D"]) -> Route:
        """The minimizations that this asks for, from these networks."""
        if self.multipliers is not None:
            return Penalizing(merging, self.penalties(self.multipliers).to(starts.dtype))
        if self.output_weights == "held":
            merging = merging.holding(starts)
        return Shrinking(merging, merging.distances(starts), self.shares().to(starts.dtype))


@dataclass
class MergingPath:
    """One path from a network to the point where its neurons l and m have one parameter vector.

    Lists have an entry for every stage, in order; the last one is for distance 0.

    Attributes:
        layer, pair: The hidden layer, from 1, and its neurons l and m.
        distances: Length of theta_m - theta_l, biases included.
        losses: Minimal loss at this distance; of a penalty, the loss without it.
        entered: The loss as the distance has just become this one, all else as it was: from there
            minimization falls. Empty for a penalty, under which the loss alone may rise.
        gradient_norms: What was left of the gradient with respect to the free variables.
        num_evaluations: Of loss and gradient.
        outcomes: Why the minimization at this distance ended.
        networks: The vectors found, in the order of the distances.
    """

    layer: int
    pair: tuple[int, int]
    distances: list[float] = field(default_factory=list)
    losses: list[float] = field(default_factory=list)
    entered: list[float] = field(default_factory=list)
    gradient_norms: list[float] = field(default_factory=list)
    num_evaluations: list[int] = field(default_factory=list)
    outcomes: list[PathOutcome] = field(default_factory=list)
    networks: list[Float[Tensor, " D"]] = field(default_factory=list)


def find_paths(
    loss: Loss,
    starts: Float[Tensor, "N D"],
    layer: int,
    pairs: Sequence[tuple[int, int]],
    schedule: DistanceSchedule,
) -> list[MergingPath]:
    """A path for every network, along which two neurons of one hidden layer come together.

    All are followed at once, each at its own pace: whoever has reached the minimum at its distance goes on to
    the next one. What a path is does not depend on those beside it.

    Args:
        loss: One for every network.
        starts: The networks, at a minimum each.
        layer: The hidden layer, from 1.
        pairs: Neurons l and m for every network.

    Raises:
        ValueError: If a layer or neuron is not there, l is m, or both have one parameter vector already.

    Source:
        Brea et al. 2019, section 2.1 and algorithm 1.
    """
    merging = Merging.of(loss, layer, list(pairs))
    first = merging.distances(starts)
    if not first.all():
        pair = pairs[int((first == 0).nonzero()[0])]
        raise ValueError(
            f"neurons {pair[0]} and {pair[1]} of layer {layer} are one already: nothing to merge"
        )
    paths = [MergingPath(layer, pair) for pair in pairs]
    route = schedule.route(merging, starts)
    alive, stage = torch.arange(len(paths)), torch.zeros(len(paths), dtype=torch.int64)
    spent = torch.zeros(len(paths), dtype=torch.int64)
    descent = Descent.start(route.start(starts))
    bends = Bends.of(loss) if starts.shape[1] > LARGEST_DENSE and schedule.multipliers is None else None
    _expect(descent, route, stage, torch.arange(len(paths)), bends)
    while len(alive):
        descent.advance(lambda variables, at=stage, of=route: of.evaluate(variables, at))  # type: ignore[misc]
        spent += 1
        if schedule.multipliers is None:
            for row in (spent == 1).nonzero().flatten().tolist():
                paths[int(alive[row])].entered.append(float(descent.values[row]))
        norms = descent.gradients.norm(dim=1)
        reached = (norms <= schedule.gradient_norm) & descent.values.isfinite()
        done = reached | descent.is_stalled | (spent >= schedule.max_evaluations)
        if not done.any():
            continue
        index = done.nonzero().flatten()
        ended, of_ended = descent.rows(index), route.rows(index)
        networks = of_ended.networks(ended.points, stage[index])
        losses, distances = (
            of_ended.losses(ended.values, networks),
            merging.of_rows(alive[index]).distances(networks),
        )
        for k, row in enumerate(index.tolist()):
            path = paths[int(alive[row])]
            path.distances.append(float(distances[k]))
            path.losses.append(float(losses[k]))
            path.gradient_norms.append(float(norms[row]))
            path.num_evaluations.append(int(spent[row]))
            path.outcomes.append(_outcome(bool(reached[row]), bool(descent.is_stalled[row])))
            path.networks.append(networks[k].clone())
        stage[done] += 1
        spent[done] = 0
        stays = stage < route.num_stages
        if not stays.all():
            index = stays.nonzero().flatten()
            alive, stage, spent, done = (part[index] for part in (alive, stage, spent, done))
            route, descent = route.rows(index), descent.rows(index)
            if not len(alive):
                break
        descent.points, differ = route.entered(descent.points, stage, done)
        descent.curvature.forget(differ)
        _expect(descent, route, stage, done.nonzero().flatten(), bends)
        descent.begin_anew(done)
    return paths


def _expect(
    descent: Descent,
    route: Route,
    stage: Int64[Tensor, " N"],
    index: Int64[Tensor, " rows"],
    bends: Bends | None,
) -> None:
    """Has the next steps of some networks begin from how their losses bend where they now stand."""
    if bends is None or not len(index):
        return
    expected = route.rows(index).expected(descent.points[index], stage[index], bends)
    if expected is not None:
        descent.curvature.begin_from(index, expected)


def _outcome(reached: bool, stalled: bool) -> PathOutcome:
    """Why a minimization ended."""
    if reached:
        return "converged"
    return "stalled" if stalled else "max_evaluations"
