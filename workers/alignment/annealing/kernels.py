"""Compiled loops over one block of examples, for the annealer of MLPs; the only file that imports numba.

Examples are sorted by label and cut into blocks of one label each, so that what is kept of them is
margins: logit of a class minus logit of the label. A margin above zero is an error, whatever the label,
and a change of two hidden units changes a margin by the same four coefficients for the whole block.

All arithmetic is float32 in a fixed order, sums over examples are whole numbers or float64.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable
from hashlib import sha256
from pathlib import Path
from typing import Any

import numpy as np
from numba import njit, types
from numba.extending import intrinsic

BLOCK = 512
"""Examples of a block at most: what a block needs besides its margins stays in the first-level cache."""

TERMS = 4
"""Hidden rows that one pass over the margins adds: two units, as they were and as they would be."""

_FILES = sorted(Path(__file__).parent.glob("*kernels.py"))
_SOURCES = sha256(b"".join(path.read_bytes() for path in _FILES)).digest()


def kernel(function: Callable[..., Any]) -> Callable[..., Any]:
    """The function compiled; kept on disk where there is a folder to keep it in.

    Without ``fastmath`` flags that reorder sums or assume that there are no NaN. What is kept serves as long
    as no file of kernels changes: numba would look at the function's own file alone, and go on with the
    code that it had inlined from the others.
    """
    plain = inspect.unwrap(function)
    options: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": {"contract", "nsz"}}
    try:
        compiled: Callable[..., Any] = njit(cache=True, **options)(plain)
        kept = compiled._cache._cache_file  # type: ignore[attr-defined]
        kept._source_stamp = (kept._source_stamp, _SOURCES)
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
def fill(hidden, term, below, rows, units, place, merge, begin, length):  # type: ignore[no-untyped-def]
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
def count_errors(margins, hidden, weights, num_terms, label, begin, length, commits, scratch):  # type: ignore[no-untyped-def]
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
def sum_losses(margins, hidden, weights, num_terms, label, begin, length, commits, scratch):  # type: ignore[no-untyped-def]
    """Summed cross-entropy in nats of one block after the change; arguments as of ``count_errors``.

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
def swap(permutation, a, b):  # type: ignore[no-untyped-def]
    """Exchanges two entries."""
    permutation[a], permutation[b] = permutation[b], permutation[a]
