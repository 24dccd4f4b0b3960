"""Compiled inner loops of the annealer for MLPs with one hidden layer; the only file that imports numba.

Examples are sorted by label and cut into blocks of one label each, so that what is kept of them is
margins: logit of a class minus logit of the label. A margin above zero is an error, whatever the label,
and a change of two hidden units changes a margin by the same four coefficients for the whole block.

All arithmetic is float32 in a fixed order, sums over examples are whole numbers or float64.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

BLOCK = 512
"""Examples of a block at most: what a block needs besides its margins stays in the first-level cache."""

TERMS = 4
"""Hidden rows that one pass over the margins adds: two units, as they were and as they would be."""


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function compiled; kept on disk where there is a folder to keep it in.

    Without ``fastmath`` flags that reorder sums or assume that there are no NaN.
    """
    plain = inspect.unwrap(function)
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}
    try:
        compiled: Callable[..., Any] = njit(cache=True, **options)(plain)
    except RuntimeError:  # no folder can be written to: compiled anew in every process
        compiled = njit(**options)(plain)
    return compiled


_ZERO = np.float32(0.0)
_ONE = np.float32(1.0)
_LOWEST = np.float32(-np.inf)
_LOG2_E = np.float32(1.4426950408889634)
# ln 2 in two parts: the first has few bits, so that its product with a small whole number is exact
_LN2_HIGH = np.float32(0.693359375)
_LN2_LOW = np.float32(math.log(2.0) - 0.693359375)
_ROUNDING = np.float32(1.5 * 2**23)  # adding it leaves the nearest whole number in the lowest bits
_SMALLEST = np.float32(-87.0)  # exp of less is no normal number
_SERIES = tuple(np.float32(1.0 / math.factorial(k)) for k in range(8))
_C2, _C3, _C4, _C5, _C6, _C7 = _SERIES[2:]


@intrinsic
def _power_of_two(_typing, shifted):  # type: ignore[no-untyped-def]
    """2 to the whole number in the lowest bits of a float32 to which ``_ROUNDING`` was added."""

    def generate(_context: Any, builder: Any, _signature: Any, arguments: Any) -> Any:
        from llvmlite import ir

        word = ir.IntType(32)
        bits = builder.bitcast(arguments[0], word)
        exponent = builder.add(builder.shl(bits, word(23)), word(127 << 23))
        return builder.bitcast(exponent, ir.FloatType())

    return types.float32(types.float32), generate


@kernel
def exp_below_one(x):  # type: ignore[no-untyped-def]
    """exp(x) for x <= 0 in float32: the series of degree 7 on half an octave, times a power of two."""
    x = x if x > _SMALLEST else _SMALLEST
    shifted = x * _LOG2_E + _ROUNDING
    whole = shifted - _ROUNDING
    r = (x - whole * _LN2_HIGH) - whole * _LN2_LOW
    series = _C3 + r * (_C4 + r * (_C5 + r * (_C6 + r * _C7)))
    return (_ONE + r * (_ONE + r * (_C2 + r * series))) * _power_of_two(shifted)


@kernel
def _fill(hidden, term, below, rows, units, place, merge, begin, length):  # type: ignore[no-untyped-def]
    """Hidden activations of one place of a merge into a row of ``hidden``: members summed, then ReLU."""
    first = merge[0]
    row = rows[first, units[first, place]]
    if len(merge) == 2:
        second = merge[1]
        other = rows[second, units[second, place]]
        for t in range(length):
            x = below[first, row, begin + t] + below[second, other, begin + t]
            hidden[term, t] = x if x > _ZERO else _ZERO
        return
    for t in range(length):
        hidden[term, t] = below[first, row, begin + t]
    for k in range(1, len(merge)):
        other = rows[merge[k], units[merge[k], place]]
        for t in range(length):
            hidden[term, t] += below[merge[k], other, begin + t]
    for t in range(length):
        hidden[term, t] = hidden[term, t] if hidden[term, t] > _ZERO else _ZERO


@kernel
def _move(margins, c, label, hidden, weights, num_terms, begin, length, scratch, into):  # type: ignore[no-untyped-def]
    """Margins of one class after the change, into a row of ``scratch``."""
    w0, w1 = weights[c, 0] - weights[label, 0], weights[c, 1] - weights[label, 1]
    w2, w3 = weights[c, 2] - weights[label, 2], weights[c, 3] - weights[label, 3]
    for t in range(length):
        scratch[into, t] = margins[c, begin + t] + (
            w0 * hidden[0, t] + w1 * hidden[1, t] + w2 * hidden[2, t] + w3 * hidden[3, t]
        )
    for k in range(TERMS, num_terms, 2):
        w0, w1 = weights[c, k] - weights[label, k], weights[c, k + 1] - weights[label, k + 1]
        for t in range(length):
            scratch[into, t] += w0 * hidden[k, t] + w1 * hidden[k + 1, t]


