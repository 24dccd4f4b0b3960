"""The alignment methods as frozen values, free of torch: what to search, not how.

``METHODS`` is the one place where a name becomes a method. ``max_members`` says how many networks a
method can align at once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge, Gt

from workers.specs import neutral


@dataclass(frozen=True, kw_only=True)
class Identity:
    """No permutation: the control that every other method is compared with."""

    method: Literal["identity"] = "identity"
    max_members: ClassVar[int | None] = None


@dataclass(frozen=True, kw_only=True)
class Random:
    """An independent uniform permutation of every group of every member but the first."""

    method: Literal["random"] = "random"
    max_members: ClassVar[int | None] = None


@dataclass(frozen=True, kw_only=True)
class WeightMatching:
    """Coordinate descent over groups on the inner product of the weights, one assignment at a time.

    ``restarts`` counts the descents: the first from the identity, the second from a permutation grown
    from the inputs and outputs inward, further ones from random permutations. One descent recovered
    planted permutations of MLPs of depth 6 in 70 to 100 of 100 trials, fewest at width 3; two in all.

    Source: Ainsworth, Hayase, Srinivasa 2022 (Git Re-Basin), algorithm 1.
    """

    method: Literal["weight_matching"] = "weight_matching"
    restarts: Annotated[int, Ge(1)] = 5
    max_sweeps: Annotated[int, Ge(1)] = 100
    tolerance: Annotated[float, Ge(0)] = 1e-12
    max_members: ClassVar[int | None] = 2


@dataclass(frozen=True, kw_only=True)
class SimulatedAnnealing:
    """Metropolis search over transpositions on the loss or the error of the midpoint.

    Temperatures are in units of the energy; ``auto`` measures them at the start. ``num_examples`` is
    the size of a fixed seeded subset of the training examples on which the energy is measured; without
    it, all of them.

    Source: Entezari et al. 2021, appendix A.4, with the search space reduced to one permuted network.
    """

    method: Literal["simulated_annealing"] = "simulated_annealing"
    objective: Literal["midpoint_error", "midpoint_loss"] = "midpoint_error"
    steps: Annotated[int, Ge(1)] = 50_000
    start: Literal["identity", "random"] = "identity"
    temperature_start: Annotated[float, Gt(0)] | Literal["auto"] = "auto"
    temperature_end: Annotated[float, Gt(0)] | Literal["auto"] = "auto"
    num_examples: Annotated[int, Ge(1)] | None = None
    engine: Literal["simanneal"] = neutral("simanneal")
    max_members: ClassVar[int | None] = 2


Method = Identity | Random | WeightMatching | SimulatedAnnealing

METHODS: dict[str, type[Method]] = {
    "identity": Identity,
    "random": Random,
    "weight_matching": WeightMatching,
    "simulated_annealing": SimulatedAnnealing,
}
