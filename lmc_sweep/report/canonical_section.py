"""Canonical forms: distances between a cell's networks by treatment, and what averages of them compute."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator, Sequence
from statistics import fmean

from lmc_sweep.analysis.canonical_rows import Average, Form, read
from lmc_sweep.report.cell_tables import trimmed
from lmc_sweep.report.model import Column, Section, Table, Value
from lmc_sweep.report.scope import Scope

TITLE = "Canonical forms"
LEAD = (
    "The networks of a cell with their hidden units in order: each sorted by itself (Sorensen 2020), "
    "matched to the first, or merged. Distances are Euclidean, of a parameter tensor as one point, over all "
    "pairs; averages are of weights, over groups of networks one after another."
)
_DISTANCES = (
    Column("Cell", "cell"),
    Column("Treatment", "choice"),
    Column("Tensor", "choice", "all: as one point"),
    Column("Mean", "number", "units as they are"),
    Column("Mean ordered", "number", "units in order"),
    Column("Change", "number", "share of the mean"),
    Column("Min", "number", "units as they are"),
    Column("Max", "number", "units as they are"),
    Column("Min ordered", "number", "units in order"),
    Column("Max ordered", "number", "units in order"),
    Column("Networks", "count"),
    Column("Equal", "count", "networks that equal an earlier one once in order"),
    Column("Partly", "count", "networks that could not be put in order whole"),
)
_AVERAGES = (
    Column("Cell", "cell"),
    Column("Treatment", "choice"),
    Column("Averaged", "count", "networks"),
    Column("Examples", "choice"),
    Column("Error", "number", "of the average, fraction"),
    Column("Error of networks", "number", "themselves, mean"),
    Column("Loss", "number", "of the average, nats"),
    Column("Loss of networks", "number", "themselves, mean"),
    Column("Groups", "count", "averages of other networks"),
)


def canonical_section(scope: Scope) -> Section:
    """Distances and averages; without blocks where no networks were put in order."""
    forms = read(scope.store, scope.sweep)
    if not forms:
        return Section("canonical-forms", TITLE, ())
    forms = sorted(forms, key=lambda form: scope.places[form.columns["cell_id"]])
    distances = [row for form in forms for row in _distances(scope, form)]
    averages = [row for form in forms for row in _averages(scope, form)]
    table = Table(
        "canonical-distances",
        "Distances by treatment",
        _DISTANCES,
        distances,
        "No cell has two networks with finite numbers.",
    )
    blocks = [trimmed(table)]
    if averages:
        blocks.append(trimmed(Table("canonical-averages", "Averages of weights", _AVERAGES, averages)))
    return Section("canonical-forms", TITLE, tuple(blocks), LEAD)


def _distances(scope: Scope, form: Form) -> Iterator[tuple[Value, ...]]:
    """One row per tensor, under _DISTANCES."""
    row = form.columns
    for tensor in form.tensors:
        before, after = form.spread(tensor, "before"), form.spread(tensor, "after")
        yield (
            scope.places[row["cell_id"]],
            form.label,
            tensor,
            *(before.mean, after.mean, form.change(tensor)),
            *(before.smallest, before.largest),
            *(after.smallest, after.largest),
            row["num_finite"],
            row["num_duplicates"],
            row["num_ambiguous"],
        )


def _averages(scope: Scope, form: Form) -> Iterator[tuple[Value, ...]]:
    """One row per number of networks and split, under _AVERAGES."""
    groups: defaultdict[tuple[str, int], list[Average]] = defaultdict(list)
    for average in form.averages:
        groups[average.split, average.num_networks].append(average)
    for (split, size), found in groups.items():
        yield (
            scope.places[form.columns["cell_id"]],
            form.label,
            size,
            split,
            _mean([one.error for one in found]),
            _mean([one.mean_member_error for one in found]),
            _mean([one.loss for one in found]),
            _mean([one.mean_member_loss for one in found]),
            len(found),
        )


def _mean(values: Sequence[float | None]) -> float | None:
    """The mean; None where a value is unknown."""
    known = [value for value in values if value is not None]
    return fmean(known) if known and len(known) == len(values) else None
