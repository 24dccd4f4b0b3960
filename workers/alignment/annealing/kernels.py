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
def _fill(out, below, units, merge, begin, length):  # type: ignore[no-untyped-def]
    """Hidden activations of one place of a merge: the members' rows summed, then ReLU."""
    size = len(merge)
    end = begin + length  # slices, since an index that may be negative is not vectorized
    row = below[merge[0], units[merge[0]], begin:end]
    if size == 2:
        other = below[merge[1], units[merge[1]], begin:end]
        for t in range(length):
            x = row[t] + other[t]
            out[t] = x if x > _ZERO else _ZERO
        return
    for t in range(length):
        out[t] = row[t]
    for k in range(1, size):
        other = below[merge[k], units[merge[k]], begin:end]
        for t in range(length):
            out[t] += other[t]
    for t in range(length):
        out[t] = out[t] if out[t] > _ZERO else _ZERO


@kernel
def _add(out, margins, hidden, own, first, length):  # type: ignore[no-untyped-def]
    """Margins of one class plus four hidden rows times their coefficients."""
    w0, w1, w2, w3 = own[first], own[first + 1], own[first + 2], own[first + 3]
    h0, h1, h2, h3 = hidden[first], hidden[first + 1], hidden[first + 2], hidden[first + 3]
    for t in range(length):
        out[t] = margins[t] + (w0 * h0[t] + w1 * h1[t] + w2 * h2[t] + w3 * h3[t])


@kernel
def count_errors(margins, hidden, weights, num_terms, label, begin, length, commits, scratch):  # type: ignore[no-untyped-def]
    """Wrong predictions of one block after the change; of equal logits the first class wins.

    Args:
        margins: (C, B) of the present state; overwritten if ``commits``.
        hidden: (terms, BLOCK) rows that the change adds or takes away.
        weights: (C, terms) their coefficients.
        num_terms: How many; a multiple of four.
        label: Of the block.
        begin: First example of the block.
        length: Its examples.
        commits: Whether the new margins are written.
        scratch: (C + 3, BLOCK) to work in.
    """
    before, after, moved = scratch[0], scratch[1], scratch[2]
    for t in range(length):
        before[t] = _LOWEST
        after[t] = _LOWEST
    own = scratch[len(margins) + 2]
    for c in range(len(margins)):
        if c == label:
            continue
        for k in range(num_terms):
            own[k] = weights[c, k] - weights[label, k]
        highest = before if c < label else after
        row = margins[c, begin : begin + length]
        if num_terms == TERMS and not commits:
            w0, w1, w2, w3 = own[0], own[1], own[2], own[3]
            h0, h1, h2, h3 = hidden[0], hidden[1], hidden[2], hidden[3]
            for t in range(length):
                x = row[t] + (w0 * h0[t] + w1 * h1[t] + w2 * h2[t] + w3 * h3[t])
                highest[t] = x if x > highest[t] else highest[t]
            continue
        _add(moved, row, hidden, own, 0, length)
        for first in range(TERMS, num_terms, TERMS):
            _add(moved, moved, hidden, own, first, length)
        for t in range(length):
            highest[t] = moved[t] if moved[t] > highest[t] else highest[t]
        if commits:
            for t in range(length):
                row[t] = moved[t]
    wrong = 0
    for t in range(length):
        wrong += (before[t] >= _ZERO) | (after[t] > _ZERO)
    return wrong


