"""What is done to interpolated networks before they are measured.

A corrected network is an ordinary one again: what a correction found stands in its statistics, weights
and biases. Corrected networks are made in blocks that fit the memory, and then evaluated like any.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import get_args

from torch import Tensor

from workers.architectures.mlp import MLPProgram
from workers.architectures.module_program import ModuleProgram
from workers.architectures.program import StackedProgram
from workers.device import map_on_threads
from workers.interpolation.repair import repaired_modules
from workers.interpolation.repair_mlp import repaired_mlps
from workers.params import ParamStack, concatenate, interpolated, num_networks, stack_bytes
from workers.specs import Correction

BLOCK_BYTES = 1 << 28
"""Corrected networks that are held at a time, in bytes; at least one alpha of one pair."""


@dataclass(frozen=True)
class Block:
    """Corrected networks of some pairs at some alphas.

    Attributes:
        program: Which computes them; it may have biases that the endpoints' program lacks.
        pairs: Which pairs.
        alphas: Which places of the grid.
        states: The networks of all these pairs at the first of these alphas, then at the next.
    """

    program: StackedProgram
    pairs: slice
    alphas: slice
    states: ParamStack


def check_correction(
    program: StackedProgram, correction: Correction, statistics: Sequence[Tensor] | None
) -> Sequence[Tensor]:
    """The batches to measure on; none without correction.

    Raises:
        ValueError: For an unknown correction, one that finds nothing to correct in the architecture, or
            one without batches, or with a batch of less than two examples.
    """
    if correction not in get_args(Correction):
        raise ValueError(f"unknown correction {correction!r}; known are {', '.join(get_args(Correction))}")
    if correction == "none":
        return ()
    if correction == "reset_bn" and not program.statistics:
        raise ValueError(
            "reset_bn measures batch-norm statistics anew, and this architecture keeps none: "
            "use repair, or none"
        )
    sizes = [len(batch) for batch in statistics or ()]
    if not sizes or min(sizes) < 2:
        raise ValueError(
            f"{correction} measures means and variances on batches of at least two examples, "
            f"got {'no statistics' if statistics is None else f'batches of {sizes}'}: "
            "pass workers.statistics.statistics_batches(...) as statistics"
        )
    assert statistics is not None
    return statistics


def corrected_blocks(
    program: StackedProgram,
    params_a: ParamStack,
    params_b: ParamStack,
    alphas: Sequence[float],
    correction: Correction,
    batches: Sequence[Tensor],
) -> Iterator[Block]:
    """All pairs at all alphas, corrected, block by block."""
    num_pairs = num_networks(params_a)
    network_bytes = max(1, stack_bytes(params_a) // num_pairs)
    pairs_at_once = max(1, BLOCK_BYTES // (network_bytes * len(alphas)))
    alphas_at_once = max(1, BLOCK_BYTES // (network_bytes * pairs_at_once))
    for first in range(0, num_pairs, pairs_at_once):
        pairs = slice(first, min(first + pairs_at_once, num_pairs))
        a, b = ({name: p[pairs] for name, p in params.items()} for params in (params_a, params_b))
        corrected_program, corrected = _prepare(program, a, b, correction, batches)
        for start in range(0, len(alphas), alphas_at_once):
            part = slice(start, min(start + alphas_at_once, len(alphas)))
            yield Block(corrected_program, pairs, part, corrected(alphas[part]))


def _prepare(
    program: StackedProgram, a: ParamStack, b: ParamStack, correction: Correction, batches: Sequence[Tensor]
) -> tuple[StackedProgram, Callable[[Sequence[float]], ParamStack]]:
    """The program of the corrected networks, and what makes those of some alphas."""
    if correction == "reset_bn":
        return program, _reset(program, a, b, batches)
    if isinstance(program, MLPProgram):
        return program, repaired_mlps(program, a, b, batches)
    assert isinstance(program, ModuleProgram)
    return repaired_modules(program, a, b, batches)


def _reset(
    program: StackedProgram, a: ParamStack, b: ParamStack, batches: Sequence[Tensor]
) -> Callable[[Sequence[float]], ParamStack]:
    """Makes the networks of some alphas, with batch-norm statistics measured anew."""

    def reset(task: tuple[float, int]) -> ParamStack:
        alpha, pair = task
        one_a, one_b = ({name: p[pair : pair + 1] for name, p in params.items()} for params in (a, b))
        ends = {0.0: one_a, 1.0: one_b}
        return program.with_statistics(ends.get(alpha) or interpolated(one_a, one_b, alpha), batches)

    def states(alphas: Sequence[float]) -> ParamStack:
        tasks = [(alpha, pair) for alpha in alphas for pair in range(num_networks(a))]
        return concatenate(map_on_threads(reset, tasks))

    return states
