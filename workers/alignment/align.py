"""The verb: permutations for the members of one group of networks, or of many groups at once."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import cast

import torch
from torch import Tensor, nn

from workers.alignment.methods import Identity, Method, Random, SimulatedAnnealing, WeightMatching
from workers.alignment.midpoint import MidpointObjective
from workers.alignment.networks import Network, spec_of, stacks_of_one
from workers.alignment.outcome import AlignmentResult, PairAlignment
from workers.device import tf32
from workers.params import Params, ParamStack, num_networks, row
from workers.permutation import permute
from workers.permutation.permute import PermutationStack
from workers.permutation.spec import PermutationSpec

__all__ = ["AlignmentResult", "MidpointObjective", "align"]


def align(
    method: Method,
    members: Sequence[ParamStack] | Sequence[Network],
    spec: PermutationSpec | None = None,
    *,
    names: Sequence[str] | None = None,
    objective: MidpointObjective | None = None,
    example_input: Tensor | None = None,
) -> AlignmentResult:
    """Permutations that bring the members of P groups of n networks together.

    Of two networks, as modules::

        found = align(WeightMatching(), [first, second], example_input=images[:1])
        second.load_state_dict(found.apply(second))  # the same function, its units in first's order

    Any ``nn.Module`` will do whose forward pass can be traced: where its hidden units can be permuted is
    derived from it, and proved by a random permutation. A state dict may stand for a module beside
    another one. Of batch norm, the statistics are permuted along, and do not enter what is matched.

    Of P groups at once, give each member as a stack of P networks, with ``spec`` and ``names``: row p of
    every member is group p. Its result depends on its weights, its name and the method alone, not on
    what shares the batch. Where weights are not finite, the outcome is ``non_finite`` and the identity
    is returned.

    Args:
        method: One of ``workers.alignment.methods``.
        members: n modules or state dicts; or, with ``names``, n stacks of P networks. Unchanged.
        spec: Where the groups of units act. It may be left out where a member is a module.
        names: P names, from which the random streams of each group of networks derive. Left out, the
            members are single networks, of a fixed name.
        objective: The examples for methods that search on the midpoint's loss or error.
        example_input: A batch for the module, to derive the spec; values do not matter. It may be left
            out where the first layer with parameters is linear.

    Raises:
        ValueError: If the method takes fewer members, names or rows are not P, the members differ in
            their tensors, no spec can be derived, or the objective is missing.
    """
    if names is None or any(isinstance(member, nn.Module) for member in members):
        spec = spec or spec_of(members, example_input)
        members, names = stacks_of_one(members), names or (SINGLE,)
    if spec is None:
        raise ValueError("stacks of networks are aligned by a spec: derive_permutation_spec gives a module's")
    members = cast(Sequence[ParamStack], members)
    batch = _Batch(members, spec, names, objective)
    _check(method, batch)
    with tf32(False):
        return _ALGORITHMS[type(method)](method, batch)


SINGLE = "pair"
"""The name of networks that are aligned alone, and given none."""


@dataclass(frozen=True)
class _Batch:
    """What is to be aligned."""

    members: Sequence[ParamStack]
    spec: PermutationSpec
    names: Sequence[str]
    objective: MidpointObjective | None


def _identity(method: Method, batch: _Batch) -> AlignmentResult:
    """Nothing moves."""
    permutations = [permute.identity(batch.spec, len(batch.names)) for _ in batch.members]
    return _unsearched(batch, permutations, "none_needed")


def _random(method: Method, batch: _Batch) -> AlignmentResult:
    """Every member but the first gets a permutation of its own."""
    permutations = [permute.identity(batch.spec, len(batch.names))]
    for member in range(1, len(batch.members)):
        drawn = [permute.random(batch.spec, "alignment", name, "random", member) for name in batch.names]
        permutations.append(_stack(drawn))
    return _unsearched(batch, permutations, "drawn")


def _weight_matching(method: Method, batch: _Batch) -> AlignmentResult:
    """Pair by pair."""
    from workers.alignment.weight_matching import OBJECTIVE, match_weights

    assert isinstance(method, WeightMatching)

    def search(first: Params, second: Params, name: str) -> PairAlignment:
        return match_weights(method, first, second, batch.spec, name)

    return _pair_by_pair(search, batch, OBJECTIVE)


def _simulated_annealing(method: Method, batch: _Batch) -> AlignmentResult:
    """Pair by pair."""
    from workers.alignment.simulated_annealing import anneal

    assert isinstance(method, SimulatedAnnealing)
    objective = batch.objective
    assert objective is not None

    def search(first: Params, second: Params, name: str) -> PairAlignment:
        return anneal(method, first, second, batch.spec, name, objective)

    return _pair_by_pair(search, batch, method.objective)


_ALGORITHMS: dict[type[Method], Callable[[Method, _Batch], AlignmentResult]] = {
    Identity: _identity,
    Random: _random,
    WeightMatching: _weight_matching,
    SimulatedAnnealing: _simulated_annealing,
}


def _check(method: Method, batch: _Batch) -> None:
    """Raises ValueError for a call that the method cannot serve."""
    if type(method) not in _ALGORITHMS:
        raise ValueError(
            f"a method is a value of workers.alignment.methods, such as WeightMatching(), not {method!r}"
        )
    num_members = len(batch.members)
    if num_members < 2:
        raise ValueError(f"an alignment needs at least 2 members, not {num_members}")
    if method.max_members is not None and num_members > method.max_members:
        raise ValueError(f"{method.method} aligns {method.max_members} networks at a time, not {num_members}")
    counts = [num_networks(member) for member in batch.members]
    if set(counts) != {len(batch.names)}:
        raise ValueError(f"every member must have one row per name: {len(batch.names)} names, rows {counts}")
    if isinstance(method, SimulatedAnnealing) and batch.objective is None:
        raise ValueError(
            f"{method.method} searches on the {method.objective}: give the objective its examples"
        )


def _unsearched(batch: _Batch, permutations: list[PermutationStack], outcome: str) -> AlignmentResult:
    """The result of a method without an objective."""
    num_pairs = len(batch.names)
    nothing = torch.full((num_pairs,), math.nan, dtype=torch.float64)
    return AlignmentResult(
        permutations=permutations,
        objective="none",
        objective_start=nothing,
        objective_end=nothing.clone(),
        num_evaluations=torch.zeros(num_pairs, dtype=torch.int64),
        seconds=torch.zeros(num_pairs, dtype=torch.float64),
        outcome=[outcome] * num_pairs,
        details=[{} for _ in range(num_pairs)],
        spec=batch.spec,
    )


def _pair_by_pair(
    search: Callable[[Params, Params, str], PairAlignment], batch: _Batch, objective: str
) -> AlignmentResult:
    """The results of a search on every pair, stacked; the first member stays."""
    found, seconds = [], []
    for index, name in enumerate(batch.names):
        start = time.perf_counter()
        first, second = (row(member, index) for member in batch.members)
        finite = all(
            bool(tensor.isfinite().all()) for params in (first, second) for tensor in params.values()
        )
        found.append(
            search(first, second, name) if finite else PairAlignment.non_finite(batch.spec, objective)
        )
        seconds.append(time.perf_counter() - start)
    return AlignmentResult(
        permutations=[
            permute.identity(batch.spec, len(batch.names)),
            _stack([pair.permutation for pair in found]),
        ],
        objective=objective,
        objective_start=torch.tensor([pair.objective_start for pair in found], dtype=torch.float64),
        objective_end=torch.tensor([pair.objective_end for pair in found], dtype=torch.float64),
        num_evaluations=torch.tensor([pair.num_evaluations for pair in found]),
        seconds=torch.tensor(seconds, dtype=torch.float64),
        outcome=[pair.outcome for pair in found],
        details=[pair.details for pair in found],
        spec=batch.spec,
    )


def _stack(permutations: Sequence[dict[str, torch.Tensor]]) -> PermutationStack:
    """Permutations of single networks as one of a stack."""
    return {group: torch.stack([one[group] for one in permutations]) for group in permutations[0]}