@kernel
def sum_losses(margins, hidden, weights, num_terms, label, begin, length, commits, scratch):  # type: ignore[no-untyped-def]
    """Summed cross-entropy in nats of one block after the change; arguments as of ``count_errors``.

    With m the highest margin or 0, an example's loss is m + log s, s = sum over classes of
    exp(margin - m), the label's own margin being 0. The logarithm is taken of the product of all s of an
    example's place, which is exact enough in float64 and far from its ends: s is at most C.
    """
    num_classes = len(margins)
    highest, sums = scratch[num_classes], scratch[num_classes + 1]
    for t in range(length):
        highest[t] = _ZERO
    own = scratch[num_classes + 2]
    for c in range(num_classes):
        if c == label:
            continue
        for k in range(num_terms):
            own[k] = weights[c, k] - weights[label, k]
        moved, row = scratch[c], margins[c, begin : begin + length]
        _add(moved, row, hidden, own, 0, length)
        for first in range(TERMS, num_terms, TERMS):
            _add(moved, moved, hidden, own, first, length)
        for t in range(length):
            highest[t] = moved[t] if moved[t] > highest[t] else highest[t]
        if commits:
            for t in range(length):
                row[t] = moved[t]
    for t in range(length):
        sums[t] = exp_below_one(-highest[t])
    for c in range(num_classes):
        if c != label:
            moved = scratch[c]
            for t in range(length):
                sums[t] += exp_below_one(moved[t] - highest[t])
    total, product = 0.0, 1.0
    for t in range(length):
        total += np.float64(highest[t])
        product *= np.float64(sums[t])
        if t % 32 == 31:  # at most C to the 32nd
            total += math.log(product)
            product = 1.0
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
        blocks: Where each block of examples begins, and the end of the last.
        labels: Of the blocks.
        measures_loss: Loss instead of errors.
        commits: Whether the change is written to the margins.
        work: Hidden rows (4 x places, BLOCK), weights (C, 4 x places), scratch (C + 3, BLOCK), and
            units (2, members), to work in.
    """
    hidden, weights, scratch, units = work
    num_classes = len(margins)
    num_terms = 0
    changed = np.empty(places, np.int64)
    num_changed = 0
    for j in range(places):
        for k in merge:
            if old[k, j] != new[k, j]:
                changed[num_changed] = j
                num_changed += 1
                break
    for i in range(num_changed):
        j = changed[i]
        for c in range(num_classes):
            weights[c, num_terms] = _ZERO
            weights[c, num_terms + 1] = _ZERO
            for k in merge:
                weights[c, num_terms] -= above[k, old[k, j], c]
                weights[c, num_terms + 1] += above[k, new[k, j], c]
        num_terms += 2
    if num_terms % TERMS:
        hidden[num_terms : num_terms + 2] = _ZERO
        weights[:, num_terms : num_terms + 2] = _ZERO
        num_terms += 2
    total = 0.0
    for b in range(len(labels)):
        begin, length = blocks[b], blocks[b + 1] - blocks[b]
        for i in range(num_changed):
            j = changed[i]
            for k in merge:
                units[0, k] = rows[k, old[k, j]]
                units[1, k] = rows[k, new[k, j]]
            _fill(hidden[2 * i], below, units[0], merge, begin, length)
            _fill(hidden[2 * i + 1], below, units[1], merge, begin, length)
        arguments = (margins, hidden, weights, num_terms, labels[b], begin, length, commits, scratch)
        if measures_loss:
            total += sum_losses(*arguments)
        else:
            total += count_errors(*arguments)
    return total


@kernel
def unchanged_score(margins, blocks, labels, measures_loss, work):  # type: ignore[no-untyped-def]
    """Errors, or summed loss, of one merge as its margins stand; arguments as of ``score``."""
    hidden, weights, scratch, _ = work
    hidden[:TERMS] = _ZERO
    weights[:, :TERMS] = _ZERO
    total = 0.0
    for b in range(len(labels)):
        begin, length = blocks[b], blocks[b + 1] - blocks[b]
        if measures_loss:
            total += sum_losses(margins, hidden, weights, TERMS, labels[b], begin, length, False, scratch)
        else:
            total += count_errors(margins, hidden, weights, TERMS, labels[b], begin, length, False, scratch)
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
        bounds: (S,) by how much the energy may rise.
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
        for q in range(num_merges):
            is_touched[q] = False
            for s in range(num_swaps):
                is_touched[q] |= is_in[q, members[step, s]]
            scores_after[q] = scores[q]
            if is_touched[q]:
                scores_after[q] = score(
                    below, above, margins[q], merges[q], old, new, rows, num_places, blocks, labels,
                    measures_loss, False, work,
                )  # fmt: skip
        after = scores_after.sum() / denominator
        proposed[step] = after
        accepted[step] = after - energy <= bounds[step]  # never where it is NaN
        if accepted[step]:
            for q in range(num_merges):
                if is_touched[q]:
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
