"""Compiled inner loops of the annealer for MLPs of two or more hidden layers; on top of ``kernels``.

A block of examples passes through all layers that a move changes before the next block begins, so that
what lies between two layers stays in the cache. Numbers of units are padded to multiples of four with
units that are zero, for products of four rows by four columns at a time.

Shape legend: n members, L layers between hidden groups, W units (padded), Q merges, B examples, C classes.
"""

from __future__ import annotations

import numpy as np

from workers.alignment.annealing.kernels import TERMS, count_errors, kernel, sum_losses, swap
from workers.alignment.annealing.weight_kernels import average, moved_weights, take_over

_ZERO = np.float32(0.0)


@kernel
def _product(out, weight, bias, hidden, length):  # type: ignore[no-untyped-def]
    """out = bias + weight @ hidden, four rows by four columns at a time."""
    num_rows, num_columns = weight.shape
    for o in range(0, num_rows, 4):
        for t in range(length):
            out[o, t] = bias[o]
            out[o + 1, t] = bias[o + 1]
            out[o + 2, t] = bias[o + 2]
            out[o + 3, t] = bias[o + 3]
        for j in range(0, num_columns, 4):
            a0, a1, a2, a3 = weight[o, j], weight[o, j + 1], weight[o, j + 2], weight[o, j + 3]
            b0, b1, b2, b3 = (
                weight[o + 1, j],
                weight[o + 1, j + 1],
                weight[o + 1, j + 2],
                weight[o + 1, j + 3],
            )
            c0, c1, c2, c3 = (
                weight[o + 2, j],
                weight[o + 2, j + 1],
                weight[o + 2, j + 2],
                weight[o + 2, j + 3],
            )
            d0, d1, d2, d3 = (
                weight[o + 3, j],
                weight[o + 3, j + 1],
                weight[o + 3, j + 2],
                weight[o + 3, j + 3],
            )
            for t in range(length):
                h0, h1, h2, h3 = hidden[j, t], hidden[j + 1, t], hidden[j + 2, t], hidden[j + 3, t]
                out[o, t] += a0 * h0 + a1 * h1 + a2 * h2 + a3 * h3
                out[o + 1, t] += b0 * h0 + b1 * h1 + b2 * h2 + b3 * h3
                out[o + 2, t] += c0 * h0 + c1 * h1 + c2 * h2 + c3 * h3
                out[o + 3, t] += d0 * h0 + d1 * h1 + d2 * h2 + d3 * h3


@kernel
def _activate(hidden, length):  # type: ignore[no-untyped-def]
    """ReLU in place."""
    for j in range(len(hidden)):
        for t in range(length):
            hidden[j, t] = hidden[j, t] if hidden[j, t] > _ZERO else _ZERO


@kernel
def _first_row(out, below, units, merge, begin, length):  # type: ignore[no-untyped-def]
    """Activations of one place of the first hidden layer; ``units`` holds each member's unit there."""
    for t in range(length):
        out[t] = _ZERO
    for k in merge:
        unit = units[k]
        for t in range(length):
            out[t] += below[k, unit, begin + t]
    for t in range(length):
        out[t] = out[t] if out[t] > _ZERO else _ZERO


@kernel
def _block_score(margins, work, label, begin, length, measures_loss, commits):  # type: ignore[no-untyped-def]
    """Errors, or summed loss, of logits that stand in ``work``; their margins are kept if ``commits``."""
    logits, terms, weights, scratch = work
    for c in range(len(margins)):
        if c != label:
            for t in range(length):
                logits[c, t] -= logits[label, t]
            if commits:
                for t in range(length):
                    margins[c, begin + t] = logits[c, t]
    for c in range(len(margins)):
        for k in range(TERMS):
            weights[c, k] = _ZERO
    chosen, zero = logits[: len(margins)], np.uint64(0)
    if measures_loss:
        return sum_losses(chosen, terms, weights, TERMS, label, zero, length, False, scratch)
    return np.float64(count_errors(chosen, terms, weights, TERMS, label, zero, length, False, scratch))


