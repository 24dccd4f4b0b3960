"""What a method is handed: P groups of n networks, how they are called, what they are judged on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from workers.alignment.examples import Examples
from workers.alignment.outcome import AlignmentResult, SearchTrace
from workers.params import ParamStack, rows
from workers.permutation import permute
from workers.permutation.permute import PermutationStack
from workers.permutation.spec import PermutationSpec

DEFAULT_MAX_BYTES = 2e9


@dataclass(frozen=True)
class Batch:
    """P groups of n networks that are aligned by one method.

    Attributes:
        members: n stacks of P networks, float weights on one device; all finite.
        spec: Where the groups of units act.
        names: P names, from which the random streams of each group of networks derive.
        examples: Training examples, for methods that look at them.
        max_bytes: Bound of the memory that a search may take for its caches and copies.
    """

    members: Sequence[ParamStack]
    spec: PermutationSpec
    names: Sequence[str]
    examples: Examples | None = None
    max_bytes: float = DEFAULT_MAX_BYTES

    @property
    def num_groups(self) -> int:
        """P."""
        return len(self.names)

    def rows(self, chosen: Sequence[int]) -> Batch:
        """Some of the groups of networks."""
        return replace(
            self,
            members=[rows(member, chosen) for member in self.members],
            names=[self.names[index] for index in chosen],
        )

    def required_examples(self, num_examples: int | None) -> Examples:
        """A fixed seeded subset of the examples, the same for all groups of networks; all if None.

        At most as many as there are.
        """
        assert self.examples is not None, "align refuses methods that need examples without them"
        if num_examples is None or num_examples >= len(self.examples.labels):
            return self.examples
        return self.examples.subset(num_examples)


@dataclass(frozen=True)
class Finding:
    """What a search found for one group of n networks; ``permutations`` has an entry per member."""

    permutations: Sequence[dict[str, Tensor]]
    objective_start: float
    objective_end: float
    num_evaluations: int
    seconds: float
    outcome: str
    details: dict[str, Any]
    traces: tuple[SearchTrace, ...] = ()


def result_of(findings: Sequence[Finding], objective: str, spec: PermutationSpec) -> AlignmentResult:
    """The findings of P groups of networks as one result."""
    num_members = len(findings[0].permutations)
    return AlignmentResult(
        permutations=[stacked([one.permutations[m] for one in findings]) for m in range(num_members)],
        objective=objective,
        objective_start=torch.tensor([one.objective_start for one in findings], dtype=torch.float64),
        objective_end=torch.tensor([one.objective_end for one in findings], dtype=torch.float64),
        num_evaluations=torch.tensor([one.num_evaluations for one in findings]),
        seconds=torch.tensor([one.seconds for one in findings], dtype=torch.float64),
        outcome=[one.outcome for one in findings],
        details=[one.details for one in findings],
        spec=spec,
        traces=[one.traces for one in findings],
    )


def stacked(permutations: Sequence[dict[str, Tensor]]) -> PermutationStack:
    """Permutations of single networks as one of a stack."""
    return {group: torch.stack([one[group] for one in permutations]) for group in permutations[0]}


def unmoved(spec: PermutationSpec) -> dict[str, Tensor]:
    """The identity of one network."""
    return {group: index[0] for group, index in permute.identity(spec, 1).items()}
