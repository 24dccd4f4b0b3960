"""The words of the report."""

from __future__ import annotations

from lmc_sweep.report.model import Facts, Section
from lmc_sweep.report.scope import Scope

WORDS = (
    ("network", "one trained solution: data set, architecture, training and seed"),
    ("cell", "all that a group of networks share: everything but the seed"),
    ("real world", "pairs of networks that were trained independently"),
    (
        "our model",
        "a network and a random permutation of itself; a permutation that undoes it exists by construction",
    ),
    ("pair", "two networks that are joined by a straight segment of weights"),
    ("alignment", "permutations of hidden units, found by a method, that are applied before interpolation"),
    (
        "barrier",
        "the largest height, over the grid of alphas, of the loss (nats) or the error (fraction) along the "
        "segment above the straight line between its ends; at alpha 1/2: the height at the midpoint alone, "
        "which may be negative",
    ),
    (
        "correction",
        "what is done to an interpolated network before it is measured: none, reset_bn (statistics of batch "
        "norm computed anew) or repair (REPAIR)",
    ),
    (
        "train, test",
        "the examples on which a barrier is measured; train uses the labels that were trained on",
    ),
    ("solved", "left without a barrier: at most 1e-6"),
)


def words(_: Scope) -> Section:
    """What the words of the report mean."""
    return Section("words", "Words", (Facts(WORDS),))
