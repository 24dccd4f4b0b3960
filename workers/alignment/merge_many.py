"""Merge-many: each of n networks in turn matched to the mean of the others.

Source: Ainsworth, Hayase, Srinivasa 2022 (Git Re-Basin), algorithm 3.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor

from workers.alignment.batch import Batch, Finding, result_of
from workers.alignment.budget import Budget
from workers.alignment.frame_problem import FrameProblem, needed_bytes
from workers.alignment.methods import MergeMany, WeightMatching
from workers.alignment.outcome import AlignmentResult, SearchTrace
from workers.alignment.pairs import groups_side_by_side
from workers.alignment.weight_matching import OBJECTIVE, match_weights
from workers.params import ParamStack, rows
from workers.permutation import permute
from workers.permutation.permute import PermutationStack
from workers.permutation.spec import PermutationSpec
from workers.seeding import generator

FIRST_RESTARTS = WeightMatching().restarts
"""Descents when a network is matched for the first time; afterwards one, from where it stands."""


def merge_many(method: MergeMany, batch: Batch) -> AlignmentResult:
    """Group of networks by group of networks.

    The objective is the sum over all pairs of networks of their inner product. First every network is
    matched to the mean of those before it, by all descents of weight matching; the identity is taken
    instead if that is worse. Then sweeps visit the networks in random order, each matched to the mean of
    all others from where it stands, until a sweep improves the objective by no more than ``tolerance``
    times the sum of |A_j| |A_k|. Of two networks, only the second is visited: this is weight matching.

    ``num_evaluations`` counts the assignments solved.
    """

    def search(index: int) -> Finding:
        members = [rows(member, [index]) for member in batch.members]
        return _merge(method, members, batch.spec, batch.names[index])

    findings = groups_side_by_side(search, batch, needed_bytes(batch.members, batch.spec))
    return result_of(findings, OBJECTIVE, batch.spec)


def _merge(method: MergeMany, members: list[ParamStack], spec: PermutationSpec, name: str) -> Finding:
    """One group of n networks, each a stack of one."""
    budget = Budget.of(method)
    problem = FrameProblem.of(members, spec)
    start = permute.identity(spec, len(members))
    grown, num_assignments = _one_after_another(method, problem, name, budget)
    objective_start = problem.objective(start)
    if problem.objective(grown) < objective_start:
        grown = start
    swept = sweep(method, problem, grown, name, budget, num_assignments)
    return finding_of(
        problem,
        swept.permutation,
        objective_start=objective_start,
        num_evaluations=swept.num_assignments,
        seconds=budget.seconds,
        outcome=swept.outcome,
        details={"sweeps": swept.num_sweeps},
        traces=(swept.trace,),
    )


@dataclass(frozen=True)
class Swept:
    """Where sweeps over n networks ended; ``permutation`` has a row per network."""

    permutation: PermutationStack
    outcome: str
    num_sweeps: int
    num_assignments: int
    trace: SearchTrace


def sweep(
    method: MergeMany,
    problem: FrameProblem,
    start: PermutationStack,
    name: str,
    budget: Budget,
    num_assignments: int = 0,
    chain: int = 0,
) -> Swept:
    """Networks matched to the mean of the others, in random order, until nothing moves.

    The objective never falls. ``num_assignments`` were solved before, and count.
    """
    num = len(next(iter(start.values())))
    permutation = {group: index.clone() for group, index in start.items()}
    order = generator("alignment", name, "merge_many", "order", chain)
    found = problem.objective(permutation)
    points = [(num_assignments, budget.seconds, found)]
    outcome, num_sweeps = None, 0
    while outcome is None and num_sweeps < method.max_sweeps:
        num_sweeps += 1
        before = found
        visited = torch.randperm(num, generator=order).tolist() if num > 2 else [1]
        for member in visited:
            outcome = budget.exceeded(num_assignments)
            if outcome is not None:
                break
            others = [k for k in range(num) if k != member]
            left = replace(budget, max_evaluations=budget.evaluations_left(num_assignments))
            matched, more = _matched(method, problem, permutation, member, others, 1, name, left)
            num_assignments += more
            candidate = {g: _with_row(index, member, matched[g]) for g, index in permutation.items()}
            objective = problem.objective(candidate)
            if objective > found:
                permutation, found = candidate, objective
        points.append((num_assignments, budget.seconds, found))
        if outcome is None and found - before <= method.tolerance * problem.scale:
            outcome = "converged"
    evaluations, seconds, objectives = zip(*points, strict=True)
    return Swept(
        permutation,
        outcome or "max_sweeps",
        num_sweeps,
        num_assignments,
        SearchTrace(chain, evaluations, seconds, objectives, objectives),
    )


def finding_of(
    problem: FrameProblem,
    permutation: PermutationStack,
    *,
    objective_start: float,
    num_evaluations: int,
    seconds: float,
    outcome: str,
    details: dict[str, Any],
    traces: tuple[SearchTrace, ...],
) -> Finding:
    """The same permutations seen from network 0, which then stays where it is.

    The identity if they are worse, be it by rounding.
    """
    num = len(next(iter(permutation.values())))
    back = permute.invert({group: index[:1].expand(num, -1) for group, index in permutation.items()})
    placed = permute.compose(permutation, back)
    objective_end = problem.objective(placed)
    if objective_end < objective_start:
        placed, objective_end = permute.identity(problem.spec, num), objective_start
    return Finding(
        permutations=[{group: index[k] for group, index in placed.items()} for k in range(num)],
        objective_start=objective_start,
        objective_end=objective_end,
        num_evaluations=num_evaluations,
        seconds=seconds,
        outcome=outcome,
        # one permutation per network: the way from j to k is the same over every other network
        details=details | ({"cycle_error": 0.0} if num > 2 else {}),
        traces=traces,
    )


def _one_after_another(
    method: MergeMany, problem: FrameProblem, name: str, budget: Budget
) -> tuple[PermutationStack, int]:
    """Each network matched to the mean of those before it; with the number of assignments solved."""
    num = len(next(iter(problem.members.values())))
    permutation, num_assignments = permute.identity(problem.spec, num), 0
    for member in range(1, num):
        if budget.exceeded(num_assignments) is not None:
            break
        before = list(range(member))
        left = replace(budget, max_evaluations=budget.evaluations_left(num_assignments))
        matched, more = _matched(method, problem, permutation, member, before, FIRST_RESTARTS, name, left)
        num_assignments += more
        permutation = {
            group: _with_row(index, member, matched[group]) for group, index in permutation.items()
        }
    return permutation, num_assignments


def _matched(
    method: MergeMany,
    problem: FrameProblem,
    permutation: PermutationStack,
    member: int,
    others: Sequence[int],
    restarts: int,
    name: str,
    left: Budget,
) -> tuple[PermutationStack, int]:
    """One network's permutation, matched to the mean of others from where it stands, as a stack of one.

    With it, the number of assignments solved; ``left`` is what they may take.
    """
    placed = permute.apply(problem.members, permutation, problem.spec)
    mean = {name: tensor[list(others)].mean(0, keepdim=True) for name, tensor in placed.items()}
    matching = WeightMatching(
        restarts=restarts,
        max_sweeps=method.max_sweeps,
        tolerance=method.tolerance,
        max_seconds=None if left.max_seconds is None else max(1e-9, left.max_seconds - left.seconds),
        max_evaluations=left.max_evaluations,
    )
    found = match_weights(matching, Batch([mean, rows(placed, [member])], problem.spec, [name]))
    here = {group: index[member : member + 1] for group, index in permutation.items()}
    return permute.compose(here, found.permutations[1]), int(found.num_evaluations[0])


def _with_row(stack: Tensor, member: int, index: Tensor) -> Tensor:
    """A copy of the stack with another row in one place."""
    replaced = stack.clone()
    replaced[member] = index[0]
    return replaced
