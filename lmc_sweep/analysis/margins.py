"""The largest difference between the worlds that counts as none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from lmc_sweep.analysis.density_rows import CONTROLS
from lmc_sweep.analysis.world_pairs import CellBarriers, Measured
from lmc_sweep.errors import SweepError


@dataclass(frozen=True)
class Margin:
    """A margin in units of the barrier, or as a share of the mean barrier before search."""

    value: float
    is_relative: bool


DEFAULT_MARGIN = Margin(0.1, True)


def margin_from(text: str) -> Margin:
    """``10%`` or ``0.1`` as a margin; SweepError for anything else."""
    number = text.strip().removesuffix("%")
    try:
        value = float(number)
    except ValueError:
        value = float("nan")
    is_relative = text.strip().endswith("%")
    if not 0 < value < float("inf"):
        raise SweepError(
            f"--margin {text}: give a number above 0, in units of the barrier (0.02) or as a share of the "
            "mean barrier before search (10%)"
        )
    return Margin(value / 100 if is_relative else value, is_relative)


def margins_of_cells(margin: Margin, of: Measured, measured: Sequence[Measured]) -> dict[str, float | None]:
    """Of each cell, the margin in units of the barrier; None where there is none.

    A relative margin is a share of the mean of both worlds' mean barriers before search, on the same split
    with the same correction: of the method identity, else of random. Where that is not above 0 there was
    nothing to search for, and there is no margin.
    """
    if not margin.is_relative:
        return {cell.cell_id: margin.value for cell in of.cells}
    before: dict[str, float] = {}
    for control in reversed(CONTROLS):
        for other in measured:
            if (other.method, other.split, other.correction) == (control, of.split, of.correction):
                before |= {cell.cell_id: _level(cell) for cell in other.cells if cell.is_comparable}
    levels = {cell.cell_id: before.get(cell.cell_id, 0.0) for cell in of.cells}
    return {cell_id: margin.value * level if level > 0 else None for cell_id, level in levels.items()}


def _level(cell: CellBarriers) -> float:
    """The mean of both worlds' means."""
    return float((cell.real.mean() + cell.model.mean()) / 2)
