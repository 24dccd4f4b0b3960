"""Sinkhorn matching: soft permutations learned by gradients while they harden.

Sources: Mena et al. 2018 (Gumbel-Sinkhorn); Pena et al. 2023 (Re-basin via implicit Sinkhorn).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from workers.alignment.batch import Batch, Finding, result_of
from workers.alignment.budget import Budget
from workers.alignment.frame_problem import FrameProblem
from workers.alignment.judged import Judged
from workers.alignment.matching_problem import MatchingProblem
from workers.alignment.methods import Sinkhorn
from workers.alignment.midpoint_gradients import MidpointLoss, objective_on, side_by_side
from workers.alignment.outcome import AlignmentResult
from workers.alignment.sinkhorn_operator import soft_permutations, through_soft_permutations
from workers.alignment.soft_permutations import Matrices, hardened, soft_apply, soft_gradient
from workers.alignment.weight_matching import OBJECTIVE as WEIGHTS
from workers.params import ParamStack, row, rows
from workers.permutation import permute
from workers.permutation.spec import PermutationSpec
from workers.seeding import generator
from workers.training.optimizers import Adam

BETA1 = 0.9

NUM_JUDGED = 30
"""How many hardened permutations on the way are judged."""

NOISE = 1e-3
"""Standard deviation of the scores at the start: enough to tell equal units apart."""

Descent = Callable[[Matrices], tuple[float, Matrices]]
"""Soft permutations to a value to be made small, and its derivative by their entries."""


def match_by_sinkhorn(method: Sinkhorn, batch: Batch) -> AlignmentResult:
    """Pair by pair.

    Every group has scores, at first nearly equal, and is softly permuted by what Sinkhorn's iteration
    makes of them. Adam moves the scores by the derivative of ``-<A, soft(B)>`` over all weights on which
    groups act, or of the loss of the midpoint of A and soft(B) on a minibatch, while the entropy falls
    exponentially, so that the soft permutations harden. The objective is that of hard permutations:
    the inner product of the weights, or the midpoint's loss on all examples (``MidpointLoss``). At
    NUM_JUDGED equally spaced steps, the nearest hard permutation is judged by it, and the best is
    returned, or the identity if none is better.

    ``num_evaluations`` counts the soft and hard permutations whose value was taken.
    """
    max_bytes = batch.max_bytes / max(1, min(torch.get_num_threads(), batch.num_groups))

    def search(index: int) -> Finding:
        first, second = (rows(member, [index]) for member in batch.members)
        name, budget = batch.names[index], Budget.of(method)
        if method.objective == "weights":
            problem = MatchingProblem.of(row(first, 0), row(second, 0), batch.spec)
            judged = Judged.at_identity(problem.objective, batch.spec, budget, sense=1)
            descent = _descent_on_weights(FrameProblem.of([first, second], batch.spec))
        else:
            examples = batch.required_examples(method.num_examples)
            loss = MidpointLoss(first, examples, method.batch_size, max_bytes)
            judged = Judged.at_identity(
                lambda p: loss.on_all(permute.apply(second, p, batch.spec)), batch.spec, budget
            )
            descent = _descent_on_loss(loss, second, batch.spec, name)
        return _search(method, descent, judged, name)

    objective = WEIGHTS
    if method.objective == "midpoint_loss":
        objective = objective_on(batch.required_examples(method.num_examples))
    return result_of(side_by_side(search, batch.num_groups), objective, batch.spec)


class _Scores(NamedTuple):
    """Of groups of equal width: their names, scores, and the offsets that Sinkhorn's iteration ended with."""

    groups: tuple[str, ...]
    values: Tensor
    offsets: Tensor
    moments: list[Tensor]


