"""A path from a network to itself with two neurons interchanged, measured from end to end.

With t as in Brea et al. 2019, section 2.1: from 0 to 1/4 two neurons come together; from there to 1/2 their
output weights become equal at constant outputs; then they change places, which moves nothing, and the way
back is the mirror image of the way there, up to t = 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from workers.permutation_points.kinds import PathKind, path_kind
from workers.permutation_points.losses import Loss
from workers.permutation_points.merging import Merging
from workers.permutation_points.paths import MergingPath, PathOutcome

_TOGETHER = 32
"""Networks of one path that are measured as one stack: how many decides over memory, never over digits."""


@dataclass(frozen=True)
class WholePath:
    """One path with its mirror image. Lists but the last three have an entry for every point of it.

    Attributes:
        pair: Neurons l and m.
        times: t, from 0 to 1.
        losses: At each point.
        errors: Shares of examples that are not told right; None without labels.
        distances: Length of theta_m - theta_l, biases included.
        output_distances: Length of the difference of their output weights.
        gradient_norms: Of the loss by all weights and biases.
        losses_between: Halfway between a point and the next one, on the straight line by weights.
        losses_entered: For every stage, the loss as its distance begins; empty for a penalty.
        free_gradient_norms: What minimization left of the gradient by its variables, for every stage.
        num_evaluations: Of loss and gradient, for every stage.
        outcomes: Why minimization ended, for every stage.
        point: The permutation point, in the middle.
    """

    pair: tuple[int, int]
    times: list[float]
    losses: list[float]
    errors: list[float] | None
    distances: list[float]
    output_distances: list[float]
    gradient_norms: list[float]
    losses_between: list[float]
    losses_entered: list[float]
    free_gradient_norms: list[float]
    num_evaluations: list[int]
    outcomes: list[PathOutcome]
    point: Float[Tensor, " D"]

    @property
    def num_before(self) -> int:
        """Points up to the middle, that one included."""
        return len(self.losses) // 2 + 1

    @property
    def barrier(self) -> float:
        """Height of the highest point above the first one."""
        return max(self.losses) - self.losses[0]

    @property
    def barrier_between(self) -> float:
        """The same with what lies halfway between the points: never below it."""
        return max(*self.losses, *self.losses_between) - self.losses[0]

    @property
    def barrier_entered(self) -> float | None:
        """The same with the losses at which minimization began; None for a penalty.

        Down to the next distance at once, then downhill: all points of that way are at most as high. That is
        so of the points that minimization accepts, and straight lines between minima may be far above.
        """
        if not self.losses_entered:
            return None
        return max(*self.losses, *self.losses_entered) - self.losses[0]

    @property
    def kind(self) -> PathKind:
        """Which of the paper's kinds it is, by its losses up to where both neurons are one."""
        return path_kind(self.losses[: self.num_before - 1])


def whole_path(loss: Loss, path: MergingPath, labels: Int64[Tensor, " B"] | None = None) -> WholePath:
    """The path, its last leg and its mirror image, every point of them measured.

    Args:
        loss: For this one network.
        path: From the network to where its two neurons are one.
        labels: Classes of the examples, where they have some.
    """
    half, times = _half(loss, path)
    back = _swapped(loss, path, half[:-1].flip(0))
    networks = torch.cat([half, back])
    losses, gradient_norms, errors = _measured(loss, networks, labels)
    between, _, _ = _measured(loss, (networks[1:] + networks[:-1]) / 2, None)
    merging = Merging.of(loss, path.layer, [path.pair] * len(networks))
    return WholePath(
        pair=path.pair,
        times=[*times, *(1 - time for time in reversed(times[:-1]))],
        losses=losses.tolist(),
        errors=None if errors is None else errors.tolist(),
        distances=merging.distances(networks).tolist(),
        output_distances=merging.output_distances(networks).tolist(),
        gradient_norms=gradient_norms.tolist(),
        losses_between=between.tolist(),
        losses_entered=list(path.entered),
        free_gradient_norms=list(path.gradient_norms),
        num_evaluations=list(path.num_evaluations),
        outcomes=list(path.outcomes),
        point=half[-1],
    )


def _half(loss: Loss, path: MergingPath) -> tuple[Float[Tensor, "points D"], list[float]]:
    """The networks up to the permutation point, and their t.

    Where both neurons are one, their output weights differ at first as they did at the last distance.
    """
    merging = Merging.of(loss, path.layer, [path.pair])
    point = path.networks[-1].unsqueeze(0)
    quarter = merging.with_difference_of(point, path.networks[-2].unsqueeze(0))
    last = len(path.networks) - 1
    times = [stage / (4 * last) for stage in range(last + 1)]
    return torch.cat([torch.stack(path.networks[:-1]), quarter, point]), [*times, 0.5]


def _swapped(loss: Loss, path: MergingPath, networks: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
    """The networks with neurons l and m interchanged."""
    found, shape = networks.clone(), loss.shape
    for place in (shape.neuron, shape.outgoing):
        first, second = (place(path.layer, index) for index in path.pair)
        found[:, first], found[:, second] = networks[:, second], networks[:, first]
    return found


def _measured(
    loss: Loss,
    networks: Float[Tensor, "N D"],
    labels: Int64[Tensor, " B"] | None,
) -> tuple[Float64[Tensor, " N"], Float64[Tensor, " N"], Float64[Tensor, " N"] | None]:
    """Losses, lengths of gradients, and errors of networks that share the targets of one."""
    losses, norms, errors = [], [], []
    for some in networks.split(_TOGETHER):
        values, gradients = loss(some)
        losses.append(values)
        norms.append(gradients.double().norm(dim=1))
        if labels is not None:
            errors.append(loss.errors(some, labels))
    return torch.cat(losses), torch.cat(norms), torch.cat(errors) if errors else None
