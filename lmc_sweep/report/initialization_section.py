"""Random networks: how fast deviations from linearity fall with width, beside the bound of theorem 3.1."""

from __future__ import annotations

from statistics import fmean

from lmc_sweep.analysis.initialization_rows import Line, line_labels, read
from lmc_sweep.analysis.slopes import Slope
from lmc_sweep.report.cell_tables import trimmed
from lmc_sweep.report.model import Column, Note, Section, Table, Value
from lmc_sweep.report.scope import Scope
from lmc_sweep.report.wording import counted

TITLE = "Random networks"
LEAD = (
    "Pairs of networks with one hidden layer as they are drawn, their hidden units matched, and how far the "
    "networks between them are from the line between their outputs: the largest deviation over alphas. The "
    "slope is that of its logarithm against the logarithm of the width, in the mean over pairs; the bound "
    "of theorem 3.1 of Entezari et al. (2021) falls with -1/(2d+4), up to logarithms."
)
_COLUMNS = (
    Column("Inputs", "count", "d, the input dimension"),
    Column("Activation", "choice"),
    Column("Matching", "choice"),
    Column("Widths", "text", "hidden units"),
    Column("Pairs", "count", "of networks"),
    Column("Slope", "number", "of the mean deviation"),
    Column("95 % from", "number", "ends of its interval"),
    Column("95 % to", "number", "ends of its interval"),
    Column("Bound", "number", "-1/(2d+4)"),
    Column("Below bound", "choice", "the whole interval"),
    Column("Wider half", "number", "slope over these widths"),
    Column("Distance", "number", "slope of that of matched units"),
    Column("Widest", "number", "its mean deviation"),
    Column("Proof's bound", "number", "of this grid, widest"),
    Column("Unmatched", "number", "share of units, widest"),
)


def initialization_section(scope: Scope) -> Section:
    """Slopes by input dimension and matching; without blocks where nothing was drawn."""
    found, num_left_out = read(scope.store, scope.sweep)
    if not found:
        return Section("random-networks", TITLE, ())
    labels = line_labels(found)
    rows = [_row(line, labels[line.matching, line.grid_cells]) for line in found]
    table = trimmed(Table("slopes", "Slopes by input dimension and matching", _COLUMNS, rows))
    text = f"Left out: {counted(num_left_out, 'row')} with other inputs, draws, alphas or delta than most."
    return Section("random-networks", TITLE, (table, *([Note(text)] if num_left_out else ())), LEAD)


def _row(line: Line, label: str) -> tuple[Value, ...]:
    """Under _COLUMNS."""
    widths = line.widths
    whole = line.slope("deviation_mean")
    wider = line.slope("deviation_mean", widths[max(0, min(len(widths) // 2, len(widths) - 2))])
    distance = line.slope("matching_distance")
    unmatched = _at(line, "num_unmatched", widths[-1])
    return (
        line.input_dim,
        line.activation,
        label,
        f"{widths[0]:,} to {widths[-1]:,}" if len(widths) > 1 else f"{widths[0]:,}",
        0 if whole is None else whole.num_seeds,
        _value(whole),
        None if whole is None else whole.low,
        None if whole is None else whole.high,
        line.exponent_of_bound,
        _is_below(whole, line.exponent_of_bound),
        _value(wider),
        _value(distance),
        _at(line, "deviation_mean", widths[-1]),
        _at(line, "proof_bound", widths[-1]),
        None if unmatched is None else unmatched / widths[-1],
    )


def _value(found: Slope | None) -> float | None:
    return None if found is None else found.value


def _is_below(found: Slope | None, exponent: float) -> str:
    """The verdict in a word."""
    verdict = None if found is None else found.is_below(exponent)
    return "undecided" if verdict is None else "yes" if verdict else "no"


def _at(line: Line, column: str, width: int) -> float | None:
    """Mean over pairs of a column at one width."""
    values = line.values(column).get(width)
    return fmean(values) if values else None