@kernel
def full_score(  # type: ignore[no-untyped-def]
    ground, permutations, kept, weights, biases, top_bias, merge, measures_loss, commits, work, buffers
):
    """Errors, or summed loss, of one merge, from the first layer's pre-activations up.

    Args:
        ground: below, above, middle, blocks, labels.
        permutations: (n, groups, units) of the members.
        kept: First activations (W, B), pre-activations (L, W, B), margins (C, B); written if ``commits``.
        weights: As ``average`` leaves them.
        biases: Likewise.
        top_bias: (C padded,) of the logits.
        merge: The members that it is the mean of.
        measures_loss: Loss instead of errors.
        commits: Whether what was computed is kept.
        work: Logits (C padded, block), terms (4, block), weights (C, 4), scratch (C + 2, block).
        buffers: (2, W, block) to work in.
    """
    below, _, _, blocks, labels = ground
    first, layers, margins = kept
    between, top = weights
    num_units, num_layers = permutations.shape[2], len(layers)
    total = 0.0
    for b in range(len(labels)):
        begin, length = blocks[b], blocks[b + 1] - blocks[b]
        hidden, other = buffers[0], buffers[1]
        for j in range(len(hidden)):
            if j < num_units:
                _first_row(hidden[j], below, permutations[:, 0, j], merge, begin, length)
            else:
                for t in range(length):
                    hidden[j, t] = _ZERO
            if commits:
                for t in range(length):
                    first[j, begin + t] = hidden[j, t]
        for layer in range(num_layers):
            _product(other, between[layer], biases[layer], hidden, length)
            if commits:
                for j in range(len(other)):
                    for t in range(length):
                        layers[layer, j, begin + t] = other[j, t]
            _activate(other, length)
            hidden, other = other, hidden
        _product(work[0], top, top_bias, hidden, length)
        total += _block_score(margins, work, labels[b], begin, length, measures_loss, commits)
    return total


@kernel
def _new_rows(rows, row_biases, kept, group, begin, length, out):  # type: ignore[no-untyped-def]
    """Pre-activations of two units of a group above the first, from the activations of the group below."""
    first, layers, _ = kept
    for p in range(2):
        for t in range(length):
            out[p, t] = row_biases[p]
    for j in range(0, rows.shape[1], 2):
        a0, a1, b0, b1 = rows[0, j], rows[0, j + 1], rows[1, j], rows[1, j + 1]
        if group == 1:
            for t in range(length):
                x, y = first[j, begin + t], first[j + 1, begin + t]
                out[0, t] += a0 * x + a1 * y
                out[1, t] += b0 * x + b1 * y
        else:
            for t in range(length):
                x, y = layers[group - 2, j, begin + t], layers[group - 2, j + 1, begin + t]
                x = x if x > _ZERO else _ZERO
                y = y if y > _ZERO else _ZERO
                out[0, t] += a0 * x + a1 * y
                out[1, t] += b0 * x + b1 * y


@kernel
def _transposed_score(  # type: ignore[no-untyped-def]
    ground, permutations, kept, weights, biases, top_bias, merge, group, places, moved,
    measures_loss, commits, work, buffers,
):  # fmt: skip
    """The same after a transposition in one group, from what is kept of the state before.

    ``moved`` has rows, their biases and columns as ``moved_weights`` leaves them; the weights are still
    those of before. Further arguments as of ``full_score``.
    """
    below, _, _, blocks, labels = ground
    first, layers, margins = kept
    between, top = weights
    rows, row_biases, columns, raw = moved
    logits, terms, own, scratch = work
    num_layers, depth = len(layers), len(layers) + 1
    total = 0.0
    for b in range(len(labels)):
        begin, length = blocks[b], blocks[b + 1] - blocks[b]
        if group > 0:
            _new_rows(rows, row_biases, kept, group, begin, length, raw)
        for p in range(2):
            place = places[p]
            if group == 0:
                for t in range(length):
                    terms[2 * p, t] = first[place, begin + t]
                _first_row(terms[2 * p + 1], below, permutations[:, 0, place], merge, begin, length)
                if commits:
                    for t in range(length):
                        first[place, begin + t] = terms[2 * p + 1, t]
            else:
                for t in range(length):
                    x, y = layers[group - 1, place, begin + t], raw[p, t]
                    terms[2 * p, t] = x if x > _ZERO else _ZERO
                    terms[2 * p + 1, t] = y if y > _ZERO else _ZERO
                if commits:
                    for t in range(length):
                        layers[group - 1, place, begin + t] = raw[p, t]
        if group == depth - 1:
            for c in range(len(margins)):
                for p in range(2):
                    own[c, 2 * p], own[c, 2 * p + 1] = -top[c, places[p]], columns[p, c]
            if measures_loss:
                total += sum_losses(margins, terms, own, TERMS, labels[b], begin, length, commits, scratch)
            else:
                total += count_errors(margins, terms, own, TERMS, labels[b], begin, length, commits, scratch)
            continue
        hidden, other = buffers[0], buffers[1]
        for o in range(len(hidden)):
            w0, w1 = -between[group, o, places[0]], columns[0, o]
            w2, w3 = -between[group, o, places[1]], columns[1, o]
            for t in range(length):
                hidden[o, t] = layers[group, o, begin + t] + (
                    w0 * terms[0, t] + w1 * terms[1, t] + w2 * terms[2, t] + w3 * terms[3, t]
                )
            if commits:
                for t in range(length):
                    layers[group, o, begin + t] = hidden[o, t]
        _activate(hidden, length)
        for layer in range(group + 1, num_layers):
            _product(other, between[layer], biases[layer], hidden, length)
            if commits:
                for j in range(len(other)):
                    for t in range(length):
                        layers[layer, j, begin + t] = other[j, t]
            _activate(other, length)
            hidden, other = other, hidden
        _product(logits, top, top_bias, hidden, length)
        total += _block_score(margins, work, labels[b], begin, length, measures_loss, commits)
    return total


