"""What is minimized on the way to a permutation point, stage after stage.

A route has stages 0, 1, ...; at each, every network of a stack has variables of its own and a loss by them.
At the last one the two neurons are one. How a network gets from one stage to the next is the route's.

Source:
    Brea et al. 2019: algorithm 1 in appendix B, and the penalty of appendix C.1.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Float64, Int64
from torch import Tensor

from workers.permutation_points.kronecker import Bends, Kronecker, kronecker
from workers.permutation_points.merging import Merging
from workers.permutation_points.merging_slopes import slopes

Values = tuple[Float64[Tensor, " N"], Float[Tensor, "N D"]]


@runtime_checkable
class Route(Protocol):
    """The minimizations that lead each network of a stack to its permutation point."""

    @property
    def num_stages(self) -> int:
        """How many there are, the one at distance 0 included."""
        ...

    def start(self, flat: Float[Tensor, "N D"]) -> Float[Tensor, "N D"]:
        """The variables of the networks at stage 0."""
        ...

    def evaluate(self, variables: Float[Tensor, "N D"], stage: Int64[Tensor, " N"]) -> Values:
        """What is minimized at each network's stage, and its gradient by the variables."""
        ...

    def networks(self, variables: Float[Tensor, "N D"], stage: Int64[Tensor, " N"]) -> Float[Tensor, "N D"]:
        """The networks that variables of these stages stand for."""
        ...

    def losses(self, values: Float64[Tensor, " N"], networks: Float[Tensor, "N D"]) -> Float64[Tensor, " N"]:
        """The losses of networks, from the values of what was minimized."""
        ...

    def entered(
        self, variables: Float[Tensor, "N D"], stage: Int64[Tensor, " N"], chosen: Bool[Tensor, " N"]
    ) -> tuple[Float[Tensor, "N D"], Bool[Tensor, " N"]]:
        """The variables where the chosen networks have just come to these stages, and which now differ."""
        ...

    def expected(
        self, variables: Float[Tensor, "N D"], stage: Int64[Tensor, " N"], bends: Bends
    ) -> Kronecker | None:
        """How the losses bend there by the variables, as far as can be told beforehand; None: not at all."""
        ...

    def rows(self, index: Int64[Tensor, " rows"]) -> Route:
        """The routes of some of the networks."""
        ...


@dataclass(frozen=True)
class Shrinking:
    """The distance falls by a schedule; at each one, all else is minimized.

    Attributes:
        merging: The networks, and which two neurons of each.
        first: Their distances at the start.
        shares: Every distance as a share of the first; the last one is 0.
    """

    merging: Merging
    first: Float[Tensor, " N"]
    shares: Float[Tensor, " stages"]

    @property
    def num_stages(self) -> int:
        return len(self.shares)

    def start(self, flat: Tensor) -> Tensor:
        variables: Tensor = self.merging.variables(flat)
        return variables

    def evaluate(self, variables: Tensor, stage: Tensor) -> Values:
        return self.merging.constrained(variables, self.first * self.shares[stage])

    def networks(self, variables: Tensor, stage: Tensor) -> Tensor:
        found: Tensor = self.merging.networks(variables, self.first * self.shares[stage])
        return found

    def losses(self, values: Tensor, networks: Tensor) -> Tensor:
        return values

    def entered(self, variables: Tensor, stage: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
        last = chosen & (stage == self.num_stages - 1)
        if self.merging.held is None or not last.any():
            return variables, torch.zeros_like(chosen)
        before = self.merging.networks(variables, self.first * self.shares[(stage - 1).clamp(min=0)])
        return torch.where(last[:, None], self.merging.at_zero(before), variables), last

    def expected(self, variables: Tensor, stage: Tensor, bends: Bends) -> Kronecker | None:
        distances = self.first * self.shares[stage]
        networks = self.merging.networks(variables, distances)
        return kronecker(self.merging.loss, networks, bends, *slopes(self.merging, variables, distances))

    def rows(self, index: Tensor) -> Shrinking:
        return replace(self, merging=self.merging.of_rows(index), first=self.first[index])


@dataclass(frozen=True)
class Penalizing:
    """The squared distance costs more and more; at the end it is 0.

    No finite multiplier brings the distance to 0, where the penalty has no slope: the last stage does.

    Attributes:
        merging: The networks, and which two neurons of each.
        multipliers: By which the squared distance is added to the loss, stage by stage but the last.
    """

    merging: Merging
    multipliers: Float[Tensor, " stages_before"]

    @property
    def num_stages(self) -> int:
        return len(self.multipliers) + 1

    def start(self, flat: Tensor) -> Tensor:
        return flat

    def evaluate(self, variables: Tensor, stage: Tensor) -> Values:
        networks = self.networks(variables, stage)
        losses, gradient = self.merging.loss(networks)
        at_zero = self.merging.by_variables(variables, torch.zeros_like(variables[:, 0]), gradient)
        multipliers = torch.cat([self.multipliers, self.multipliers.new_zeros(1)])[stage]
        penalty = multipliers.double() * self.merging.distances(networks).double() ** 2
        by_weights = gradient + self.merging.pull(networks, multipliers)
        return losses + penalty, torch.where(self._is_last(stage)[:, None], at_zero, by_weights)

    def networks(self, variables: Tensor, stage: Tensor) -> Tensor:
        merged = self.merging.networks(variables, torch.zeros_like(variables[:, 0]))
        return torch.where(self._is_last(stage)[:, None], merged, variables)

    def losses(self, values: Tensor, networks: Tensor) -> Tensor:
        found: Tensor = self.merging.loss(networks)[0]
        return found

    def entered(self, variables: Tensor, stage: Tensor, chosen: Tensor) -> tuple[Tensor, Tensor]:
        last = chosen & self._is_last(stage)
        return torch.where(last[:, None], self.merging.at_zero(variables), variables), last

    def expected(self, variables: Tensor, stage: Tensor, bends: Bends) -> Kronecker | None:
        return None  # large multipliers bend far more than the loss

    def rows(self, index: Tensor) -> Penalizing:
        return replace(self, merging=self.merging.of_rows(index))

    def _is_last(self, stage: Tensor) -> Tensor:
        return stage == len(self.multipliers)
