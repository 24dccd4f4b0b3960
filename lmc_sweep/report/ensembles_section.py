"""Ensembles: networks, averages and disagreement by cell and method."""

from __future__ import annotations

from lmc_sweep.analysis.ensemble_rows import Ensemble, MethodMeans, labels_of, method_means, read
from lmc_sweep.report.cell_tables import trimmed
from lmc_sweep.report.model import Block, Column, Note, Section, Table, Value
from lmc_sweep.report.scope import Scope
from lmc_sweep.report.wording import counted

TITLE = "Ensembles"
LEAD = (
    "Two networks of a cell averaged, after table 3 of Entezari et al. (2021): in weights, the network "
    "halfway between them, and in predictions, the mean of both softmax outputs. Means over the pairs that "
    "every method of a cell has measured, with 95 % bootstrap intervals."
)
_COLUMNS = (
    Column("Cell", "cell"),
    Column("Method", "choice"),
    Column("Examples", "choice"),
    Column("Quantity", "choice", "error: fraction; loss: nats"),
    Column("Networks", "number", "mean of the two, or of a line's ends"),
    Column("Weight average", "number"),
    Column("Prediction average", "number"),
    Column("Disagree", "number", "share of examples on which the two do"),
    Column("Weight from", "number", "end of the interval of the weight average"),
    Column("Weight to", "number", "end of the interval of the weight average"),
    Column("Prediction from", "number", "end of the interval of the prediction average"),
    Column("Prediction to", "number", "end of the interval of the prediction average"),
    Column("Pairs", "count"),
)


def ensembles_section(scope: Scope) -> Section:
    """One row per cell, method, split and quantity; without blocks where there are no ensembles."""
    found = read(scope.store, scope.sweep)
    if not found:
        return Section("ensembles", TITLE, ())
    labels = labels_of(found)
    places = {one.cell: scope.places[one.columns["cell_id"]] for one in found}
    rows: list[tuple[Value, ...]] = []
    left_out = 0
    for split in ("test", "train"):
        for quantity in ("error", "loss"):
            means, num_left_out = method_means(_asked(found, split), split, quantity)
            left_out = max(left_out, num_left_out)
            rows += [
                (places[one.cell], labels[one.method_json], split, quantity, *_row(one)) for one in means
            ]
    order = list(labels.values())
    rows.sort(key=lambda row: (row[0], row[2] != "test", row[3], order.index(str(row[1]))))
    blocks: list[Block] = [trimmed(Table("ensembles", "By cell and method", _COLUMNS, rows))]
    if left_out:
        blocks.append(Note(f"Left out: {counted(left_out, 'pair')} without finite figures of every method."))
    return Section("ensembles", TITLE, tuple(blocks), LEAD)


def _asked(found: list[Ensemble], split: str) -> list[Ensemble]:
    """Those that were to be measured on a split."""
    return [one for one in found if split in one.splits]


def _row(one: MethodMeans) -> tuple[Value, ...]:
    """Under _COLUMNS, from the mean of the networks on."""
    weights, predictions = (one.means[name] for name in ("weight_average", "prediction_average"))
    return (
        one.means["networks"].value,
        weights.value,
        predictions.value,
        one.means["disagreement"].value,
        *(weights.low, weights.high),
        *(predictions.low, predictions.high),
        one.means["networks"].num_values,
    )
