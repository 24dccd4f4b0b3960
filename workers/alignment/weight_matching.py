"""Weight matching: coordinate descent on the inner product of the weights, one group at a time.

Source: Ainsworth, Hayase, Srinivasa 2022 (Git Re-Basin), algorithm 1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from workers.alignment.methods import WeightMatching
from workers.alignment.outcome import PairAlignment
from workers.params import Params
from workers.permutation import permute
from workers.permutation.permute import PermutationStack
from workers.permutation.spec import PermutationSpec
from workers.seeding import generator

OBJECTIVE = "weight_inner_product"


def match_weights(
    method: WeightMatching, first: Params, second: Params, spec: PermutationSpec, name: str
) -> PairAlignment:
    """The permutation of ``second`` with the largest inner product with ``first`` that was found.

    The objective, over all parameters on which a group acts, biases included, in float64:

        sum over parameters of <A, P(B)>

    Given all other groups it is linear in the permutation of one, so that the best one is an
    assignment problem. A sweep visits the groups in random order and passes over those whose gains
    have not changed; it ends when no group can improve by more than ``tolerance`` times |A| |B|.
    The first descent starts from the identity, further ones from random permutations; where no two
    groups share a parameter, the first is exact and the only one.

    ``num_evaluations`` counts the assignments solved.
    """
    problem = _Problem.of(first, second, spec)
    descents = []
    for restart in range(method.restarts if problem.is_coupled else 1):
        start = permute.identity(spec, 1)
        if restart > 0:
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
        num_evaluations=sum(descent.num_assignments for descent in descents),
        outcome="converged" if descents[best].converged else "max_sweeps",
        details={
            "sweeps": descents[best].num_sweeps,
            "restarts": len(descents),
            "best_restart": best,
            "exact": not problem.is_coupled and descents[best].converged,
        },
    )


@dataclass(frozen=True)
class _Problem:
    """Two networks in float64, and which groups' gains depend on which."""

    first: Params
    second: Params
    spec: PermutationSpec
    coupled: Mapping[str, frozenset[str]]
    scale: float

    @classmethod
    def of(cls, first: Params, second: Params, spec: PermutationSpec) -> _Problem:
        """The problem on the parameters that are permuted; others would add a constant."""
        names = sorted({name for name, _ in spec.axes} & first.keys())
        a, b = ({name: params[name].double().cpu() for name in names} for params in (first, second))
        coupled: dict[str, set[str]] = {group: set() for group in spec.groups}
        for name in names:
            on_axes = [
                {segment.group for segment in segments if segment.group is not None}
                for (parameter, _), segments in spec.axes.items()
                if parameter == name
            ]
            for i, groups in enumerate(on_axes):
                others = set().union(*on_axes[:i], *on_axes[i + 1 :])
                for group in groups:
                    coupled[group] |= others
        scale = torch.tensor([[float(p.square().sum()) for p in params.values()] for params in (a, b)])
        return cls(
            first=a,
            second=b,
            spec=spec,
            coupled={group: frozenset(others) for group, others in coupled.items()},
            scale=float(scale.sum(dim=1).sqrt().prod()),
        )

    @property
    def is_coupled(self) -> bool:
        """Whether the best permutation of some group depends on that of another, or on itself."""
        return any(self.coupled.values())

    def objective(self, permutation: PermutationStack) -> float:
        """The inner product with the permuted second network."""
        stack = {name: tensor.unsqueeze(0) for name, tensor in self.second.items()}
        permuted = permute.apply(stack, permutation, self.spec)
        return sum(float((tensor * permuted[name][0]).sum()) for name, tensor in self.first.items())

    def gains(self, permutation: PermutationStack, group: str) -> Float64[Tensor, "W W"]:
        """What unit j of the second network adds to the objective in place i, all other groups fixed."""
        units = self.spec.groups[group]
        total = torch.zeros(units, units, dtype=torch.float64)
        for name, axis, segments in self.spec.axes_of(group):
            if name not in self.first:
                continue
            second = self.second[name]
            for other in range(second.ndim):
                if other != axis and (name, other) in self.spec.axes:
                    index = permute.axis_index(self.spec.axes[name, other], permutation)[0]
                    second = second.index_select(other, index)
            start = 0
            for segment in segments:
                if segment.group == group:
                    a, b = (
                        tensor.narrow(axis, start, segment.length).movedim(axis, 0).reshape(units, -1)
                        for tensor in (self.first[name], second)
                    )
                    total.addmm_(a, b.mT)
                start += segment.length
        return total


@dataclass(frozen=True)
class _Descent:
    """Where one descent ended."""

    permutation: PermutationStack
    converged: bool
    num_sweeps: int
    num_assignments: int


def _descend(
    method: WeightMatching, problem: _Problem, start: PermutationStack, order: torch.Generator
) -> _Descent:
    """Sweeps over the groups until none can improve the objective."""
    permutation, groups = dict(start), list(problem.spec.groups)
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
            candidate, improvement = _assign(problem, permutation, group)
            if improvement > method.tolerance * problem.scale:
                permutation[group] = candidate
                stale |= problem.coupled[group]
    return _Descent(permutation, not stale, num_sweeps, num_assignments)


def _assign(problem: _Problem, permutation: PermutationStack, group: str) -> tuple[Tensor, float]:
    """The best permutation of one group for its present gains, and by how much the objective improves."""
    gains = problem.gains(permutation, group)
    _, columns = linear_sum_assignment(gains.numpy(), maximize=True)
    candidate = torch.from_numpy(columns).to(torch.int64).unsqueeze(0)
    if group in problem.coupled[group]:  # on two axes of one parameter: the gains are a linearization
        before = problem.objective(permutation)
        return candidate, problem.objective({**permutation, group: candidate}) - before
    old, new = (gains.gather(1, index.mT).sum() for index in (permutation[group], candidate))
    return candidate, float(new - old)
