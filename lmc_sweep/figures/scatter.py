"""The points of the density plot, colored by family, data set, width and depth.

After figure 10 of Entezari et al. 2021.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmc_sweep.analysis.agreement import SOLVED
from lmc_sweep.analysis.cell_rows import BarrierQuestion, CellBarrier, Kind, grouped, read_barriers
from lmc_sweep.analysis.method_labels import method_labels
from lmc_sweep.analysis.pairing import PointsBy, paired
from lmc_sweep.figures.cell_options import WHAT, diverged, lacking, question_of, unfinished
from lmc_sweep.figures.looks import Look, family_looks, size_looks
from lmc_sweep.figures.methods_asked import of_methods, settled_of_store
from lmc_sweep.figures.options import METHODS, POINTS, SPLIT
from lmc_sweep.figures.sheet import Entry, name_axes, nothing, sheet
from lmc_sweep.figures.words import counted, height_label

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

OPTIONS = (*WHAT, SPLIT, METHODS, POINTS)
CONTROLS = ("identity", "random")
_MOST_COLORS = 7
_MANY = 400
"""Points from which on markers are small."""
_GRAY = "#5b5b5b"
# Below this the axes are linear, above logarithmic, as in the density plot.
_LINEAR_BELOW = 1e-2


@dataclass(frozen=True)
class Dot:
    """One point: its cell's kind, whether a search came before, and the barriers real and model.

    ``solved`` where that search leaves no barrier of the loss in any pair of our model: the point lies on
    the axis by construction.
    """

    kind: Kind
    searched: bool
    real: float
    model: float
    solved: bool = False


def draw(store: Store, sweep: str | None, options: Mapping[str, str]) -> Any:
    """The figure of a store, or of one sweep in it, as a matplotlib ``Figure``."""
    values = settled_of_store("scatter", OPTIONS, options, store)
    question = question_of(values)
    rows = of_methods(read_barriers(store, sweep, question), values["methods"])
    points: PointsBy = values["points"]  # type: ignore[assignment]
    of_loss = replace(question, quantity="loss", extent="supremum")
    losses = rows if of_loss == question else read_barriers(store, sweep, of_loss)
    return drawing(
        rows,
        question,
        split=values["split"],
        points=points,
        solved=solvers([row for row in losses if row.split == values["split"]]),
        notes=unfinished(store, sweep),
    )


def solvers(losses: Sequence[CellBarrier]) -> frozenset[str]:
    """JSON of the methods that leave no barrier of the loss in any pair of our model, as density has them."""
    of_model = grouped([row for row in losses if row.world == "model"], lambda row: row.method_json)
    return frozenset(
        text
        for text, rows in of_model.items()
        if all(row.value is not None and row.value <= SOLVED for row in rows)
    )


def drawing(
    rows: Sequence[CellBarrier],
    question: BarrierQuestion,
    *,
    split: str = "train",
    points: PointsBy = "rank",
    solved: Collection[str] = (),
    notes: Sequence[str] = (),
) -> Any:
    """Four panels of the same points: open before, filled after a search; ticks after those in ``solved``."""
    asked = [row for row in rows if row.split == split]
    told = [*diverged(asked), *notes]
    found = dots(asked, points, solved)
    worlds = {row.world for row in asked}
    if not found:
        lacks = [
            f"Not shown: no barriers of world {name} here."
            for name in ("real", "model")
            if name not in worlds
        ]
        return nothing([*(lacks if worlds else [lacking(question, split=split)]), *told])
    cells = len({row.cell_id for row in asked})
    each = {"rank": "one per cell and rank of its pairs", "cell": "one per cell: the means of its pairs"}
    after = sum(dot.searched for dot in found)
    told = [
        f"{counted(len(found), 'point')}, {each[points]}, method by method: {len(found) - after} before and "
        f"{after} after a search, of {counted(cells, 'cell')}. {split.capitalize()}, correction "
        f"{question.correction}. Axes linear below {_LINEAR_BELOW:g}.",
        *_told_solved(asked, solved),
        *told,
    ]
    entries = [
        Entry("before", Look("o", _GRAY, filled=False, line="none")),
        Entry("after a search", Look("o", _GRAY, line="none")),
    ]
    figure, grid = sheet(2, 2, entries, told, panel_inches=2.7)
    low, high = _limits(found)
    for axes, (name, of) in zip([axes for line in grid for axes in line], _COLORED.items(), strict=True):
        _panel(axes, found, name, of)
        for axis in ("x", "y"):
            getattr(axes, f"set_{axis}scale")("symlog", linthresh=_LINEAR_BELOW, linscale=0.6)
            getattr(axes, f"set_{axis}lim")(low, high)
        axes.plot([low, high], [low, high], color="#999999", linewidth=0.8, linestyle=(0, (4, 3)), zorder=1)
        name_axes(
            axes, height_label(question, "real world"), height_label(question, "our model"), f"By {name}"
        )
    return figure


def _told_solved(rows: Sequence[CellBarrier], solved: Collection[str]) -> list[str]:
    """A sentence on methods whose points lie on the axis by construction."""
    labels = method_labels({row.method_json for row in rows})
    names = sorted(labels[text] for text in solved if text in labels)
    if not names:
        return []
    return [f"Ticks: {', '.join(names)}, solved exactly in every pair of our model, by construction."]


def dots(rows: Sequence[CellBarrier], points: PointsBy, solved: Collection[str] = ()) -> list[Dot]:
    """The points of every cell and method that has barriers in both worlds."""
    measured = [row for row in rows if row.value is not None]
    found = []
    for of_cell in grouped(measured, lambda row: (row.cell_id, row.method_json)).values():
        worlds = [
            np.array([row.value for row in of_cell if row.world == world], dtype=np.float64)
            for world in ("real", "model")
        ]
        first = of_cell[0]
        found += [
            Dot(
                first.kind,
                first.method not in CONTROLS,
                float(real),
                float(model),
                first.method_json in solved,
            )
            for real, model in paired(worlds[0], worlds[1], points)
        ]
    return found


_COLORED: dict[str, Callable[[Kind], Any]] = {
    "family": lambda kind: kind.architecture,
    "data set": lambda kind: kind.dataset,
    "width": lambda kind: kind.width,
    "depth": lambda kind: kind.depth,
}


def ranges(sizes: Sequence[int]) -> dict[int, str]:
    """Each size to its name in the legend: itself, or the range that it shares with its neighbors."""
    parts = np.array_split(np.array(sorted(set(sizes))), min(_MOST_COLORS, len(set(sizes))))
    return {
        int(size): f"{part[0]:,}" if len(part) == 1 else f"{part[0]:,} to {part[-1]:,}"
        for part in parts
        for size in part
    }


def _panel(axes: Any, found: Sequence[Dot], name: str, of: Callable[[Kind], Any]) -> None:
    """All points, colored by one thing, with its legend."""
    from matplotlib.lines import Line2D

    known = sorted({of(dot.kind) for dot in found if of(dot.kind) is not None})
    names = ranges(known) if name in ("width", "depth") else {value: str(value) for value in known}
    labels = list(dict.fromkeys(names.values()))
    looks = (
        family_looks([(label, label) for label in labels]) if name == "family" else dict(size_looks(labels))
    )
    size = 3.6 if len(found) < _MANY else 2.4
    for label in labels:
        of_label = [dot for dot in found if names.get(of(dot.kind)) == label]
        ticks = [dot for dot in of_label if dot.solved]
        axes.plot(
            [dot.real for dot in ticks],
            [dot.model for dot in ticks],
            marker="|",
            linestyle="none",
            markersize=5,
            markeredgewidth=0.5,
            alpha=0.5,
            color=looks[label].color,
            clip_on=False,
            zorder=2.5,
        )
        for searched in (False, True):
            shown = [dot for dot in of_label if dot.searched is searched and not dot.solved]
            look = replace(looks[label], filled=searched)
            axes.plot(
                [dot.real for dot in shown],
                [dot.model for dot in shown],
                **look.drawn(
                    linestyle="none", markersize=size, markeredgewidth=0.6, alpha=0.8, clip_on=False, zorder=3
                ),
            )
    handles = [
        Line2D([], [], label=label, **looks[label].drawn(linestyle="none", markersize=4)) for label in labels
    ]
    axes.legend(
        handles=handles,
        loc="upper left",
        fontsize=6.2,
        frameon=False,
        handletextpad=0.1,
        labelspacing=0.25,
        borderaxespad=0.1,
    )


def _limits(found: Sequence[Dot]) -> tuple[float, float]:
    """Ends of both axes, with 0 between."""
    every = [value for dot in found for value in (dot.real, dot.model)]
    return min(min(every) * 1.4, -0.15 * _LINEAR_BELOW), max(max(every) * 1.4, 10 * _LINEAR_BELOW)
