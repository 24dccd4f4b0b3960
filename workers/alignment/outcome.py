"""What an alignment returns, for one pair and for a batch."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from workers.alignment.networks import Network, state_of
from workers.params import Params
from workers.permutation import permute
from workers.permutation.permute import PermutationStack
from workers.permutation.spec import PermutationSpec


@dataclass(frozen=True)
class PairAlignment:
    """What a method found for one pair: how the second network is permuted, and how the search went.

    ``outcome`` is ``converged`` (no single assignment improves further), ``max_sweeps`` (stopped
    before that; a larger max_sweeps may help), ``steps_done`` (the steps asked for were made), or
    ``non_finite`` (weights, or the objective at the start, are not finite; nothing was searched).
    """

    permutation: dict[str, Int64[Tensor, " W"]]
    objective: str
    objective_start: float
    objective_end: float
    num_evaluations: int
    outcome: str
    details: dict[str, Any]

    @classmethod
    def non_finite(cls, spec: PermutationSpec, objective: str, num_evaluations: int = 0) -> PairAlignment:
        """The identity, for a pair that cannot be searched."""
        return cls(
            permutation={group: torch.arange(units) for group, units in spec.groups.items()},
            objective=objective,
            objective_start=math.nan,
            objective_end=math.nan,
            num_evaluations=num_evaluations,
            outcome="non_finite",
            details={},
        )


@dataclass(frozen=True)
class AlignmentResult:
    """What ``align`` found for P groups of n networks.

    ``permutations`` has one entry per member, each a stack over the groups of networks; member 0 is
    never permuted. The ``objective`` is named with its sense: ``weight_inner_product`` is maximized,
    ``midpoint_loss`` and ``midpoint_error`` are minimized; ``none`` has NaN for values. ``outcome``
    is one of those of ``PairAlignment``, ``none_needed`` for the identity, ``drawn`` for a random one.
    ``spec`` says where the permutations act.
    """

    permutations: list[PermutationStack]
    objective: str
    objective_start: Float64[Tensor, " P"]
    objective_end: Float64[Tensor, " P"]
    num_evaluations: Int64[Tensor, " P"]
    seconds: Float64[Tensor, " P"]
    outcome: list[str]
    details: list[dict[str, Any]]
    spec: PermutationSpec

    def apply(self, network: Network, member: int = 1) -> Params:
        """The state dict of one network after a member's permutation: the same function, re-ordered.

        Every tensor is a new one, buffers and tied tensors included, so that a module loads it strictly.

        Args:
            network: The member itself, as module or state dict; unchanged.
            member: Its position among those that were aligned.

        Raises:
            ValueError: If several groups of networks were aligned at once.
        """
        if len(self.outcome) != 1:
            raise ValueError(
                f"{len(self.outcome)} groups of networks were aligned: apply a stack's permutations with "
                "workers.permutation.permute.apply(stack, result.permutations[member], result.spec)"
            )
        state = {name: tensor.unsqueeze(0) for name, tensor in state_of(network).items()}
        permuted = permute.apply(state, self.permutations[member], self.spec)
        return {name: tensor[0] for name, tensor in permuted.items()}
