"""Weight matching: coordinate descent on the inner product of the weights, one group at a time.

Source: Ainsworth, Hayase, Srinivasa 2022 (Git Re-Basin), algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from workers.alignment.batch import Batch, pair_by_pair
from workers.alignment.matching_problem import MatchingProblem, Terms
from workers.alignment.methods import WeightMatching
from workers.alignment.outcome import AlignmentResult, PairAlignment
from workers.params import Params
from workers.permutation import permute
from workers.permutation.permute import PermutationStack
from workers.permutation.spec import PermutationSpec
from workers.seeding import generator

OBJECTIVE = "weight_inner_product"


def match_weights(method: WeightMatching, batch: Batch) -> AlignmentResult:
    """Pair by pair."""

    def search(first: Params, second: Params, name: str) -> PairAlignment:
        return match_pair(method, first, second, batch.spec, name)

    return pair_by_pair(search, batch, OBJECTIVE)


def match_pair(
    method: WeightMatching, first: Params, second: Params, spec: PermutationSpec, name: str
) -> PairAlignment:
    """The permutation of ``second`` with the largest inner product with ``first`` that was found.

    The objective, over all parameters on which a group acts, biases included, in float64:

        sum over parameters of <A, P(B)>

    Given all other groups it is linear in the permutation of one, so that the best one is an
    assignment problem. A sweep visits the groups in random order and passes over those whose gains
    have not changed; it ends when no group can improve by more than ``tolerance`` times |A| |B|.
    The first descent starts from the identity, the second from a grown permutation (``_grown``), further
    ones from random permutations; where no two groups share a parameter, the first is exact and the
    only one.

    ``num_evaluations`` counts the assignments solved.
    """
    problem = MatchingProblem.of(first, second, spec)
    descents, num_grown = [], 0
    for restart in range(method.restarts if problem.is_coupled else 1):
        if restart == 0:
            start = permute.identity(spec, 1)
        elif restart == 1:
            start, num_grown = _grown(problem)
        else:
            drawn = permute.random(spec, "alignment", name, "weight_matching", "start", restart)
            start = {group: index.unsqueeze(0) for group, index in drawn.items()}
        order = generator("alignment", name, "weight_matching", "order", restart)
        descents.append(_descend(method, problem, start, order))
    objectives = [problem.objective(descent.permutation) for descent in descents]
    best = max(range(len(descents)), key=objectives.__getitem__)  # the earliest of equals
    return PairAlignment(
        permutation={group: index[0] for group, index in descents[best].permutation.items()},
        objective=OBJECTIVE,
        objective_start=problem.objective(permute.identity(spec, 1)),
        objective_end=objectives[best],
        num_evaluations=num_grown + sum(descent.num_assignments for descent in descents),
        outcome="converged" if descents[best].converged else "max_sweeps",
        details={
            "sweeps": descents[best].num_sweeps,
            "restarts": len(descents),
            "best_restart": best,
            "exact": not problem.is_coupled and descents[best].converged,
        },
    )


@dataclass(frozen=True)
class _Descent:
    """Where one descent ended."""

    permutation: PermutationStack
    converged: bool
    num_sweeps: int
    num_assignments: int


def _descend(
    method: WeightMatching, problem: MatchingProblem, start: PermutationStack, order: torch.Generator
) -> _Descent:
    """Sweeps over the groups until none can improve the objective."""
    permutation, groups = dict(start), list(problem.spec.groups)
    terms: Terms = {}
    stale = set(groups)  # groups whose gains have changed since they were last assigned
    num_sweeps = num_assignments = 0
    while stale and num_sweeps < method.max_sweeps:
        num_sweeps += 1
        for position in torch.randperm(len(groups), generator=order).tolist():
            group = groups[position]
            if group not in stale:
                continue
            stale.discard(group)
            num_assignments += 1
            candidate, improvement = _assign(problem, permutation, group, terms)
            if improvement > method.tolerance * problem.scale:
                permutation[group] = candidate
                problem.forget(terms, group)
                stale |= problem.coupled[group]
    return _Descent(permutation, not stale, num_sweeps, num_assignments)


def _grown(problem: MatchingProblem) -> tuple[PermutationStack, int]:
    """A permutation placed group by group, each by the weights that tie it to what is placed already.

    With it, the number of assignments solved.

    It begins at the inputs and the outputs, which have their place, and goes on with the group that the
    most weights per unit speak for. If the second network is a permuted copy of the first, every step
    finds the group's own permutation, as long as no two of its units have equal weights there: the gains
    of a copy are largest where each unit meets itself. The descent from the identity may miss it.
    """
    placed: PermutationStack = {}
    num_assignments = 0
    left = list(problem.spec.groups)
    while left:
        evidence = [problem.evidence(placed, group) for group in left]
        group = left.pop(evidence.index(max(evidence)))
        if max(evidence) == 0:  # bound to itself or to nothing placed: stays, and others may follow from it
            placed[group] = torch.arange(problem.spec.groups[group]).unsqueeze(0)
        else:
            placed[group] = _best(problem.gains(placed, group))
            num_assignments += 1
    return placed, num_assignments


def _best(gains: Float64[Tensor, "W W"]) -> Int64[Tensor, "one W"]:
    """The assignment with the largest sum of gains, as a stack of one."""
    _, columns = linear_sum_assignment(gains.numpy(), maximize=True)
    return torch.from_numpy(columns).to(torch.int64).unsqueeze(0)


def _assign(
    problem: MatchingProblem, permutation: PermutationStack, group: str, terms: Terms
) -> tuple[Tensor, float]:
    """The best permutation of one group for its present gains, and by how much the objective improves."""
    gains = problem.gains(permutation, group, terms)
    candidate = _best(gains)
    if group in problem.coupled[group]:  # on two axes of one parameter: the gains are a linearization
        before = problem.objective(permutation)
        return candidate, problem.objective({**permutation, group: candidate}) - before
    old, new = (gains.gather(1, index.mT).sum() for index in (permutation[group], candidate))
    return candidate, float(new - old)
