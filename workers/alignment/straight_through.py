"""Straight-through matching: weights learned so that what they are matched to meets the first network well.

Source: Ainsworth, Hayase, Srinivasa 2022 (Git Re-Basin), algorithm 2.
"""

from __future__ import annotations

import math
from itertools import islice

import torch

from workers.alignment.batch import Batch, Finding, result_of
from workers.alignment.budget import Budget
from workers.alignment.judged import Judged
from workers.alignment.methods import StraightThrough, WeightMatching
from workers.alignment.midpoint_gradients import MidpointLoss, objective_on, side_by_side
from workers.alignment.outcome import AlignmentResult
from workers.alignment.weight_matching import match_weights
from workers.params import ParamStack, rows
from workers.permutation import permute
from workers.permutation.permute import PermutationStack
from workers.permutation.spec import PermutationSpec
from workers.training.optimizers import Adam

BETA1 = 0.9

NUM_JUDGED = 20
"""How many of the permutations on the way are judged on all examples."""

FIRST_RESTARTS = WeightMatching().restarts
"""Descents of the first matching: the result is never worse than that of weight matching."""

WARM_SWEEPS = 3
"""Sweeps of every further matching, which begins at the last permutation."""


def match_straight_through(method: StraightThrough, batch: Batch) -> AlignmentResult:
    """Pair by pair.

    Weights T begin as those of A. At every step, B is permuted by P, which matches it to T by weight
    matching; the loss of the midpoint of A and P(B) is taken on a minibatch, and T takes a step of Adam
    by its derivative, as if T were P(B): the gradient goes straight through the matching.

    The objective is the loss of the midpoint on all examples, with batch norm as in ``MidpointLoss``; at
    NUM_JUDGED equally spaced steps, the present permutation is judged by it, and the best is returned,
    or the identity if none is better.

    ``num_evaluations`` counts the midpoints whose loss was taken, on a minibatch or on all examples.
    """
    examples = batch.required_examples(method.num_examples)
    max_bytes = batch.max_bytes / max(1, min(torch.get_num_threads(), batch.num_groups))

    def search(index: int) -> Finding:
        first, second = (rows(member, [index]) for member in batch.members)
        loss = MidpointLoss(first, examples, method.batch_size, max_bytes)
        return _match(method, loss, second, batch.spec, batch.names[index])

    return result_of(side_by_side(search, batch.num_groups), objective_on(examples), batch.spec)


def _match(
    method: StraightThrough, loss: MidpointLoss, second: ParamStack, spec: PermutationSpec, name: str
) -> Finding:
    """One pair of stacks of one."""
    budget = Budget.of(method)
    judged = Judged.at_identity(lambda p: loss.on_all(permute.apply(second, p, spec)), spec, budget)
    if not math.isfinite(judged.start):
        return judged.finding("non_finite", {})
    names = sorted({name for name, _ in spec.axes} & second.keys() - spec.buffers)
    learned = {name: loss.first[name].clone() for name in names}
    weights, moments = list(learned.values()), [[torch.zeros_like(w) for w in learned.values()] for _ in "ms"]
    permutation = permute.identity(spec, 1)
    minibatches = islice(loss.minibatches(name, "straight_through"), method.steps)
    every = max(1, method.steps // NUM_JUDGED)
    num_matched, outcome = 0, "steps_done"
    for step, minibatch in enumerate(minibatches, start=1):
        stopped = budget.exceeded(judged.num_evaluations)
        if stopped is not None:
            outcome = stopped
            break
        permutation, more = _matched(learned, second, permutation, spec, name, is_first=step == 1)
        num_matched += more
        if (step - 1) % every == 0:
            judged.judge(permutation)
            stopped = budget.exceeded(judged.num_evaluations)
            if stopped is not None:
                outcome = stopped
                break
        value, gradients = loss.gradient(permute.apply(second, permutation, spec), minibatch)
        judged.num_evaluations += 1
        by_weight = [gradients[name] for name in names]
        if not math.isfinite(value) or not all(bool(g.isfinite().all()) for g in by_weight):
            continue  # a midpoint that overflows says nothing about where to go
        Adam(BETA1).step(weights, by_weight, moments, step, method.learning_rate, 0.0)
    else:
        permutation, more = _matched(learned, second, permutation, spec, name, is_first=False)
        num_matched += more
        outcome = judged.judge(permutation) or outcome
    return judged.finding(outcome, {"assignments": num_matched})


def _matched(
    learned: ParamStack,
    second: ParamStack,
    permutation: PermutationStack,
    spec: PermutationSpec,
    name: str,
    *,
    is_first: bool,
) -> tuple[PermutationStack, int]:
    """The second network matched to learned weights, from where it was.

    With it, the number of assignments solved.
    """
    moved = permute.apply({key: second[key] for key in learned}, permutation, spec)
    method = (
        WeightMatching(restarts=FIRST_RESTARTS)
        if is_first
        else WeightMatching(restarts=1, max_sweeps=WARM_SWEEPS)
    )
    found = match_weights(method, Batch([learned, moved], spec, [name]))
    return permute.compose(permutation, found.permutations[1]), int(found.num_evaluations[0])
