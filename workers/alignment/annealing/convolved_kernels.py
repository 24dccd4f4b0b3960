"""A compiled 3x3 convolution for few channels on one side, with the examples innermost."""

from __future__ import annotations

import numpy as np

from workers.alignment.annealing.kernels import kernel


@kernel
def _pairs(weight):  # type: ignore[no-untyped-def]
    """Weights of two outputs at a time, (pairs, channels, 2, 9); a last one has no partner but zeros."""
    num_outputs, num_channels = weight.shape[:2]
    pairs = np.zeros(((num_outputs + 1) // 2, num_channels, 2, 9), weight.dtype)
    for o in range(num_outputs):
        for c in range(num_channels):
            for i in range(3):
                for j in range(3):
                    pairs[o // 2, c, o % 2, 3 * i + j] = weight[o, c, i, j]
    return pairs


@kernel
def add_convolved(out, weight, maps, length):  # type: ignore[no-untyped-def]
    """Adds a convolution with padding 1 to ``out``, two outputs by nine terms at a time.

    Args:
        out: (outputs, height, width, B); written.
        weight: (outputs, channels, 3, 3).
        maps: (channels, height, width, B).
        length: B, unsigned: an index that may be negative is not vectorized.
    """
    num_outputs, height, width, _ = out.shape
    whole = _pairs(weight)
    cut = np.zeros_like(whole)  # at an edge: without the terms outside
    for y in range(height):
        above, under = max(y - 1, 0), min(y + 1, height - 1)
        for x in range(width):
            left, right = max(x - 1, 0), min(x + 1, width - 1)
            is_inner = above < y < under and left < x < right
            if not is_inner:
                for i in range(3):
                    for j in range(3):
                        is_there = 0 <= y + i - 1 < height and 0 <= x + j - 1 < width
                        for k in range(len(whole)):
                            for c in range(whole.shape[1]):
                                for s in range(2):
                                    cut[k, c, s, 3 * i + j] = whole[k, c, s, 3 * i + j] if is_there else 0.0
            for k in range(len(whole)):
                o, p = 2 * k, min(2 * k + 1, num_outputs - 1)
                for c in range(whole.shape[1]):
                    w = whole[k, c] if is_inner else cut[k, c]
                    a0, a1, a2, b0, b1, b2 = w[0, 0], w[0, 1], w[0, 2], w[1, 0], w[1, 1], w[1, 2]
                    a3, a4, a5, b3, b4, b5 = w[0, 3], w[0, 4], w[0, 5], w[1, 3], w[1, 4], w[1, 5]
                    a6, a7, a8, b6, b7, b8 = w[0, 6], w[0, 7], w[0, 8], w[1, 6], w[1, 7], w[1, 8]
                    for t in range(length):
                        h0, h1, h2 = maps[c, above, left, t], maps[c, above, x, t], maps[c, above, right, t]
                        h3, h4, h5 = maps[c, y, left, t], maps[c, y, x, t], maps[c, y, right, t]
                        h6, h7, h8 = maps[c, under, left, t], maps[c, under, x, t], maps[c, under, right, t]
                        first = a0 * h0 + a1 * h1 + a2 * h2 + a3 * h3 + a4 * h4
                        second = b0 * h0 + b1 * h1 + b2 * h2 + b3 * h3 + b4 * h4
                        out[o, y, x, t] += first + a5 * h5 + a6 * h6 + a7 * h7 + a8 * h8
                        out[p, y, x, t] += second + b5 * h5 + b6 * h6 + b7 * h7 + b8 * h8
