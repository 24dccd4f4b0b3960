"""Scores to soft permutations by Sinkhorn's iteration, and how a derivative goes back through it.

The derivative is that of the fixed point, found by solving a linear system, and not of the iterations:
it costs the same however many there were, and they may start where those of a similar matrix ended.
Source: Eisenberger et al. 2022 and Pena et al. 2023 (implicit Sinkhorn).
"""

from __future__ import annotations

import torch
from jaxtyping import Float64
from torch import Tensor

MAX_ITERATIONS = 50

TOLERANCE = 1e-6
"""Row sums may differ from 1 by as much; column sums are 1."""

RIDGE = 1e-10
"""Added to the linear system, which is singular where the matrix is a permutation."""


def soft_permutations(
    scores: Float64[Tensor, "N W W"], entropy: float, offsets: Float64[Tensor, "N W"]
) -> tuple[Float64[Tensor, "N W W"], Float64[Tensor, "N W"]]:
    """The doubly stochastic matrices that maximize <scores, M> + entropy * H(M), and their column offsets.

    M = exp((scores + rows + columns) / entropy), with one offset per row and per column such that both
    sum to 1, made so in turn, in the log domain.

    Args:
        scores: What is to be large where the matrix is.
        entropy: Its weight; as it falls to 0, the matrices become permutations.
        offsets: Of columns, where to begin: zeros, or what a call with similar scores returned.
    """
    scaled, columns = scores / entropy, offsets / entropy
    before: Tensor | None = None
    for _ in range(MAX_ITERATIONS):
        rows = -torch.logsumexp(scaled + columns.unsqueeze(1), dim=2)
        columns = -torch.logsumexp(scaled + rows.unsqueeze(2), dim=1)
        # row i now sums to exp(before[i] - next[i]), which the next round would find
        if before is not None and float((rows - before).abs().max()) < TOLERANCE:
            break
        before = rows
    return torch.exp(scaled + rows.unsqueeze(2) + columns.unsqueeze(1)), columns * entropy


def through_soft_permutations(
    matrices: Float64[Tensor, "N W W"], gradient: Float64[Tensor, "N W W"], entropy: float
) -> Float64[Tensor, "N W W"]:
    """The derivative by the scores, from that by the matrices.

    With M * (gradient - r 1' - 1 c') / entropy, where r and c take away what the sums of rows and
    columns cannot follow: r + M c and M' r + c are the row and the column sums of M * gradient.

    Args:
        matrices: As ``soft_permutations`` made them.
        gradient: Derivative of something by their entries.
        entropy: With which they were made.
    """
    weighted = matrices * gradient
    of_rows, of_columns = weighted.sum(2, keepdim=True), weighted.sum(1).unsqueeze(2)
    width = matrices.shape[1]
    # r is fixed up to a constant that c takes up again; the ones choose it
    system = 1 / width - matrices.mT @ matrices
    system.diagonal(dim1=1, dim2=2).add_(1 + RIDGE)
    columns = torch.linalg.solve(system, of_columns - matrices.mT @ of_rows)
    rows = of_rows - matrices @ columns
    return (weighted - matrices * (rows + columns.mT)) / entropy
