"""Simulated annealing: which engine carries it out."""

from __future__ import annotations

from workers.alignment.annealing import reference, search
from workers.alignment.batch import Batch
from workers.alignment.methods import SimulatedAnnealing
from workers.alignment.outcome import AlignmentResult


def anneal(method: SimulatedAnnealing, batch: Batch) -> AlignmentResult:
    """The best permutations visited; the first member stays."""
    engine = {"batched": search.anneal, "simanneal": reference.anneal}[method.engine]
    return engine(method, batch)
