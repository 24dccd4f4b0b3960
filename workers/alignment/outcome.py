"""What an alignment returns, for one pair and for a batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from workers.alignment.networks import Network, state_of
from workers.params import Params
from workers.permutation import permute
from workers.permutation.permute import PermutationStack
from workers.permutation.spec import PermutationSpec

if TYPE_CHECKING:
    from workers.alignment.batch import Finding


@dataclass(frozen=True)
class SearchTrace:
    """How one chain or descent of a search went; all lists have one entry per point.

    Attributes:
        chain: Which chain of the search.
        evaluations: Evaluations made so far, ascending.
        seconds: Time since the search began.
        objective: Of the present state.
        best: The best objective so far.
        temperature: Of the last step, in units of the objective; empty where there is none.
        acceptance: Share of proposals accepted since the point before, in [0, 1]; empty likewise.
    """

    chain: int
    evaluations: Sequence[int]
    seconds: Sequence[float]
    objective: Sequence[float]
    best: Sequence[float]
    temperature: Sequence[float] = ()
    acceptance: Sequence[float] = ()


@dataclass(frozen=True)
class PairAlignment:
    """What a method found for one pair: how the second network is permuted, and how the search went.

    ``outcome`` is one of those of ``AlignmentResult``.
    """

    permutation: dict[str, Int64[Tensor, " W"]]
    objective: str
    objective_start: float
    objective_end: float
    num_evaluations: int
    outcome: str
    details: dict[str, Any]
    traces: tuple[SearchTrace, ...] = ()

    def finding(self, spec: PermutationSpec, seconds: float) -> Finding:
        """The same with the permutation of the first network, which stays."""
        from workers.alignment.batch import Finding, unmoved

        return Finding(
            permutations=(unmoved(spec), self.permutation),
            objective_start=self.objective_start,
            objective_end=self.objective_end,
            num_evaluations=self.num_evaluations,
            seconds=seconds,
            outcome=self.outcome,
            details=self.details,
            traces=self.traces,
        )

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


SENSES = {
    "none": 0,
    "weight_inner_product": 1,
    "activation_correlation": 1,
    "activation_inner_product": 1,
    "functional_difference": -1,
    "midpoint_loss": -1,
    "midpoint_loss_reset_bn": -1,
    "midpoint_error": -1,
    "average_error": -1,
    "pairwise_barrier": -1,
}
"""Objectives by name: 1 where more is better, -1 where less is.

``midpoint_loss`` interpolates batch-norm statistics like weights; for ``midpoint_loss_reset_bn`` they are
measured at the midpoint.
"""


@dataclass(frozen=True)
class AlignmentResult:
    """What ``align`` found for P groups of n networks.

    ``permutations`` has one entry per member, each a stack over the groups of networks; member 0 is
    never permuted. The ``objective`` is named with its sense in ``SENSES``; ``none`` has NaN for values.
    ``spec`` says where the permutations act. ``traces`` has, per group of networks, one trace per chain
    or descent, of methods that improve step by step.

    ``outcome`` is one of:

    - ``converged``: the method's own rule says that nothing improves further;
    - ``steps_done``: the steps asked for were made;
    - ``max_sweeps``: stopped before it converged; a larger bound of the method may help;
    - ``max_seconds``, ``max_evaluations``: the budget was used up; the best so far is returned;
    - ``exact``: no permutation is better;
    - ``sorted``, or ``ambiguous``: a canonical order, or one in which equal keys left a choice;
    - ``none_needed``, ``drawn``, ``planted``: identity, a random draw, the answer that was known;
    - ``mixed``: pairs of the same group of networks ended differently;
    - ``non_finite``: weights, or the objective at the start, are not finite; the identity is kept.
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
    traces: list[tuple[SearchTrace, ...]] = field(default_factory=list)

    def finding(self, index: int) -> Finding:
        """What was found for one of the groups of networks."""
        from workers.alignment.batch import Finding

        return Finding(
            permutations=[
                {group: stack[index] for group, stack in of_member.items()} for of_member in self.permutations
            ],
            objective_start=float(self.objective_start[index]),
            objective_end=float(self.objective_end[index]),
            num_evaluations=int(self.num_evaluations[index]),
            seconds=float(self.seconds[index]),
            outcome=self.outcome[index],
            details=self.details[index],
            traces=self.traces[index] if self.traces else (),
        )

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
