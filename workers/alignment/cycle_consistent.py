"""Cycle-consistent matching: n networks into one shared frame, all groups and networks at once.

Source: Crisostomi et al. 2024 (C2M3), Frank-Wolfe on the sum over pairs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from workers.alignment.batch import Batch, Finding, result_of
from workers.alignment.budget import Budget
from workers.alignment.frame_problem import FrameProblem, needed_bytes
from workers.alignment.merge_many import finding_of, sweep
from workers.alignment.methods import CycleConsistent, MergeMany
from workers.alignment.outcome import AlignmentResult, SearchTrace
from workers.alignment.pairs import groups_side_by_side
from workers.alignment.soft_permutations import Matrices, hardened, matrices_of
from workers.alignment.weight_matching import OBJECTIVE
from workers.params import ParamStack, rows
from workers.permutation import permute
from workers.permutation.permute import PermutationStack
from workers.permutation.spec import PermutationSpec
from workers.seeding import generator

ROUNDING = 1e-13
"""What a sum of float64 products may lack, as a fraction."""


def match_in_one_frame(method: CycleConsistent, batch: Batch) -> AlignmentResult:
    """Group of networks by group of networks.

    The objective is the sum over all pairs of networks of their inner product, each network under one
    permutation into a frame that belongs to none of them. Frank-Wolfe maximizes it over soft
    permutations: it goes from where it is towards the permutations that the gradient likes best, to the
    highest point of that line. It ends when a step improves by no more than ``tolerance`` times the sum of
    |A_j| |A_k|. The soft permutations are then hardened, and polished by sweeps of merge-many.
    Of all restarts the best is returned, as seen from network 0; there are no more of them once the
    networks coincide.

    The starts: first where network 0 stays and the units of all others are mixed evenly, then the
    identity, then random permutations.

    ``num_evaluations`` counts the assignments solved, one per network and group in a step.
    """

    def search(index: int) -> Finding:
        members = [rows(member, [index]) for member in batch.members]
        return _match(method, members, batch.spec, batch.names[index])

    findings = groups_side_by_side(search, batch, needed_bytes(batch.members, batch.spec))
    return result_of(findings, OBJECTIVE, batch.spec)


@dataclass(frozen=True)
class _Run:
    """Where one restart ended."""

    permutation: PermutationStack
    objective: float
    outcome: str
    num_iterations: int
    num_sweeps: int
    trace: SearchTrace


def _match(method: CycleConsistent, members: list[ParamStack], spec: PermutationSpec, name: str) -> Finding:
    """One group of n networks, each a stack of one."""
    budget, problem = Budget.of(method), FrameProblem.of(members, spec)
    runs: list[_Run] = []
    num_assignments, stopped = 0, None
    for restart in range(method.restarts):
        stopped = budget.exceeded(num_assignments) if runs else None
        if stopped is not None:
            break
        runs.append(_run(method, problem, name, restart, budget, num_assignments))
        num_assignments = runs[-1].trace.evaluations[-1]
        if runs[-1].objective >= (1 - ROUNDING) * problem.scale:
            break  # the networks are one network: by Cauchy and Schwarz, nothing is better
    best = max(range(len(runs)), key=lambda k: runs[k].objective)  # the earliest of equals
    if runs[-1].outcome in ("max_seconds", "max_evaluations"):
        stopped = runs[-1].outcome
    return finding_of(
        problem,
        runs[best].permutation,
        objective_start=problem.objective(permute.identity(spec, len(members))),
        num_evaluations=num_assignments,
        seconds=budget.seconds,
        outcome=stopped or runs[best].outcome,
        details={
            "restarts": len(runs),
            "best_restart": best,
            "iterations": runs[best].num_iterations,
            "sweeps": runs[best].num_sweeps,
        },
        traces=tuple(run.trace for run in runs),
    )


def _run(
    method: CycleConsistent,
    problem: FrameProblem,
    name: str,
    restart: int,
    budget: Budget,
    num_assignments: int,
) -> _Run:
    """Frank-Wolfe from one start, hardening, and polishing."""
    at = _start(problem, name, restart)
    per_step = sum(len(matrices) for matrices in at.values())
    points: list[tuple[int, float, float]] = []
    value, outcome, num_iterations = problem.soft_objective(at), None, 0
    while outcome is None and num_iterations < method.max_iterations:
        outcome = budget.exceeded(num_assignments + per_step - 1)  # no step that there is no room for
        if outcome is not None:
            break
        num_iterations += 1
        gradient = problem.gradient(at)
        direction = {g: m - at[g] for g, m in matrices_of(hardened(gradient)).items()}
        num_assignments += per_step
        length, higher = _highest(problem, at, direction, value)
        at = {group: matrices + length * direction[group] for group, matrices in at.items()}
        if higher - value <= method.tolerance * problem.scale:
            outcome = "converged"
        value = higher
        points.append((num_assignments, budget.seconds, value))
    hard = hardened(at)
    polish = MergeMany(tolerance=method.tolerance)
    swept = sweep(polish, problem, hard, name, budget, num_assignments, restart)
    unmoved = problem.objective(permute.identity(problem.spec, len(next(iter(at.values())))))
    trace = _joined(points, swept.trace, unmoved)
    return _Run(
        swept.permutation,
        problem.objective(swept.permutation),
        outcome or "max_sweeps",
        num_iterations,
        swept.num_sweeps,
        trace,
    )


def _start(problem: FrameProblem, name: str, restart: int) -> Matrices:
    """The soft permutations from which a restart begins."""
    num = len(next(iter(problem.members.values())))
    if restart == 0:
        even = {}
        for group, units in problem.spec.groups.items():
            even[group] = torch.full((num, units, units), 1 / units, dtype=torch.float64)
            even[group][0] = torch.eye(units, dtype=torch.float64)
        return even
    if restart == 1:
        return matrices_of(permute.identity(problem.spec, num))
    drawn = {
        group: torch.stack(
            [
                torch.randperm(
                    units,
                    generator=generator("alignment", name, "cycle_consistent", "start", restart, k, group),
                )
                for k in range(num)
            ]
        )
        for group, units in problem.spec.groups.items()
    }
    return matrices_of(drawn)


def _highest(
    problem: FrameProblem, at: Mapping[str, Tensor], direction: Mapping[str, Tensor], value: float
) -> tuple[float, float]:
    """How far to go along a line of soft permutations, in [0, 1], and the soft objective there.

    It is a polynomial along the line, of a degree known beforehand: as many values as it has
    coefficients determine it. ``value`` is that at 0; where no point is higher, that is the answer.
    """

    def at_length(length: float) -> float:
        return problem.soft_objective({group: m + length * direction[group] for group, m in at.items()})

    nodes = (1 - np.cos(np.pi * np.arange(problem.degree + 1) / problem.degree)) / 2
    values = [value, *(at_length(float(node)) for node in nodes[1:])]
    line = np.polynomial.Polynomial.fit(nodes, values, problem.degree, domain=[0.0, 1.0])
    turns = [complex(turn) for turn in line.deriv().roots()]
    inside = [turn.real for turn in turns if abs(turn.imag) < 1e-9 and 0 < turn.real < 1]
    highest = [(values[-1], 1.0), *((at_length(length), length) for length in inside), (value, 0.0)]
    best, length = max(highest)
    return length, best


def _joined(points: list[tuple[int, float, float]], polish: SearchTrace, unmoved: float) -> SearchTrace:
    """The soft objectives, then those of the polish; the best is of hard permutations alone.

    At first that is the objective of the identity, which is what a worse result gives way to.
    """
    evaluations, seconds, objectives = zip(*points, strict=True) if points else ((), (), ())
    return SearchTrace(
        chain=polish.chain,
        evaluations=(*evaluations, *polish.evaluations),
        seconds=(*seconds, *polish.seconds),
        objective=(*objectives, *polish.objective),
        best=(*(unmoved for _ in objectives), *(max(unmoved, value) for value in polish.best)),
    )
