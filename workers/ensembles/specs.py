"""What is asked of an ensemble: frozen values, free of torch.

Of a method, ``reads_networks`` says whether it looks at what the pair's networks were trained to,
``permutes`` whether it permutes the second one, ``learns_line`` whether it trains a line between two.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

from annotated_types import Ge

from workers.specs import Split

Regularizer = Literal["squared_cosine", "cosine"]


@dataclass(frozen=True, kw_only=True)
class Independent:
    """Two networks as they were trained: the control."""

    method: Literal["independent"] = "independent"
    reads_networks: ClassVar[bool] = True
    permutes: ClassVar[bool] = False
    learns_line: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True)
class _Permuted:
    """How the second network is permuted, as by alignment method ``functional_difference``."""

    assignment: Literal["greedy", "hungarian"] = "greedy"
    num_examples: Annotated[int, Ge(2)] | None = 2048


@dataclass(frozen=True, kw_only=True)
class _Learned:
    """How a line is held apart: ``strength`` times the cosine of its ends' weights, squared or as it is.

    At strength 0 nothing holds the ends apart.
    """

    strength: Annotated[float, Ge(0)] = 1.0
    regularizer: Regularizer = "squared_cosine"


@dataclass(frozen=True, kw_only=True)
class ByFunctionalDifference(_Permuted):
    """The second network's hidden units permuted by functional difference.

    Source: Entezari et al. 2021, appendices B and C.
    """

    method: Literal["functional_difference"] = "functional_difference"
    reads_networks: ClassVar[bool] = True
    permutes: ClassVar[bool] = True
    learns_line: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True)
class Subspace(_Learned):
    """A line learned from two independent initializations, those of the pair's networks.

    Source: Wortsman et al. 2021, algorithm 1 and equation 3, where the strength is 1.
    """

    method: Literal["subspace"] = "subspace"
    reads_networks: ClassVar[bool] = False
    permutes: ClassVar[bool] = False
    learns_line: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class SubspaceFunctionalDifference(_Permuted, _Learned):
    """A line learned from two trained networks, the second one permuted by functional difference.

    Source: Entezari et al. 2021, appendix C.
    """

    method: Literal["subspace_functional_difference"] = "subspace_functional_difference"
    reads_networks: ClassVar[bool] = True
    permutes: ClassVar[bool] = True
    learns_line: ClassVar[bool] = True


EnsembleMethod = Independent | ByFunctionalDifference | Subspace | SubspaceFunctionalDifference
ENSEMBLE_METHODS: dict[str, type[EnsembleMethod]] = {
    "independent": Independent,
    "functional_difference": ByFunctionalDifference,
    "subspace": Subspace,
    "subspace_functional_difference": SubspaceFunctionalDifference,
}
"""By name, in the order of table 3 of Entezari et al. 2021, behind the control."""


@dataclass(frozen=True, kw_only=True)
class EnsembleSpec:
    """One ensemble: a pair of networks by their ids, what is done to them, and where it is measured."""

    networks: tuple[str, str]
    method: EnsembleMethod
    splits: tuple[Split, ...]
