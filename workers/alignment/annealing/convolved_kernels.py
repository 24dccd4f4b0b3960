"""A compiled 3x3 convolution for few channels on one side, with the examples innermost."""

from __future__ import annotations

import numpy as np

from workers.alignment.annealing.kernels import kernel


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
    terms = np.zeros((2, 9), weight.dtype)
    for y in range(height):
        above, under = max(y - 1, 0), min(y + 1, height - 1)
        for x in range(width):
            left, right = max(x - 1, 0), min(x + 1, width - 1)
            for o in range(0, num_outputs, 2):
                p = min(o + 1, num_outputs - 1)
                for c in range(weight.shape[1]):
                    for i in range(3):
                        for j in range(3):
                            terms[0, 3 * i + j] = terms[1, 3 * i + j] = 0.0
                            if 0 <= y + i - 1 < height and 0 <= x + j - 1 < width:
                                terms[0, 3 * i + j] = weight[o, c, i, j]
                                if p > o:  # the last output may have no partner
                                    terms[1, 3 * i + j] = weight[p, c, i, j]
                    a0, a1, a2 = terms[0, 0], terms[0, 1], terms[0, 2]
                    a3, a4, a5 = terms[0, 3], terms[0, 4], terms[0, 5]
                    a6, a7, a8 = terms[0, 6], terms[0, 7], terms[0, 8]
                    b0, b1, b2 = terms[1, 0], terms[1, 1], terms[1, 2]
                    b3, b4, b5 = terms[1, 3], terms[1, 4], terms[1, 5]
                    b6, b7, b8 = terms[1, 6], terms[1, 7], terms[1, 8]
                    for t in range(length):
                        h0, h1, h2 = maps[c, above, left, t], maps[c, above, x, t], maps[c, above, right, t]
                        h3, h4, h5 = maps[c, y, left, t], maps[c, y, x, t], maps[c, y, right, t]
                        h6, h7, h8 = maps[c, under, left, t], maps[c, under, x, t], maps[c, under, right, t]
                        first = a0 * h0 + a1 * h1 + a2 * h2 + a3 * h3 + a4 * h4
                        second = b0 * h0 + b1 * h1 + b2 * h2 + b3 * h3 + b4 * h4
                        out[o, y, x, t] += first + a5 * h5 + a6 * h6 + a7 * h7 + a8 * h8
                        out[p, y, x, t] += second + b5 * h5 + b6 * h6 + b7 * h7 + b8 * h8
