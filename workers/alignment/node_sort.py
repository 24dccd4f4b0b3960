"""Node sort: every network's units in a canonical order of its own, and the first network's places."""

from __future__ import annotations

import math
import time

from workers.alignment.batch import Batch, Finding, result_of, unmoved
from workers.alignment.methods import NodeSort
from workers.alignment.outcome import AlignmentResult
from workers.params import Params, row
from workers.permutation.canonical import CanonicalOrder, canonical_permutation
from workers.permutation.permute import compose, invert


def sort_nodes(method: NodeSort, batch: Batch) -> AlignmentResult:
    """Member k's units in the places of member 0's units of the same rank; member 0 stays.

    No two networks are compared: permuted copies fall on each other, and networks that were trained
    apart come hardly nearer. ``ambiguous_units`` in the details counts, for each member, the units that
    no key could put in order.

    Source: Sorensen 2020, algorithm 1, which its table 1 shows on networks trained apart.
    """
    findings = []
    for index in range(batch.num_groups):
        start = time.perf_counter()
        networks = [row(member, index) for member in batch.members]
        findings.append(_finding(method, networks, batch, start))
    return result_of(findings, "none", batch.spec)


def _finding(method: NodeSort, networks: list[Params], batch: Batch, start: float) -> Finding:
    """The orders of one group of networks."""
    orders: list[CanonicalOrder] = [
        canonical_permutation(network, batch.spec, method.key, power=method.power) for network in networks
    ]
    back = invert(orders[0].permutation)
    ambiguous = [order.ambiguous_units for order in orders]
    return Finding(
        permutations=[unmoved(batch.spec), *(compose(order.permutation, back) for order in orders[1:])],
        objective_start=math.nan,
        objective_end=math.nan,
        num_evaluations=0,
        seconds=time.perf_counter() - start,
        outcome="ambiguous" if any(ambiguous) else "sorted",
        details={"ambiguous_units": ambiguous},
    )
