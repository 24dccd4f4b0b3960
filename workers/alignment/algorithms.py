"""Which function carries out which method; each is imported when it is first used."""

from __future__ import annotations

from collections.abc import Callable
from importlib import import_module
from typing import Any

from workers.alignment import methods
from workers.alignment.batch import Batch
from workers.alignment.methods import Method
from workers.alignment.outcome import AlignmentResult

Algorithm = Callable[[Any, Batch], AlignmentResult]
"""A method of one type and a batch of groups of finite networks to their permutations."""

_ALGORITHMS: dict[type[Method], str] = {
    methods.Identity: "unsearched:identity",
    methods.Random: "unsearched:random",
    methods.WeightMatching: "weight_matching:match_weights",
    methods.ActivationMatching: "activation_matching:match_activations",
    methods.FunctionalDifference: "functional_difference:match_functions",
    methods.StraightThrough: "straight_through:match_straight_through",
    methods.Sinkhorn: "sinkhorn:match_by_sinkhorn",
    methods.CycleConsistent: "cycle_consistent:match_in_one_frame",
    methods.MergeMany: "merge_many:merge_many",
    methods.NodeSort: "node_sort:sort_nodes",
    methods.BruteForce: "brute_force:search_all",
    methods.SimulatedAnnealing: "simulated_annealing:anneal",
}


def algorithm_of(method: Method) -> Algorithm:
    """The function that carries out a method.

    Raises:
        ValueError: For ``oracle``, whose answer only the driver knows.
    """
    if isinstance(method, methods.Oracle):
        raise ValueError(
            "oracle undoes a permutation that a sweep planted: it has a meaning in worlds of a sweep alone"
        )
    module, _, function = _ALGORITHMS[type(method)].partition(":")
    found: Algorithm = getattr(import_module(f"workers.alignment.{module}"), function)
    return found
