"""Which statements about permutation points a measured one supports, and which it falsifies.

Every name is that of a statement of Brea et al. 2019, as printed there. A statement is tested where what it
presupposes was reached: where the reduced network could not be polished, nothing is said about criticality;
where polishing led far away, nothing about the end of the path.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:
    from workers.permutation_points.point import PermutationPoint

Statement = Literal[
    "lemma_1",
    "proposition_1_i",
    "proposition_1_ii_equal_loss",
    "proposition_1_ii_critical",
    "proposition_1_ii_zero_modes",
    "proposition_1_iii",
    "proposition_2_i",
    "proposition_2_ii",
    "lemma_3_critical",
]

MEANINGS: dict[Statement, str] = {
    "lemma_1": "the end of a path is a minimum of the network with one neuron fewer",
    "proposition_1_i": "a permutation point is a critical point",
    "proposition_1_ii_equal_loss": "it lies in a subspace of equal loss of n_{k+1} dimensions",
    "proposition_1_ii_critical": "all points of that subspace are critical",
    "proposition_1_ii_zero_modes": "the Hessian has n_{k+1} zero modes for it",
    "proposition_1_iii": "all orders of the layer are reached at equal loss",
    "proposition_2_i": "a point of order K is a critical point",
    "proposition_2_ii": "it lies in a subspace of equal loss of K n_{k+1} dimensions",
    "lemma_3_critical": "all points of that subspace are critical",
}

CRITICAL = 1e-9
"""Gradients that count as none, at permutation points of networks whose own are below ``POLISHED``."""
POLISHED = 1e-10
"""Gradients of reduced networks that count as none."""
NEAR = 1.0
"""How far polishing may move the weights of a network that still counts as the end of its path.

Of 47 polished ends of paths of random tanh networks, it moved 42 by 0.4 at most; five, whose minimization had
been cut short, by 6 to 21,000, towards weights without bound.
"""
SAME_OUTPUTS = 1e-10
"""Changes of outputs that count as none, as a share of the largest output or of 1."""


def verdicts(point: PermutationPoint) -> dict[Statement, bool]:
    """Of every statement that this point tests, whether it holds there."""
    first = point.order == 1
    found: dict[Statement, bool] = {}
    spans = point.subspace_dimension == point.num_zero_paper and point.subspace_deviation <= SAME_OUTPUTS
    found["proposition_1_ii_equal_loss" if first else "proposition_2_ii"] = spans
    if point.equal_loss_deviation is not None:
        found["proposition_1_iii"] = point.equal_loss_deviation <= SAME_OUTPUTS
    if point.critical is None:
        return found
    found["proposition_1_i" if first else "proposition_2_i"] = point.critical
    if point.plateau_gradient_norm is not None:
        found["proposition_1_ii_critical" if first else "lemma_3_critical"] = (
            point.plateau_gradient_norm <= CRITICAL
        )
    is_near = point.polish_distance is not None and point.polish_distance <= NEAR
    if first and is_near and point.num_negative_reduced is not None:
        found["lemma_1"] = point.num_negative_reduced == 0
    if first and point.num_zero_added is not None:
        found["proposition_1_ii_zero_modes"] = point.num_zero_added >= point.num_zero_paper
    return found
