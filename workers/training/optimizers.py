"""How weights follow from gradients: one network by fused kernels, or a stack with a rate for each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from workers.specs import TrainingSpec

ADAM_BETA2 = 0.999
ADAM_EPSILON = 1e-8

Moments = list[list[Tensor]]
"""For each running average of the optimizer, one tensor per weight; zero at rest."""


@runtime_checkable
class Optimizer(Protocol):
    """A rule that a network's weights follow."""

    num_moments: ClassVar[int]
    """Running averages kept per weight."""

    def step(
        self,
        weights: list[Tensor],
        gradients: list[Tensor],
        moments: Moments,
        num_steps: int,
        rate: float,
        decay: float,
    ) -> None:
        """Takes one step of one network in place; ``num_steps`` counts from 1, this one included."""
        ...

    def step_stack(
        self,
        weights: Float[Tensor, "N weights"],
        gradient: Float[Tensor, "N weights"],
        moments: list[Tensor],
        num_steps: Sequence[int],
        rates: Float[Tensor, "N 1"],
        decays: Float[Tensor, "N 1"] | None,
    ) -> None:
        """Takes one step of every network of a stack in place; ``gradient`` is overwritten.

        Where no weight decays, ``decays`` is None. No operation rounds once for a product and a sum together:
        on a CPU, whether such a one does depends on where an entry stands among the others, and so on the
        company.
        """
        ...


def optimizer_of(training: TrainingSpec) -> Optimizer:
    """The rule that a spec names."""
    if training.optimizer not in _OPTIMIZERS:
        raise ValueError(f"unknown optimizer {training.optimizer!r}; known are {', '.join(_OPTIMIZERS)}")
    return _OPTIMIZERS[training.optimizer](training.momentum)


@dataclass(frozen=True)
class SGD:
    """``torch.optim.SGD``: v <- momentum * v + gradient + weight_decay * w, then w <- w - rate * v."""

    momentum: float
    num_moments: ClassVar[int] = 1

    def step(
        self,
        weights: list[Tensor],
        gradients: list[Tensor],
        moments: Moments,
        num_steps: int,
        rate: float,
        decay: float,
    ) -> None:
        """One step of one network, in place."""
        torch._fused_sgd_(
            weights,
            gradients,
            moments[0] if self.momentum else [],
            weight_decay=decay,
            momentum=self.momentum,
            lr=rate,
            dampening=0.0,
            nesterov=False,
            maximize=False,
            is_first_step=False,
        )

    def step_stack(
        self,
        weights: Float[Tensor, "N weights"],
        gradient: Float[Tensor, "N weights"],
        moments: list[Tensor],
        num_steps: Sequence[int],
        rates: Float[Tensor, "N 1"],
        decays: Float[Tensor, "N 1"] | None,
    ) -> None:
        """One step of every network, in place."""
        (velocity,) = moments
        if decays is not None:
            gradient.add_(weights * decays)
        velocity.mul_(self.momentum).add_(gradient)
        weights.sub_(velocity * rates)


@dataclass(frozen=True)
class Adam:
    """``torch.optim.Adam`` with beta1 of the spec's momentum; weight decay enters the gradient.

    m <- beta1 * m + (1 - beta1) * g        s <- beta2 * s + (1 - beta2) * g^2
    w <- w - rate / (1 - beta1^t) * m / (sqrt(s / (1 - beta2^t)) + epsilon)
    """

    beta1: float
    num_moments: ClassVar[int] = 2

    def step(
        self,
        weights: list[Tensor],
        gradients: list[Tensor],
        moments: Moments,
        num_steps: int,
        rate: float,
        decay: float,
    ) -> None:
        """One step of one network, in place."""
        torch._fused_adam_(
            weights,
            gradients,
            moments[0],
            moments[1],
            [],
            [torch.tensor(float(num_steps), device=weights[0].device)] * len(weights),
            lr=rate,
            beta1=self.beta1,
            beta2=ADAM_BETA2,
            weight_decay=decay,
            eps=ADAM_EPSILON,
            amsgrad=False,
            maximize=False,
        )

    def step_stack(
        self,
        weights: Float[Tensor, "N weights"],
        gradient: Float[Tensor, "N weights"],
        moments: list[Tensor],
        num_steps: Sequence[int],
        rates: Float[Tensor, "N 1"],
        decays: Float[Tensor, "N 1"] | None,
    ) -> None:
        """One step of every network, in place."""
        mean, square = moments
        if decays is not None:
            gradient.add_(weights * decays)
        mean.mul_(self.beta1).add_(gradient * (1.0 - self.beta1))
        square.mul_(ADAM_BETA2).add_(gradient.square_().mul_(1.0 - ADAM_BETA2))
        of_mean, of_square = (
            torch.tensor([[1.0 - beta**number] for number in num_steps], dtype=torch.float64).to(weights)
            for beta in (self.beta1, ADAM_BETA2)
        )
        root = torch.sqrt(square, out=gradient).div_(of_square.sqrt_()).add_(ADAM_EPSILON)
        weights.sub_(torch.div(mean, root, out=gradient).mul_(rates / of_mean))


_OPTIMIZERS: dict[str, type[SGD] | type[Adam]] = {"sgd": SGD, "adam": Adam}
