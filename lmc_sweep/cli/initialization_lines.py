"""What a run tells of random networks at its end: slopes by input dimension and matching."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lmc_sweep.analysis.initialization_rows import Line
    from lmc_sweep.analysis.slopes import Slope

SHOWN_ROWS = 40


def initialization_lines(found: Sequence[Line]) -> list[str]:
    """A line for every input dimension and matching: slope, its interval, the bound's exponent."""
    from lmc_sweep.analysis.initialization_rows import line_labels

    if not found:
        return []
    matchings = line_labels(found)
    several = len({line.activation for line in found}) > 1
    shown = found[:SHOWN_ROWS]
    labels = [
        ", ".join(
            [
                "  1 input" if line.input_dim == 1 else f"  {line.input_dim} inputs",
                *([line.activation] if several else []),
                matchings[line.matching, line.grid_cells],
            ]
        )
        for line in shown
    ]
    width = max(map(len, labels)) + 2
    lines = ["Slope of the mean deviation against width, 95% interval over pairs of networks; the bound's"]
    for label, line in zip(labels, shown, strict=True):
        told = _told(line.slope("deviation_mean"))
        lines.append(f"{label:<{width}}{told:<34}{line.exponent_of_bound:>7.3f}")
    if len(found) > SHOWN_ROWS:
        lines.append(f"  ... and {len(found) - SHOWN_ROWS} more: lmc-sweep report shows all")
    return lines


def _told(found: Slope | None) -> str:
    """``-0.508 (-0.706 to -0.310)``; the sign has a place of its own."""
    if found is None:
        return " none: too few widths or pairs"
    ends = "" if found.low is None else f" ({found.low:.3f} to {found.high:.3f})"
    return f"{found.value: .3f}{ends}"