@kernel
def walk(  # type: ignore[no-untyped-def]
    ground, state, top_bias, merges, moves, bounds, measures_loss, denominator, max_accepted, steps,
    work, moved, buffers,
):  # fmt: skip
    """The number of moves made; as ``kernels.walk``, for several hidden groups.

    ``state`` has permutations (n, groups, units), first activations (Q, W, B), pre-activations
    (Q, L, W, B), margins (Q, C, B), scores (Q,), averaged weights (Q, L, W, W) and (Q, C padded, W), and
    averaged biases (Q, L, W). ``moves`` has slots, first and second places, each (S, transpositions).
    ``buffers`` are the activations (2, W, block), and room for one merge's weights and biases.
    """
    permutations, firsts, layers, margins, scores, between, tops, biases = state
    slots, first_places, second_places = moves
    proposed, present, accepted = steps
    activations, between_after, top_after, biases_after = buffers
    _, above, middle, _, _ = ground
    num_merges, depth, num_swaps = len(merges), permutations.shape[1], slots.shape[1]
    places = np.empty(2, np.int64)
    scores_after = np.empty(num_merges, np.float64)
    is_touched = np.empty(num_merges, np.bool_)
    num_accepted = 0
    energy = scores.sum() / denominator
    for step in range(len(bounds)):
        for s in range(num_swaps):
            member, group = 1 + slots[step, s] // depth, slots[step, s] % depth
            swap(permutations[member, group], first_places[step, s], second_places[step, s])
        member, group = 1 + slots[step, 0] // depth, slots[step, 0] % depth
        places[0], places[1] = first_places[step, 0], second_places[step, 0]
        for commits in (False, True):
            if commits and not accepted[step]:
                break
            for q in range(num_merges):
                merge, kept = merges[q], (firsts[q], layers[q], margins[q])
                is_touched[q] = num_swaps > 1
                for k in merge:
                    is_touched[q] |= k == member
                if not is_touched[q]:
                    scores_after[q] = scores[q]
                elif num_swaps > 1:
                    after = (between_after, top_after)
                    average(after, biases_after, permutations, middle, above, merge)
                    scores_after[q] = full_score(
                        ground, permutations, kept, after, biases_after, top_bias[q], merge,
                        measures_loss, commits, work, activations,
                    )  # fmt: skip
                    if commits:
                        between[q], tops[q], biases[q] = between_after, top_after, biases_after
                else:
                    moved_weights(ground, permutations, group, places, merge, moved[0], moved[1], moved[2])
                    weights = (between[q], tops[q])
                    scores_after[q] = _transposed_score(
                        ground, permutations, kept, weights, biases[q], top_bias[q], merge, group, places,
                        moved, measures_loss, commits, work, activations,
                    )  # fmt: skip
                    if commits:
                        take_over(weights, biases[q], group, places, moved)
            if not commits:
                proposed[step] = scores_after.sum() / denominator
                accepted[step] = bounds[step] == np.inf or proposed[step] - energy <= bounds[step]
        if accepted[step]:
            scores[:] = scores_after
            energy = proposed[step]
            num_accepted += 1
        else:
            for s in range(num_swaps - 1, -1, -1):
                own = permutations[1 + slots[step, s] // depth, slots[step, s] % depth]
                swap(own, first_places[step, s], second_places[step, s])
        present[step] = energy
        if num_accepted == max_accepted:
            return step + 1
    return len(bounds)
