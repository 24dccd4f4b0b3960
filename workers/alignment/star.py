"""Methods that compare two networks, for more than two: each is aligned to the first."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

from torch import Tensor

from workers.alignment.batch import Batch, Finding, result_of, unmoved
from workers.alignment.outcome import AlignmentResult

Permutation = dict[str, Tensor]
Search = Callable[[Any, Batch], AlignmentResult]


def align_to_first(search: Search) -> Search:
    """The search of pairs as one of n networks.

    Member k gets its permutation from the pair (0, k). All other pairs are searched as well, and tell how
    far the pairs contradict one another: ``cycle_error`` is the share of units that the alignment of j
    to k places elsewhere than the way over the first network does, mean over the pairs j < k without the
    first. Objectives are those of the pairs with the first, in the mean; a search of n networks takes
    n (n - 1) / 2 times that of a pair.
    """

    def search_all(method: Any, batch: Batch) -> AlignmentResult:
        pairs = {
            (j, k): search(
                method,
                replace(
                    batch,
                    members=[batch.members[j], batch.members[k]],
                    names=[f"{name}/{j}-{k}" for name in batch.names],
                ),
            )
            for j, k in combinations(range(len(batch.members)), 2)
        }
        findings = [
            _joined(batch, {pair: found.finding(index) for pair, found in pairs.items()})
            for index in range(batch.num_groups)
        ]
        return result_of(findings, pairs[0, 1].objective, batch.spec)

    return search_all


def _joined(batch: Batch, pairs: dict[tuple[int, int], Finding]) -> Finding:
    """One group of n networks, from its pairs."""
    with_first = [pairs[0, k] for k in range(1, len(batch.members))]
    permutations = [unmoved(batch.spec), *(found.permutations[1] for found in with_first)]
    others = {(j, k): found.permutations[1] for (j, k), found in pairs.items() if j > 0}
    outcomes = {found.outcome for found in with_first}
    return Finding(
        permutations=permutations,
        objective_start=sum(found.objective_start for found in with_first) / len(with_first),
        objective_end=sum(found.objective_end for found in with_first) / len(with_first),
        num_evaluations=sum(found.num_evaluations for found in pairs.values()),
        seconds=sum(found.seconds for found in pairs.values()),
        outcome=outcomes.pop() if len(outcomes) == 1 else "mixed",
        details={
            "cycle_error": cycle_error(permutations, others),
            "pairs": [found.details for found in with_first],
        },
        traces=tuple(
            replace(trace, chain=number)
            for number, trace in enumerate(trace for found in with_first for trace in found.traces)
        ),
    )


def cycle_error(permutations: list[Permutation], pairs: dict[tuple[int, int], Permutation]) -> float:
    """Share of units on which direct alignments contradict those over the first network, in [0, 1].

    Args:
        permutations: Per member, what brings it to the first.
        pairs: (j, k) to what brings member k to member j.
    """
    wrong = total = 0
    for (j, k), direct in pairs.items():
        for group, index in direct.items():
            # at place p of the first meet unit P_j[p] of j and unit P_k[p] of k
            over_first = index.new_empty(index.shape)
            over_first[permutations[j][group]] = permutations[k][group]
            wrong += int((over_first != index).sum())
            total += index.numel()
    return wrong / total