@kernel
def _count_errors(margins, hidden, weights, num_terms, label, begin, length, commits, scratch):  # type: ignore[no-untyped-def]
    """Wrong predictions of one block after the change; of equal logits the first class wins.

    Args:
        margins: (C, B) of the present state; overwritten if ``commits``.
        hidden: (terms, BLOCK) rows that the change adds or takes away.
        weights: (C, terms) their coefficients.
        num_terms: How many; at least four.
        label: Of the block.
        begin: First example of the block, unsigned: an index that may be negative is not vectorized.
        length: Its examples, unsigned.
        commits: Whether the new margins are written.
        scratch: (C + 2, BLOCK) to work in.
    """
    num_classes = len(margins)
    for t in range(length):
        scratch[0, t] = _LOWEST  # highest margin of the classes before the label
        scratch[1, t] = _LOWEST  # and of those behind
    for c in range(num_classes):
        if c == label:
            continue
        side = 0 if c < label else 1
        if num_terms == TERMS and not commits:
            w0, w1 = weights[c, 0] - weights[label, 0], weights[c, 1] - weights[label, 1]
            w2, w3 = weights[c, 2] - weights[label, 2], weights[c, 3] - weights[label, 3]
            for t in range(length):
                x = margins[c, begin + t] + (
                    w0 * hidden[0, t] + w1 * hidden[1, t] + w2 * hidden[2, t] + w3 * hidden[3, t]
                )
                scratch[side, t] = x if x > scratch[side, t] else scratch[side, t]
            continue
        _move(margins, c, label, hidden, weights, num_terms, begin, length, scratch, 2)
        for t in range(length):
            x = scratch[2, t]
            scratch[side, t] = x if x > scratch[side, t] else scratch[side, t]
        if commits:
            for t in range(length):
                margins[c, begin + t] = scratch[2, t]
    wrong = 0
    for t in range(length):
        wrong += (scratch[0, t] >= _ZERO) | (scratch[1, t] > _ZERO)
    return wrong


@kernel
def _sum_losses(margins, hidden, weights, num_terms, label, begin, length, commits, scratch):  # type: ignore[no-untyped-def]
    """Summed cross-entropy in nats of one block after the change; arguments as of ``_count_errors``.

    With m the highest margin or 0, an example's loss is m + log s, s = sum over classes of
    exp(margin - m), the label's own margin being 0. The logarithm is taken of the product of the s of
    some examples, which is exact enough in float64 and far from its ends: s is at most C.
    """
    num_classes = len(margins)
    highest, sums = num_classes, num_classes + 1
    for t in range(length):
        scratch[highest, t] = _ZERO
    for c in range(num_classes):
        if c == label:
            continue
        _move(margins, c, label, hidden, weights, num_terms, begin, length, scratch, c)
        for t in range(length):
            x = scratch[c, t]
            scratch[highest, t] = x if x > scratch[highest, t] else scratch[highest, t]
        if commits:
            for t in range(length):
                margins[c, begin + t] = scratch[c, t]
    for t in range(length):
        scratch[sums, t] = exp_below_one(-scratch[highest, t])
    for c in range(num_classes):
        if c != label:
            for t in range(length):
                scratch[sums, t] += exp_below_one(scratch[c, t] - scratch[highest, t])
    total, product, factors = 0.0, 1.0, 0
    for t in range(length):
        total += np.float64(scratch[highest, t])
        product *= np.float64(scratch[sums, t])
        factors += 1
        if factors == 32:  # at most C to the 32nd
            total += math.log(product)
            product, factors = 1.0, 0
    return total + math.log(product)


@kernel
def score(  # type: ignore[no-untyped-def]
    below, above, margins, merge, old, new, rows, places, blocks, labels, measures_loss, commits, work
):
    """Errors, or summed loss, of one merge after its members' units at some places have changed.

    Args:
        below: (members, rows, B) pre-activations of single units, divided by the size of a merge.
        above: (members, W, C) weights from each unit to the logits, divided likewise.
        margins: (C, B) of the merge; overwritten if ``commits``.
        merge: The members that it is the mean of.
        old: (members, places) unit of each member at each place before.
        new: The same after.
        rows: (members, W) where in ``below`` a unit's row is.
        places: How many there are; those where nothing changed in this merge are passed over.
        blocks: Where each block of examples begins, and the end of the last; uint64.
        labels: Of the blocks.
        measures_loss: Loss instead of errors.
        commits: Whether the change is written to the margins.
        work: Hidden rows (terms, BLOCK), weights (C, terms), scratch (C + 2, BLOCK), changed places
            (terms,), to work in.
    """
    hidden, weights, scratch, changed = work
    num_classes = len(margins)
    num_changed = 0
    for j in range(places):
        for k in merge:
            if old[k, j] != new[k, j]:
                changed[num_changed] = j
                num_changed += 1
                break
    num_terms = max(2 * num_changed, TERMS)
    for i in range(num_changed):
        j = changed[i]
        for c in range(num_classes):
            before, after = _ZERO, _ZERO
            for k in merge:
                before -= above[k, old[k, j], c]
                after += above[k, new[k, j], c]
            weights[c, 2 * i] = before
            weights[c, 2 * i + 1] = after
    for term in range(2 * num_changed, num_terms):
        for t in range(BLOCK):
            hidden[term, t] = _ZERO
        for c in range(num_classes):
            weights[c, term] = _ZERO
    total = 0.0
    for b in range(len(labels)):
        begin, length = blocks[b], blocks[b + 1] - blocks[b]
        for i in range(num_changed):
            _fill(hidden, 2 * i, below, rows, old, changed[i], merge, begin, length)
            _fill(hidden, 2 * i + 1, below, rows, new, changed[i], merge, begin, length)
        if measures_loss:
            total += _sum_losses(
                margins, hidden, weights, num_terms, labels[b], begin, length, commits, scratch
            )
        else:
            total += _count_errors(
                margins, hidden, weights, num_terms, labels[b], begin, length, commits, scratch
            )
    return total


