"""Rows of the table ``ensembles`` by cell and method, and their means over pairs."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lmc_sweep.analysis.cell_rows import KIND_COLUMNS, Kind
from lmc_sweep.analysis.intervals import Mean, mean_with_interval
from lmc_sweep.analysis.method_labels import method_labels
from lmc_sweep.analysis.summary import cell_labels

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

METHOD_ORDER = ("independent", "functional_difference", "subspace", "subspace_functional_difference")
PREDICTORS = ("networks", "weight_average", "prediction_average")
"""What is shown of an ensemble: its two networks in the mean, and both averages."""

_KIND = ("dataset", "architecture", "depth", "width", "label_noise")
_COLUMNS = (*_KIND, "ensemble_id", "cell_id", "pair_id", "method", "method_json", "spec_json")
_FIGURES = tuple(
    f"{split}_{name}"
    for split in ("train", "test")
    for name in (
        *(
            f"{predictor}_{quantity}"
            for predictor in ("first", "second", "weight_average", "prediction_average")
            for quantity in ("loss", "error")
        ),
        "disagreement",
    )
)


@dataclass(frozen=True)
class Ensemble:
    """One row: a pair and a method; ``columns`` are those of the table by name."""

    cell: str
    columns: Mapping[str, Any]

    @property
    def kind(self) -> Kind:
        """What the networks of the cell are."""
        return Kind(*(self.columns[name] for name in KIND_COLUMNS))

    @property
    def method_json(self) -> str:
        """The method with all its options."""
        return str(self.columns["method_json"])

    @property
    def pair(self) -> str:
        """The pair, the same for all methods."""
        return str(self.columns["pair_id"])

    @property
    def splits(self) -> tuple[str, ...]:
        """Examples on which it was to be measured."""
        return tuple(json.loads(self.columns["spec_json"])["splits"])

    def figure(self, split: str, name: str, quantity: str) -> float | None:
        """A figure of one of PREDICTORS, or the ``disagreement``; None where it is not known."""
        if name != "networks":
            column = f"{split}_{name}" if name == "disagreement" else f"{split}_{name}_{quantity}"
            found: float | None = self.columns[column]
            return found
        ends = [self.columns[f"{split}_{end}_{quantity}"] for end in ("first", "second")]
        return None if None in ends else sum(ends) / 2


@dataclass(frozen=True)
class MethodMeans:
    """One method on the pairs of one cell that all methods of the cell have measured.

    ``means`` are those of PREDICTORS and of ``disagreement``, over pairs.
    """

    cell: str
    method: str
    method_json: str
    means: Mapping[str, Mean]


def read(store: Store, sweep: str | None) -> list[Ensemble]:
    """The ensembles of a store, or of one sweep in it, cells by data set, architecture and size."""
    asked = None if sweep is None else store.item_ids(sweep, "ensemble")
    columns = (*_COLUMNS, *_FIGURES)
    found = store.ensembles().project(", ".join(columns)).fetchall()
    rows = [
        dict(zip(columns, row, strict=True)) for row in found if asked is None or row[len(_KIND)] in asked
    ]
    labels = cell_labels(store, {row["cell_id"] for row in rows})
    made = [Ensemble(labels[row["cell_id"]], row) for row in rows]
    return sorted(made, key=lambda one: (_sizes(one), one.cell, one.pair, _order(one)))


def labels_of(found: Sequence[Ensemble]) -> dict[str, str]:
    """What each method is called, in the order of table 3 of Entezari et al. 2021, controls first."""
    methods = {one.method_json: _order(one) for one in found}
    return method_labels(sorted(methods, key=lambda text: methods[text]))


def method_means(found: Sequence[Ensemble], split: str, quantity: str) -> tuple[list[MethodMeans], int]:
    """Means by cell and method; and how many pairs are left out, since not every method has their figures."""
    by_cell: dict[str, dict[str, list[Ensemble]]] = defaultdict(lambda: defaultdict(list))
    for one in found:
        by_cell[one.columns["cell_id"]][one.method_json].append(one)
    names = (*PREDICTORS, "disagreement")
    made, num_left_out = [], 0
    for of_cell in by_cell.values():
        known = [
            {one.pair for one in rows if None not in [one.figure(split, name, quantity) for name in names]}
            for rows in of_cell.values()
        ]
        shared = set.intersection(*known)
        num_left_out += len({one.pair for rows in of_cell.values() for one in rows} - shared)
        for method_json, rows in of_cell.items():
            kept = [one for one in rows if one.pair in shared]
            if kept:
                means = {name: _mean(kept, split, name, quantity) for name in names}
                made.append(MethodMeans(kept[0].cell, kept[0].columns["method"], method_json, means))
    return made, num_left_out


def _mean(rows: Sequence[Ensemble], split: str, name: str, quantity: str) -> Mean:
    """Over pairs, all of which have the figure."""
    values = [one.figure(split, name, quantity) for one in rows]
    return mean_with_interval([value for value in values if value is not None])


def _sizes(one: Ensemble) -> tuple[tuple[bool, Any], ...]:
    """Where a cell stands among the others; what has no size comes first."""
    values = [one.columns[name] for name in _KIND]
    return tuple((value is not None, 0 if value is None else value) for value in values)


def _order(one: Ensemble) -> tuple[int, str]:
    """Where a method stands among the others."""
    return METHOD_ORDER.index(one.columns["method"]), one.method_json
