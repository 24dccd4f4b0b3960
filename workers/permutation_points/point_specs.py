"""What is asked of permutation points; free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import Ge, Le


@dataclass(frozen=True, kw_only=True)
class PermutationPointsSpec:
    """What is measured where two neurons of a path have become one.

    Attributes:
        hessian: Whether the reduced network is polished and second derivatives are taken, which needs an
            activation that has them. Without: losses, gradients, kinks and paths of equal loss.
        lowest: How many of the smallest eigenvalues are kept.
        order: Up to which order points are made of the reduced network (Brea et al. 2019, definition 6). One
            point for every way to share K copies among neurons. By how often each repeated neuron stands
            there: [2] for K = 1, [3] and [2, 2] for K = 2.
        equal_loss: Whether the layer is permuted at random along a path of equal loss.
    """

    hessian: bool = True
    lowest: Annotated[int, Ge(1), Le(500)] = 50
    order: Annotated[int, Ge(1), Le(6)] = 1
    equal_loss: bool = True
