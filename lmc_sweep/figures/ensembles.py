"""Pairs of networks as ensembles, by method: the networks, both averages, and how much the two disagree.

After table 3 of Entezari et al. 2021.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmc_sweep.analysis.ensemble_rows import PREDICTORS, Ensemble, MethodMeans, labels_of, method_means, read
from lmc_sweep.errors import SweepError
from lmc_sweep.figures.kinds_asked import HOW, KINDS, of_kinds
from lmc_sweep.figures.looks import Look, method_looks
from lmc_sweep.figures.options import METHODS, QUANTITY, SPLIT, named, settled
from lmc_sweep.figures.sheet import Entry, name_axes, nothing, sheet
from lmc_sweep.figures.size_panels import draw_lines
from lmc_sweep.figures.words import counted

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

OPTIONS = (
    replace(QUANTITY, summary="error (fraction) or loss (nats) of networks and averages"),
    replace(SPLIT, default="test"),
    METHODS,
    *KINDS,
)
_UNITS = {"error": "fraction", "loss": "nats"}
_PLACES = {
    "networks": "networks",
    "weight_average": "weight\naverage",
    "prediction_average": "prediction\naverage",
}
_SPREAD = 0.6
"""Share of the way from one place to the next over which the methods at a place are spread."""
_MOST_ROWS = 5


def draw(store: Store, sweep: str | None, options: Mapping[str, str]) -> Any:
    """The figure of a store, or of one sweep in it, as a matplotlib ``Figure``."""
    values = settled("ensembles", OPTIONS, options)
    kept, notes = of_kinds("ensembles", read(store, sweep), values, lambda one: one.kind, "ensemble")
    return drawing(_of_methods(kept, values["methods"]), values["quantity"], values["split"], notes)


def drawing(
    found: Sequence[Ensemble], quantity: str = "error", split: str = "test", notes: Sequence[str] = ()
) -> Any:
    """A row of panels for each cell: networks and averages; beside them the disagreement of the two."""
    if not found:
        return nothing(["Not shown: no ensembles here. A sweep asks for them by the key ensembles."])
    measured = [one for one in found if split in one.splits]
    if not measured:
        return nothing([f"Not shown: no ensemble was measured on {split} here."])
    means, num_left_out = method_means(measured, split, quantity)
    dropped = [] if not num_left_out else [_left_out(num_left_out, split)]
    if not means:
        return nothing(dropped)
    labels = {
        text: label for text, label in labels_of(found).items() if text in {m.method_json for m in means}
    }
    looks = method_looks([(_name(text), text) for text in labels])
    cells = list(dict.fromkeys(one.cell for one in means))
    shown = cells[:_MOST_ROWS]
    told = [_told(means, split), *dropped, *notes]
    if len(cells) > len(shown):
        told.append(f"Not shown: {counted(len(cells) - len(shown), 'further cell')}; {HOW}.")
    entries = [Entry(label, replace(looks[text], line="none")) for text, label in labels.items()]
    figure, grid = sheet(len(shown), 2, entries, told, titles=shown)
    for cell, (left, right) in zip(shown, grid, strict=True):
        of_cell = {one.method_json: one for one in means if one.cell == cell}
        _averages(left, of_cell, list(labels), looks)
        name_axes(left, "", f"{quantity.capitalize()}, {split} ({_UNITS[quantity]})", cell)
        _disagreements(right, of_cell, list(labels), looks)
        name_axes(right, "", f"Disagreement of the two, {split} (fraction)")
    return figure


def _averages(
    axes: Any, means: Mapping[str, MethodMeans], order: Sequence[str], looks: Mapping[str, Look]
) -> None:
    """A point with its interval for each method at each of PREDICTORS."""
    lines = {
        text: [
            (place + _beside(number, len(order)), means[text].means[name])
            for place, name in enumerate(PREDICTORS)
        ]
        for number, text in enumerate(order)
        if text in means
    }
    draw_lines(axes, lines, {text: replace(look, line="none") for text, look in looks.items()})
    axes.set_xticks(range(len(PREDICTORS)), [_PLACES[name] for name in PREDICTORS])
    axes.set_xlim(-0.5, len(PREDICTORS) - 0.5)
    for border in range(1, len(PREDICTORS)):
        axes.axvline(border - 0.5, color="#dddddd", linewidth=0.6, zorder=1)


def _disagreements(
    axes: Any, means: Mapping[str, MethodMeans], order: Sequence[str], looks: Mapping[str, Look]
) -> None:
    """A point with its interval for each method."""
    lines = {
        text: [(float(number), means[text].means["disagreement"])]
        for number, text in enumerate(order)
        if text in means
    }
    draw_lines(axes, lines, {text: replace(look, line="none") for text, look in looks.items()})
    axes.set_xticks([])
    axes.set_xlim(-0.7, len(order) - 0.3)
    axes.set_ylim(bottom=0)


def _beside(number: int, count: int) -> float:
    """How far from its place a method is drawn, so that none hides another."""
    return _SPREAD * (number / (count - 1) - 0.5) if count > 1 else 0.0


def _of_methods(found: Sequence[Ensemble], methods: str) -> list[Ensemble]:
    """The rows of the methods that are asked for, by name or label; SweepError for those that no row has."""
    labels = labels_of(found)
    if methods == "all" or not found:
        return list(found)
    asked = {methods} if methods in labels.values() else set(named(methods))
    known = {_name(text) for text in labels} | set(labels.values())
    if unknown := sorted(asked - known):
        raise SweepError(
            f"ensembles: no ensemble is of method {unknown[0]!r}. Here: {', '.join(labels.values())}"
        )
    return [one for one in found if asked & {_name(one.method_json), labels[one.method_json]}]


def _name(method_json: str) -> str:
    return str(json.loads(method_json)["method"])


def _left_out(number: int, split: str) -> str:
    return f"Left out: {counted(number, 'pair')} without finite figures of every method on {split}."


def _told(means: Sequence[MethodMeans], split: str) -> str:
    """What the points are."""
    numbers = sorted({mean.num_values for one in means for mean in one.means.values()})
    pairs = counted(numbers[-1], "pair") if len(numbers) == 1 else f"{numbers[0]} to {numbers[-1]} pairs"
    return (
        f"Means over {pairs} with 95% bootstrap intervals, on {split}, the same pairs for every method. "
        "Networks: mean of the two, which are the ends of the line where one was learned. Weight average: "
        "the network halfway. Prediction average: mean of both softmax outputs. Right: share of examples "
        "that the two predict differently."
    )
