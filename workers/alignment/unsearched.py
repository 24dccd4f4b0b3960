"""The controls: no permutation, and a random one."""

from __future__ import annotations

import math

from workers.alignment.batch import Batch, Finding, result_of, unmoved
from workers.alignment.methods import Identity, Random
from workers.alignment.outcome import AlignmentResult
from workers.params import Params
from workers.permutation import permute


def identity(method: Identity, batch: Batch) -> AlignmentResult:
    """Nothing moves."""
    stay = [unmoved(batch.spec) for _ in batch.members]
    return result_of([_finding(stay, "none_needed") for _ in batch.names], "none", batch.spec)


def random(method: Random, batch: Batch) -> AlignmentResult:
    """Every member but the first gets a permutation of its own."""
    findings = []
    for name in batch.names:
        drawn = [
            permute.random(batch.spec, "alignment", name, "random", member)
            for member in range(1, len(batch.members))
        ]
        findings.append(_finding([unmoved(batch.spec), *drawn], "drawn"))
    return result_of(findings, "none", batch.spec)


def _finding(permutations: list[Params], outcome: str) -> Finding:
    """The result of a method without an objective."""
    return Finding(
        permutations=permutations,
        objective_start=math.nan,
        objective_end=math.nan,
        num_evaluations=0,
        seconds=0.0,
        outcome=outcome,
        details={},
    )