def _search(method: Sinkhorn, descent: Descent, judged: Judged, name: str) -> Finding:
    """One pair."""
    if not math.isfinite(judged.start):
        return judged.finding("non_finite", {})
    scores = _start(judged.spec, name)
    fall = (method.entropy_end / method.entropy_start) ** (1 / method.steps)
    every = max(1, method.steps // NUM_JUDGED)
    entropy, outcome = method.entropy_start, "steps_done"
    soft, scores = _softened(scores, entropy)
    for step in range(1, method.steps + 1):
        stopped = judged.budget.exceeded(judged.num_evaluations)
        if stopped is not None:
            outcome = stopped
            break
        value, gradient = descent(soft)
        judged.num_evaluations += 1
        if not math.isfinite(value) or not all(bool(g.isfinite().all()) for g in gradient.values()):
            continue  # a midpoint that overflows says nothing about where to go
        for one in scores:
            by_matrix = torch.cat([gradient[group] for group in one.groups])
            by_score = through_soft_permutations(
                torch.cat([soft[group] for group in one.groups]), by_matrix, entropy
            )
            _step(one, by_score, step, method.learning_rate)
        entropy = method.entropy_start * fall**step
        soft, scores = _softened(scores, entropy)
        if step % every == 0 or step == method.steps:
            outcome = judged.judge(hardened(soft)) or outcome
    hardness = min(float(matrix.amax(dim=2).min()) for matrix in soft.values())
    return judged.finding(outcome, {"entropy": entropy, "smallest_largest_entry": hardness})


def _start(spec: PermutationSpec, name: str) -> list[_Scores]:
    """Scores of noise, one stack per width."""
    widths: dict[int, list[str]] = {}
    for group, units in spec.groups.items():
        widths.setdefault(units, []).append(group)
    scores = []
    for units, groups in widths.items():
        drawn = [
            torch.randn(
                (units, units),
                generator=generator("alignment", name, "sinkhorn", "start", group),
                dtype=torch.float64,
            )
            for group in groups
        ]
        values = NOISE * torch.stack(drawn)
        moments = [torch.zeros_like(values) for _ in "ms"]
        scores.append(
            _Scores(tuple(groups), values, torch.zeros(values.shape[:2], dtype=torch.float64), moments)
        )
    return scores


def _softened(scores: list[_Scores], entropy: float) -> tuple[Matrices, list[_Scores]]:
    """The soft permutation of every group, a stack of one each; and the scores with their new offsets."""
    soft: Matrices = {}
    renewed = []
    for one in scores:
        matrices, offsets = soft_permutations(one.values, entropy, one.offsets)
        soft |= {group: matrices[k : k + 1] for k, group in enumerate(one.groups)}
        renewed.append(one._replace(offsets=offsets))
    return soft, renewed


def _step(scores: _Scores, gradient: Tensor, step: int, rate: float) -> None:
    """One step of Adam on the scores, in place."""
    Adam(BETA1).step([scores.values], [gradient], [[m] for m in scores.moments], step, rate, 0.0)


def _descent_on_weights(problem: FrameProblem) -> Descent:
    """Minus the inner product with the first network, in units of the product of the norms."""

    def descend(soft: Matrices) -> tuple[float, Matrices]:
        both = {g: torch.cat([torch.eye(m.shape[1], dtype=m.dtype).unsqueeze(0), m]) for g, m in soft.items()}
        gradient = problem.gradient(both)
        return 0.0, {group: -gradient[group][1:] / problem.scale for group in soft}

    return descend


def _descent_on_loss(loss: MidpointLoss, second: ParamStack, spec: PermutationSpec, name: str) -> Descent:
    """The loss of the midpoint with the softly permuted second network, on the next minibatch."""
    minibatches = loss.minibatches(name, "sinkhorn")
    mixable = {key: tensor for key, tensor in second.items() if tensor.is_floating_point()}
    acted_on = {key for key, _ in spec.axes}

    def descend(soft: Matrices) -> tuple[float, Matrices]:
        value, gradients = loss.gradient(second | soft_apply(mixable, soft, spec), next(minibatches))
        outer = {key: gradients[key].double().cpu() for key in gradients if key in acted_on}
        exact = {key: second[key].double().cpu() for key in outer}
        return value, soft_gradient(exact, outer, soft, spec)

    return descend
