"""What the annealer minimizes for one group of networks, by the plain forward pass."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import combinations

import numpy as np
import torch
from torch import Tensor

from workers.alignment.examples import Examples
from workers.params import Params, ParamStack, concatenate, interpolated, stack
from workers.permutation import permute
from workers.permutation.spec import PermutationSpec

State = list[np.ndarray]
"""One int64 index per slot. A slot is a group of a member that moves: all of member 1, then of 2, ..."""

MAX_CHUNK_BYTES = 64e6
"""Activations of a forward pass at a time."""


@dataclass(frozen=True)
class Problem:
    """n networks, where their units may go, and what is minimized.

    The energy of a state is the mean over the *merges* of their error (or mean loss in nats) on the
    examples. A merge is the mean of some of the permuted members: of all n for ``midpoint_error``,
    ``midpoint_loss`` and ``average_error``, of two, for every pair, for ``pairwise_barrier``, which also
    subtracts what permutations leave alone, the mean error of the endpoints.

    Attributes:
        members: The networks; the first is never permuted.
        spec: Where the groups act.
        name: From which the random streams derive.
        examples: What it is measured on.
        objective: As in the method.
    """

    members: Sequence[Params]
    spec: PermutationSpec
    name: str
    examples: Examples
    objective: str
    merges: list[tuple[int, ...]] = field(init=False)

    def __post_init__(self) -> None:
        everyone = range(len(self.members))
        size = 2 if self.objective == "pairwise_barrier" else len(self.members)
        object.__setattr__(self, "merges", list(combinations(everyone, size)))

    @property
    def measures_loss(self) -> bool:
        """Loss in nats, or else error."""
        return self.objective == "midpoint_loss"

    @property
    def slot_sizes(self) -> list[int]:
        """Units of every slot of a state."""
        return [*self.spec.groups.values()] * (len(self.members) - 1)

    def identity(self) -> State:
        """Nothing moved."""
        return [np.arange(units) for units in self.slot_sizes]

    def state_of(self, permutations: Sequence[dict[str, Tensor]]) -> State:
        """The state that stands for one permutation per member."""
        return [one[group].cpu().numpy().copy() for one in permutations[1:] for group in self.spec.groups]

    def permutations_of(self, state: State) -> list[dict[str, Tensor]]:
        """One permutation per member; the first moves nothing."""
        slots = [np.arange(units) for units in self.spec.groups.values()] + state
        groups, num_groups = list(self.spec.groups), len(self.spec.groups)
        return [
            {group: torch.from_numpy(slots[k * num_groups + g].copy()) for g, group in enumerate(groups)}
            for k in range(len(self.members))
        ]

    @cached_property
    def endpoints(self) -> float:
        """What is subtracted: for ``pairwise_barrier`` the mean error of the members, else nothing."""
        if self.objective != "pairwise_barrier":
            return 0.0
        with torch.no_grad():
            wrong = float(scores(self.examples, stack(self.members), False).sum())
        return wrong / (len(self.members) * len(self.examples.labels))

    @property
    def num_endpoint_evaluations(self) -> int:
        """Forward passes that ``endpoints`` takes."""
        return len(self.members) if self.objective == "pairwise_barrier" else 0

    @property
    def denominator(self) -> int:
        """Examples times merges: what sums of scores are divided by."""
        return len(self.merges) * len(self.examples.labels)

    def energy(self, state: State) -> float:
        """The energy of a state, from its weights: permuted, averaged, and evaluated in full."""
        with torch.no_grad():
            found = scores(self.examples, self.merged(state), self.measures_loss)
        return float(found.sum()) / self.denominator - self.endpoints

    def merged(self, state: State) -> ParamStack:
        """The merges' weights, in a stack."""
        permuted = [
            permute.apply(stack([member]), {g: index.unsqueeze(0) for g, index in one.items()}, self.spec)
            for member, one in zip(self.members, self.permutations_of(state), strict=True)
        ]
        return concatenate([mean([permuted[k] for k in merge]) for merge in self.merges])


def mean(networks: Sequence[ParamStack]) -> ParamStack:
    """The mean of networks; of two, the midpoint as interpolation has it, bit for bit."""
    if len(networks) == 2:
        return interpolated(networks[0], networks[1], 0.5)
    return {
        name: sum((one[name] for one in networks[1:]), start=tensor) / len(networks)
        if tensor.is_floating_point()
        else tensor
        for name, tensor in networks[0].items()
    }


def scores(examples: Examples, networks: ParamStack, measures_loss: bool) -> Tensor:
    """Number of wrong predictions, or summed loss, of every network on all examples, float64 (N,)."""
    program, labels = examples.program, examples.labels
    some = next(iter(networks.values()))
    bytes_per_example = some.element_size() * program.floats_per_example() * len(some)
    chunk = max(1, int(MAX_CHUNK_BYTES / bytes_per_example))
    total = torch.zeros(len(some), dtype=torch.float64, device=labels.device)
    for start in range(0, len(labels), chunk):
        chosen = slice(start, start + chunk)
        total += score(program.logits(networks, examples.inputs[chosen]), labels[chosen], measures_loss)
    return total


def score(logits: Tensor, labels: Tensor, measures_loss: bool) -> Tensor:
    """The same of logits (..., C, B): float64, without the last two axes."""
    if measures_loss:
        chances = torch.log_softmax(logits, dim=-2)
        wanted = labels.expand(*logits.shape[:-2], 1, -1)
        return -chances.gather(-2, wanted).squeeze(-2).sum(dim=-1, dtype=torch.float64)
    # torch's max over classes is twenty times as fast as its argmax
    return (logits.max(dim=-2).indices != labels).sum(dim=-1).double()
