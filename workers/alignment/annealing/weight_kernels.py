"""Compiled averages of permuted weights above the first layer, whole or of two moved units."""

from __future__ import annotations

import numpy as np

from workers.alignment.annealing.kernels import kernel

_ZERO = np.float32(0.0)


@kernel
def average(weights, biases, permutations, middle, above, merge):  # type: ignore[no-untyped-def]
    """A merge's weights above the first layer, written into ``weights`` and ``biases``.

    Args:
        weights: Averaged weights (L, W, W) between groups, and (C padded, W) of the top.
        biases: Averaged biases (L, W).
        permutations: (n, groups, units) of the members.
        middle: The members' weights (n, L, units, units) and biases (n, L, units).
        above: (n, units, C) weights from each unit to the logits.
        merge: The members that it is the mean of.
    """
    between, top = weights
    own_weights, own_biases = middle
    num_units, depth = permutations.shape[2], permutations.shape[1]
    for layer in range(depth - 1):
        for o in range(num_units):
            biases[layer, o] = _ZERO
            for j in range(num_units):
                between[layer, o, j] = _ZERO
            for k in merge:
                unit = permutations[k, layer + 1, o]
                biases[layer, o] += own_biases[k, layer, unit]
                for j in range(num_units):
                    between[layer, o, j] += own_weights[k, layer, unit, permutations[k, layer, j]]
    for j in range(num_units):
        for c in range(above.shape[2]):
            top[c, j] = _ZERO
            for k in merge:
                top[c, j] += above[k, permutations[k, depth - 1, j], c]


@kernel
def moved_weights(ground, permutations, group, places, merge, rows, row_biases, columns):  # type: ignore[no-untyped-def]
    """Averaged weights into (2, W) and out of (2, outputs) the units that stand at two places now."""
    _, above, middle, _, _ = ground
    own_weights, own_biases = middle
    num_units, depth = permutations.shape[2], permutations.shape[1]
    for p in range(2):
        if group > 0:
            row_biases[p] = _ZERO
            for j in range(num_units):
                rows[p, j] = _ZERO
            for k in merge:
                unit = permutations[k, group, places[p]]
                row_biases[p] += own_biases[k, group - 1, unit]
                for j in range(num_units):
                    rows[p, j] += own_weights[k, group - 1, unit, permutations[k, group - 1, j]]
        for o in range(columns.shape[1]):
            columns[p, o] = _ZERO
        for k in merge:
            unit = permutations[k, group, places[p]]
            if group == depth - 1:
                for c in range(above.shape[2]):
                    columns[p, c] += above[k, unit, c]
            else:
                for o in range(num_units):
                    columns[p, o] += own_weights[k, group, permutations[k, group + 1, o], unit]


@kernel
def take_over(weights, biases, group, places, moved):  # type: ignore[no-untyped-def]
    """Writes the weights of moved units into the averaged ones."""
    between, top = weights
    rows, row_biases, columns, _ = moved
    num_layers = len(between)
    for p in range(2):
        place = places[p]
        if group > 0:
            biases[group - 1, place] = row_biases[p]
            for j in range(rows.shape[1]):
                between[group - 1, place, j] = rows[p, j]
        if group == num_layers:
            for c in range(len(top)):
                top[c, place] = columns[p, c]
        else:
            for o in range(between.shape[1]):
                between[group, o, place] = columns[p, o]
