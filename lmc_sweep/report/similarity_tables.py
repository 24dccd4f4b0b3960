"""The statistical comparison of the two worlds, over all cells and cell by cell."""

from __future__ import annotations

from typing import Any

from lmc_sweep.analysis.comparison import Comparison, Similarity
from lmc_sweep.analysis.margins import DEFAULT_MARGIN
from lmc_sweep.analysis.similarity import similarity
from lmc_sweep.analysis.world_pairs import COLUMNS
from lmc_sweep.report.cell_tables import trimmed
from lmc_sweep.report.model import Block, Column, Note, Section, Table, Value
from lmc_sweep.report.scope import WHOLE, Scope

TITLE = "Statistical comparison"
LEAD = (
    "Whether barriers of the real world and of our model are alike. Equivalent: the difference of means is "
    "within 10% of the mean barrier before search, by two one-sided tests; different: by a test of means; "
    "solved: the search leaves no barrier in our model, so there is nothing to compare. p-values are "
    "corrected for their number: after Holm over all cells, after Benjamini and Hochberg cell by cell."
)
_NOTHING = "Nothing to compare: no cell has two independent pairs in each world."
QUESTIONS = (("loss", "loss_barrier", "loss, largest"), ("error", "error_midpoint_barrier", "error, at 1/2"))
"""The barrier of the definition, and the one that the paper's scripts report."""

_MEANS = (
    Column("Barrier", "choice"),
    Column("Method", "choice"),
    Column("Examples", "choice"),
    Column("Correction", "choice"),
    Column("Verdict", "choice"),
    Column("Real pairs", "count"),
    Column("Model pairs", "count"),
    Column("Real mean", "number"),
    Column("Model mean", "number"),
    Column("Real - model", "number"),
    Column("95 % from", "number", "ends of the interval of"),
    Column("95 % to", "number", "real - model"),
    Column("p", "share", "of no difference"),
    Column("Margin", "number", "largest difference that counts as none"),
    Column("p equivalent", "share", "of a difference as large as the margin"),
)
_OVERALL = (
    Column("Cells", "count"),
    Column("Solved cells", "count", "not compared: the method leaves no barrier in our model"),
    Column("Recovered", "number", "share of pairs of our model that are left without a barrier"),
    Column("Wasserstein", "number", "distance of the distributions within cells, mean over cells"),
    Column("Pearson", "number", "correlation of mean barriers over cells"),
    Column("Spearman", "number", "rank correlation of mean barriers over cells"),
    Column("Concordance", "number", "agreement of mean barriers over cells"),
)


def similarity_tables(scope: Scope) -> Section:
    """The comparison over all cells, then of each cell."""
    overall: list[tuple[Value, ...]] = []
    cells: list[tuple[Value, ...]] = []
    notes: list[str] = []
    for quantity, column, label in QUESTIONS:
        found = _compared(scope, column)
        ordered = sorted(found.overall, key=lambda one: one.split != "train")
        overall += [(*_means(label, one), *_overall(one)) for one in ordered]
        cells += [
            (scope.places[one.cell.cell_id], *_means(label, one))
            for one in found.cells
            if one.cell is not None
        ]
        notes += [f"{quantity.capitalize()}: {note}." for note in found.missing]
    tables = (
        Table("comparison", "Over all cells", (*_MEANS, *_OVERALL), overall, _NOTHING),
        Table("comparison-cells", "Cell by cell", (Column("Cell", "cell"), *_MEANS), cells, _NOTHING),
    )
    blocks: list[Block] = [trimmed(table) for table in tables]
    blocks += [Note(note) for note in dict.fromkeys(notes)]
    return Section("comparison", TITLE, tuple(blocks), LEAD, "Comparison")


def _compared(scope: Scope, column: str) -> Similarity:
    """The comparison of one kind of barrier."""
    rows = scope.ask(f"""
        SELECT {", ".join(COLUMNS)}, {column} AS compared FROM barriers
        WHERE {WHOLE} AND world IN ('real', 'model') AND {scope.of_sweep("barrier")}""")
    return similarity([tuple(row.values()) for row in rows], DEFAULT_MARGIN, is_brief=True)


def _means(label: str, one: Comparison) -> tuple[Value, ...]:
    """Under _MEANS."""
    found, adjusted = one.difference, one.adjusted
    difference: Any = getattr(found, "difference", None)
    return (
        label,
        one.method,
        one.split,
        one.correction,
        one.verdict,
        one.num_real_pairs,
        one.num_model_pairs,
        one.real_mean,
        one.model_mean,
        getattr(difference, "value", None),
        getattr(difference, "low", None),
        getattr(difference, "high", None),
        getattr(adjusted, "p_value", None),
        getattr(found, "margin", None),
        getattr(adjusted, "p_equivalence", None),
    )


def _overall(one: Comparison) -> tuple[Value, ...]:
    """Under _OVERALL."""
    coefficients = (getattr(one.over_cells, name, None) for name in ("pearson", "spearman", "concordance"))
    return (
        one.num_cells,
        one.num_solved_cells,
        one.recovery_rate,
        getattr(one.distances, "wasserstein", None),
        *(getattr(found, "value", None) for found in coefficients),
    )