@kernel
def _swap(permutation, a, b):  # type: ignore[no-untyped-def]
    """Exchanges two entries."""
    permutation[a], permutation[b] = permutation[b], permutation[a]


@kernel
def walk(  # type: ignore[no-untyped-def]
    ground, state, merges, moves, bounds, measures_loss, denominator, max_accepted, steps, work
):
    """The number of moves made; proposes one after another and carries out those within their bounds.

    It stops after ``max_accepted`` moves were accepted, when margins are to be computed anew.

    Args:
        ground: below, above, rows, blocks, labels, as ``score`` takes them.
        state: Permutations (members, W), margins (merges, C, B), scores (merges,); all overwritten.
        merges: (merges, size) members of each.
        moves: Members, first and second places, each of shape (S, transpositions).
        bounds: (S,) by how much the energy may rise; infinite where the move is carried out in any case.
        measures_loss: Loss instead of errors.
        denominator: Examples times merges: what sums are divided by.
        max_accepted: Where to stop.
        steps: Proposed and present energies (without an offset), and whether accepted; written, (S,).
        work: As ``score`` takes it.
    """
    below, above, rows, blocks, labels = ground
    permutations, margins, scores = state
    members, firsts, seconds = moves
    proposed, present, accepted = steps
    num_members, num_merges, num_swaps = len(permutations), len(merges), members.shape[1]
    places = np.empty(2 * num_swaps, np.int64)
    old = np.empty((num_members, 2 * num_swaps), np.int64)
    new = np.empty((num_members, 2 * num_swaps), np.int64)
    scores_after = np.empty(num_merges, np.float64)
    is_touched = np.empty(num_merges, np.bool_)
    is_in = np.zeros((num_merges, num_members), np.bool_)
    for q in range(num_merges):
        for k in merges[q]:
            is_in[q, k] = True
    num_accepted = 0
    energy = scores.sum() / denominator
    for step in range(len(bounds)):
        num_places = 0
        for s in range(num_swaps):
            for place in (firsts[step, s], seconds[step, s]):
                is_new = True
                for j in range(num_places):
                    is_new &= places[j] != place
                if is_new:
                    places[num_places] = place
                    num_places += 1
        for k in range(num_members):
            for j in range(num_places):
                old[k, j] = permutations[k, places[j]]
        for s in range(num_swaps):
            _swap(permutations[members[step, s]], firsts[step, s], seconds[step, s])
        for k in range(num_members):
            for j in range(num_places):
                new[k, j] = permutations[k, places[j]]
        is_sure = bounds[step] == np.inf  # carried out at once, whatever the energy
        for q in range(num_merges):
            is_touched[q] = False
            for s in range(num_swaps):
                is_touched[q] |= is_in[q, members[step, s]]
            scores_after[q] = scores[q]
            if is_touched[q]:
                scores_after[q] = score(
                    below, above, margins[q], merges[q], old, new, rows, num_places, blocks, labels,
                    measures_loss, is_sure, work,
                )  # fmt: skip
        after = scores_after.sum() / denominator
        proposed[step] = after
        accepted[step] = is_sure or after - energy <= bounds[step]  # or else never where it is NaN
        if accepted[step]:
            for q in range(num_merges):
                if is_touched[q] and not is_sure:
                    score(
                        below, above, margins[q], merges[q], old, new, rows, num_places, blocks, labels,
                        measures_loss, True, work,
                    )  # fmt: skip
                scores[q] = scores_after[q]
            energy = after
            num_accepted += 1
        else:
            for s in range(num_swaps - 1, -1, -1):
                _swap(permutations[members[step, s]], firsts[step, s], seconds[step, s])
        present[step] = energy
        if num_accepted == max_accepted:
            return step + 1
    return len(bounds)
