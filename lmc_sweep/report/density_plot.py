"""The density plot that the reader can point at: every barrier of the real world against our model."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any, get_args

from lmc_sweep.analysis.cell_points import CellPoints, cell_points
from lmc_sweep.analysis.density import COLUMNS, DensityQuestion, Extent, Quantity
from lmc_sweep.analysis.method_labels import method_labels
from lmc_sweep.analysis.pairing import PointsBy
from lmc_sweep.figures.density import LINEAR_BELOW
from lmc_sweep.figures.looks import method_looks
from lmc_sweep.report.model import DensityPlot, Look, Note, PlotView, Points, Section
from lmc_sweep.report.scope import WHOLE, Scope
from lmc_sweep.report.wording import counted

TITLE = "Real world against our model"
MOST_ROWS = 100_000
"""Barriers beyond which a point is a cell: so many points are neither read nor drawn one by one."""

_WORLDS = {"real": "the real world", "model": "our model"}
_HEIGHTS = {"supremum": "largest", "midpoint": "at alpha 1/2"}
_NO_ROWS = (
    "There are no barriers of worlds real and model yet. A sweep file asks for both by worlds: [real, model]."
)


def density_plot(scope: Scope) -> Section:
    """The plot with all its views: loss and error, both heights, every split and correction."""
    values = [f"{quantity}_{extent}" for quantity in get_args(Quantity) for extent in get_args(Extent)]
    columns = [
        *COLUMNS,
        *(f"{DensityQuestion(*name.split('_')).column} AS {name}" for name in values),  # type: ignore[arg-type]
    ]
    columns[COLUMNS.index("alphas")] = "range(len(alphas)) AS alphas"  # how fine the grid is, and no more
    rows = scope.ask(f"""
        SELECT {", ".join(columns)} FROM barriers
        WHERE {WHOLE} AND world IN ('real', 'model') AND {scope.of_sweep("barrier")}""")
    if not rows:
        return Section("density", TITLE, (Note(_NO_ROWS),), entry="Density plot")
    by: PointsBy = "rank" if len(rows) <= MOST_ROWS else "cell"
    kinds = sorted({(row["split"], row["correction"]) for row in rows}, key=_kind_order)
    views = tuple(
        _view(scope, rows, DensityQuestion(quantity, extent, split, correction, by), list(scope.methods))
        for quantity in get_args(Quantity)
        for extent in get_args(Extent)
        for split, correction in kinds
    )
    if not any(view.clouds for view in views):
        return Section("density", TITLE, (Note(_why_empty(rows)),), entry="Density plot")
    controls = (
        ("Barrier of the", get_args(Quantity)),
        ("Height", tuple(_HEIGHTS.values())),
        ("Examples", tuple(dict.fromkeys(split for split, _ in kinds))),
        ("Correction", tuple(dict.fromkeys(correction for _, correction in kinds))),
    )
    plot = DensityPlot(
        name="density-plot",
        caption=_caption(by),
        controls=controls,
        looks=_looks(scope.methods),
        views=views,
        linear_below=LINEAR_BELOW["loss"],
    )
    return Section("density", TITLE, (plot,), entry="Density plot")


def _why_empty(rows: Sequence[Mapping[str, Any]]) -> str:
    """Why not one point can be shown, though there are barriers."""
    worlds = sorted({_WORLDS[row["world"]] for row in rows if row["loss_supremum"] is not None})
    if len(worlds) == 1:
        (absent,) = set(_WORLDS.values()) - set(worlds)
        return (
            f"There are barriers of {worlds[0]} alone: there are none of {absent} to set them against. "
            "A sweep file asks for both by worlds: [real, model]."
        )
    return "No cell has a barrier in each world: their networks diverged, or are not measured yet."


def _caption(by: PointsBy) -> str:
    """What a point is, and how to use the plot."""
    each = {
        "rank": "Each point joins a barrier of the real world with one of our model: of pairs of equal rank "
        "in their cell, since pairs of the two worlds have no natural partner.",
        "cell": "Each point is a cell: the means of its pairs.",
    }
    return (
        f"{each[by]} On the dashed line both are equal. Choose a point to see its cell alone, here and in "
        "the tables; a cell's name in a table does the same. The legend shows and hides methods."
    )


def _looks(methods: Mapping[str, str]) -> tuple[Look, ...]:
    """The look of every method, as in all figures."""
    found = method_looks([(json.loads(text)["method"], text) for text in methods])
    return tuple(
        Look(label, str(found[text].marker), found[text].color, found[text].filled)
        for text, label in methods.items()
    )


def _view(
    scope: Scope, rows: Sequence[Mapping[str, Any]], question: DensityQuestion, methods: Sequence[str]
) -> PlotView:
    """The points of one question."""
    value = f"{question.quantity}_{question.extent}"
    asked = [[row[name] for name in (*COLUMNS, value)] for row in rows]
    found, notes = cell_points(asked, question)
    measured = {
        row["method_json"]
        for row in rows
        if (row["split"], row["correction"]) == (question.split, question.correction)
        if row[value] is not None
    }
    # In a view with fewer methods a label may be shorter: the look goes by the method itself.
    places = {label: methods.index(text) for text, label in method_labels(measured).items()}
    return PlotView(
        choices=(question.quantity, _HEIGHTS[question.extent], question.split, question.correction),
        unit="nats" if question.quantity == "loss" else "fraction",
        axis=f"{question.quantity} barrier{' at alpha 1/2' if question.extent == 'midpoint' else ''}",
        clouds=tuple(_cloud(scope, cloud, places[cloud.label]) for cloud in found if len(cloud.points)),
        notes=(counted(sum(len(cloud.points) for cloud in found), "point"), *notes),
    )


def _cloud(scope: Scope, cloud: CellPoints, look: int) -> Points:
    """The points of one method, cells by place."""
    return Points(
        look=look,
        cells=[scope.places[cell] for cell in cloud.cells],
        real=cloud.points[:, 0].tolist(),
        model=cloud.points[:, 1].tolist(),
    )


def _kind_order(kind: tuple[str, str]) -> tuple[bool, str, bool, str]:
    """Train before test, no correction before others."""
    split, correction = kind
    return split != "train", split, correction != "none", correction
