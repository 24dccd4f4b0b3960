"""Weight matching: coordinate descent on the inner product of the weights, one group at a time.

Source: Ainsworth, Hayase, Srinivasa 2022 (Git Re-Basin), algorithm 1.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from itertools import accumulate

import torch
from torch import Tensor

from workers.alignment.assignment import largest_sum, matched
from workers.alignment.batch import Batch
from workers.alignment.budget import Budget
from workers.alignment.matching_problem import MatchingProblem, Terms
from workers.alignment.methods import WeightMatching
from workers.alignment.outcome import AlignmentResult, PairAlignment, SearchTrace
from workers.alignment.pairs import pairs_side_by_side
from workers.params import Params, num_parameters
from workers.permutation import permute
from workers.permutation.permute import PermutationStack
from workers.permutation.spec import PermutationSpec
from workers.seeding import generator

OBJECTIVE = "weight_inner_product"

BYTES_PER_PARAMETER = 48
"""Of one pair: both networks in float64, two terms per parameter, gains and what products gather."""


def match_weights(method: WeightMatching, batch: Batch) -> AlignmentResult:
    """Every pair by itself, side by side."""

    def search(first: Params, second: Params, name: str) -> PairAlignment:
        return match_pair(method, first, second, batch.spec, name)

    per_pair = BYTES_PER_PARAMETER * num_parameters(batch.members[0]) / batch.num_groups
    return pairs_side_by_side(search, batch, OBJECTIVE, per_pair)


def match_pair(
    method: WeightMatching, first: Params, second: Params, spec: PermutationSpec, name: str
) -> PairAlignment:
    """The permutation of ``second`` with the largest inner product with ``first`` that was found.

    The objective, over all parameters on which a group acts, biases and norms included, in float64:

        sum over parameters of <A, P(B)>

    Given all other groups it is linear in the permutation of one, so that the best one is an
    assignment problem. A sweep visits the groups in the method's order and passes over those whose gains
    have not changed; it ends when no group can improve by more than ``tolerance`` times |A| |B|.
    The first descent starts from a grown permutation (``_grown``), the second from the identity, further
    ones from random permutations. If one descent is asked for and ends below the identity, the second
    is made nevertheless. Where no two groups share a parameter, that from the identity is exact and the
    only one.

    ``num_evaluations`` counts the assignments solved; ``max_evaluations`` and ``max_seconds`` are looked
    at before each.
    """
    problem = MatchingProblem.of(first, second, spec)
    search = _Search(method, problem, name, Budget.of(method))
    identity = permute.identity(spec, 1)
    objective_start = problem.objective(identity)
    descents: list[_Descent] = []
    wanted = method.restarts if problem.is_coupled else 1
    while not search.stop and (
        len(descents) < wanted or (len(descents) < 2 and descents[0].objective < objective_start)
    ):
        descents.append(_descend(search, _start(search, len(descents)), len(descents)))
    best = max(range(len(descents)), key=lambda k: descents[k].objective)  # the earliest of equals
    permutation, objective_end = descents[best].permutation, descents[best].objective
    if objective_end < objective_start:  # the budget was too small for anything better
        permutation, objective_end = identity, objective_start
    return PairAlignment(
        permutation={group: index[0] for group, index in permutation.items()},
        objective=OBJECTIVE,
        objective_start=objective_start,
        objective_end=objective_end,
        num_evaluations=search.num_assignments,
        outcome=search.stop or ("converged" if descents[best].converged else "max_sweeps"),
        details={
            "sweeps": descents[best].num_sweeps,
            "restarts": len(descents),
            "best_restart": best,
            "exact": not problem.is_coupled and descents[best].converged,
        },
        traces=tuple(descent.trace for descent in descents),
    )


@dataclass
class _Search:
    """One search as it goes: what it knows, what it has spent.

    ``terms`` serves all descents: what depends on no other group is formed once. ``stop`` is the bound
    that has denied an assignment, by name.
    """

    method: WeightMatching
    problem: MatchingProblem
    name: str
    budget: Budget
    terms: Terms = field(default_factory=dict)
    num_assignments: int = 0
    stop: str | None = None

    def gains(self, permutation: PermutationStack, group: str) -> Tensor | None:
        """The gains of a group for an assignment, which is counted; None if the budget is used up."""
        self.stop = self.budget.exceeded(self.num_assignments)
        if self.stop:
            return None
        self.num_assignments += 1
        gains: Tensor = self.problem.gains(permutation, group, self.terms)
        return gains


@dataclass(frozen=True)
class _Descent:
    """Where one descent ended, and how it went, one point per sweep."""

    permutation: PermutationStack
    objective: float
    converged: bool
    num_sweeps: int
    trace: SearchTrace


def _start(search: _Search, number: int) -> PermutationStack:
    """Where a descent starts."""
    spec = search.problem.spec
    if number == 0 and search.problem.is_coupled:
        return _grown(search)
    if number < 2:
        return permute.identity(spec, 1)
    drawn = permute.random(spec, "alignment", search.name, "weight_matching", "start", number)
    return {group: index.unsqueeze(0) for group, index in drawn.items()}


def _descend(search: _Search, start: PermutationStack, number: int) -> _Descent:
    """Sweeps over the groups until none can improve the objective."""
    method, problem = search.method, search.problem
    permutation, groups = dict(start), list(problem.spec.groups)
    order = generator("alignment", search.name, "weight_matching", "order", number)
    stale = set(groups)  # groups whose gains have changed since they were last assigned
    objective = problem.objective(permutation)
    points = [(search.num_assignments, search.budget.seconds, objective)]
    num_sweeps = 0
    while stale and num_sweeps < method.max_sweeps and not search.stop:
        num_sweeps += 1
        for group in _ordered(groups, method.order, order):
            if group not in stale:
                continue
            gains = search.gains(permutation, group)
            if gains is None:
                break
            stale.discard(group)
            candidate, improvement = _assign(problem, permutation, group, gains)
            if improvement > method.tolerance * problem.scale:
                permutation[group] = candidate
                objective += improvement
                stale |= problem.coupled[group]
        points.append((search.num_assignments, search.budget.seconds, objective))
    objective = problem.objective(permutation)
    points[-1] = (*points[-1][:2], objective)
    evaluations, seconds, objectives = zip(*points, strict=True)
    trace = SearchTrace(number, evaluations, seconds, objectives, tuple(accumulate(objectives, max)))
    return _Descent(permutation, objective, not stale, num_sweeps, trace)


def _ordered(groups: list[str], order: str, draws: torch.Generator) -> list[str]:
    """The groups as a sweep visits them."""
    if order == "random":
        return [groups[position] for position in torch.randperm(len(groups), generator=draws).tolist()]
    return groups if order == "forward" else groups[::-1]


def _grown(search: _Search) -> PermutationStack:
    """A permutation placed group by group, each by the weights that tie it to what is placed already.

    It begins at the inputs and the outputs, which have their place, and goes on with the group that the
    most weights per unit speak for. If the second network is a permuted copy of the first, every step
    finds the group's own permutation, as long as no two of its units have equal weights there: the gains
    of a copy are largest where each unit meets itself. The descent from the identity may miss it.
    """
    problem = search.problem
    placed: PermutationStack = {}
    left = list(problem.spec.groups)
    while left:
        evidence = [problem.evidence(placed, group) for group in left]
        group = left.pop(evidence.index(max(evidence)))
        # bound to itself or to nothing placed: stays, and others may follow from it
        gains = search.gains(placed, group) if max(evidence) else None
        if gains is None:
            placed[group] = torch.arange(problem.spec.groups[group]).unsqueeze(0)
        else:
            placed[group] = largest_sum(gains).unsqueeze(0)
    return placed


def _assign(
    problem: MatchingProblem, permutation: PermutationStack, group: str, gains: Tensor
) -> tuple[Tensor, float]:
    """The best permutation of one group for its present gains, and by how much the objective improves."""
    candidate = largest_sum(gains).unsqueeze(0)
    if group in problem.coupled[group]:  # on two axes of one parameter: the gains are a linearization
        before = problem.objective(permutation)
        return candidate, problem.objective({**permutation, group: candidate}) - before
    return candidate, matched(gains, candidate[0]) - matched(gains, permutation[group][0])
