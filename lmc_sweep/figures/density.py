"""The density plot: barriers in the real world (x) against our model (y).

After the right panel of figure 1 in Entezari et al. 2021.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmc_sweep.analysis.agreement import SOLVED
from lmc_sweep.analysis.density import (
    COLUMNS,
    CONTROLS,
    NUM_POINTS_LEAST,
    Cloud,
    Density,
    DensityQuestion,
    density,
)
from lmc_sweep.errors import SweepError
from lmc_sweep.figures.density_caption import caption
from lmc_sweep.figures.kernel_density import kernel_density, level_around
from lmc_sweep.figures.looks import METHOD_LOOKS
from lmc_sweep.figures.options import AT, CORRECTION, METHODS, POINTS, QUANTITY, SPLIT, named, settled
from lmc_sweep.figures.sheet import mark_empty

if TYPE_CHECKING:
    from numpy import ndarray

    from lmc_sweep.store.store import Store

OPTIONS = (
    replace(QUANTITY, default="loss"),
    replace(AT, default="supremum"),
    SPLIT,
    CORRECTION,
    POINTS,
    replace(METHODS, summary=f"{METHODS.summary}; best: the lowest barrier that any search found for a pair"),
)

WIDTH_INCHES = 3.5
GRID_STEPS = 200
FAINT = 0.55
"""Opacity of markers that are many."""
CAPTION_POINTS = 6.5
CAPTION_CHARACTERS = 66
CONTROL_LOOKS = tuple((METHOD_LOOKS[name].marker, METHOD_LOOKS[name].color) for name in CONTROLS)
SEARCH_LOOKS = tuple(
    (look.marker, look.color) for name, look in METHOD_LOOKS.items() if name not in (*CONTROLS, "oracle")
)
# Curves of whole networks, in the two worlds that are compared.
SHOWN = "layers IS NULL AND world IN ('real', 'model')"
# Below this the axes are linear, above logarithmic: barriers range over decades, and many are exactly 0.
LINEAR_BELOW = {"loss": 1e-2, "error": 1e-2}


def draw(store: Store, sweep: str | None, options: Mapping[str, str]) -> Any:
    """The density plot of a store, or of one sweep in it, as a matplotlib ``Figure``."""
    values = settled("density", OPTIONS, options)
    methods = values["methods"]
    wanted = methods if methods in ("all", "best") else tuple(named(methods))
    question = DensityQuestion(
        quantity=values["quantity"],  # type: ignore[arg-type]
        extent=values["at"],  # type: ignore[arg-type]
        split=values["split"],
        correction=values["correction"],
        points=values["points"],  # type: ignore[arg-type]
        methods=wanted,
    )
    columns = ", ".join(("barrier_id", *COLUMNS, question.column))
    _refuse_unknown(store, question)
    split, correction = (name.replace("'", "''") for name in (question.split, question.correction))
    shown = f"{SHOWN} AND split = '{split}' AND correction = '{correction}'"
    rows = store.barriers().filter(shown).project(columns).fetchall()
    if sweep is None:
        return drawing(density([row[1:] for row in rows], question))
    asked = store.item_ids(sweep, "barrier")
    found = [row for row in rows if row[0] in asked]
    measured = asked & store.ids("barrier")  # of every world: what is planned is known by its id alone
    unfinished = f"{len(asked - measured)} of the sweep's {len(asked)} barriers, not measured so far"
    return drawing(
        density([row[1:] for row in found], question), [unfinished] if len(measured) < len(asked) else []
    )


def _refuse_unknown(store: Store, question: DensityQuestion) -> None:
    """Refuses names that no barrier of a store with barriers has: misspelled, most likely."""
    found = store.barriers().project("method, split, correction").distinct().fetchall()
    methods = question.methods if isinstance(question.methods, tuple) else ()
    asked = {"method": methods, "split": (question.split,), "correction": (question.correction,)}
    for place, (column, names) in enumerate(asked.items()):
        known = sorted({row[place] for row in found})
        unknown = [name for name in names if known and name not in known]
        if unknown:
            raise SweepError(f"density: no barrier has {column} {unknown[0]!r}. Here: {', '.join(known)}")


def drawing(shown: Density, notes: list[str] | None = None) -> Any:
    """A matplotlib ``Figure`` of one column's width; ``notes`` end the caption."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    lines = caption(shown, notes or [], CAPTION_CHARACTERS)
    line_inches = CAPTION_POINTS * 1.3 / 72
    height = WIDTH_INCHES + line_inches * len(lines)
    figure = Figure(figsize=(WIDTH_INCHES, height))
    FigureCanvasAgg(figure)
    bottom = (line_inches * len(lines) + 0.5) / height
    # Midpoint barriers may lie below 0, and a minus sign makes the numbers of the axis wider.
    left = 0.15 if all(cloud.points.min(initial=0) >= 0 for cloud in shown.clouds) else 0.19
    axes = figure.add_axes((left, bottom, 0.96 - left, 0.81 * WIDTH_INCHES / height))
    _axes(axes, shown)
    _background(axes, shown)
    size, opacity = _weight(sum(len(cloud.points) for cloud in shown.clouds))
    for cloud, (marker, color) in zip(shown.clouds, _looks(shown.clouds), strict=True):
        axes.scatter(
            cloud.points[:, 0],
            cloud.points[:, 1],
            label=_label(cloud),
            zorder=2.5 if cloud.is_solved else 3,
            clip_on=False,
            **_mark(cloud, marker, color, size, opacity),
        )
    if any(len(cloud.points) for cloud in shown.clouds):
        legend = axes.legend(loc="upper left", fontsize=6.5, frameon=False, handletextpad=0.2)
        for handle in filter(None, legend.legend_handles):
            handle.set(sizes=[16], alpha=1, linewidths=0.6)
    else:
        absent = f"no barriers of world {shown.absent_world}" if shown.absent_world else "nothing to show yet"
        axes.text(0.3, 0.8, absent, transform=axes.transAxes, ha="center", fontsize=8)
        mark_empty(figure, [f"Not shown: {note}." for note in (*shown.missing, *(notes or ()))])
    figure.text(
        0.03, 0.012, "\n".join(lines), fontsize=CAPTION_POINTS, va="bottom", linespacing=1.25, color="#222222"
    )
    return figure


def _mark(cloud: Cloud, marker: str, color: str, size: float, opacity: float) -> dict[str, Any]:
    """How a cloud's points are drawn: as ticks on the axis where the method solves our model."""
    if cloud.is_solved:
        width = 1.2 if opacity > FAINT else 0.6
        return {"marker": "|", "s": 22, "alpha": 0.6 * opacity, "color": color, "linewidths": width}
    return {
        "marker": marker,
        "s": size,
        "alpha": opacity,
        "facecolors": color if cloud.searches else "none",
        "edgecolors": "white" if cloud.searches else color,
        "linewidths": (0.025 if cloud.searches else 0.055) * size,
    }


def _label(cloud: Cloud) -> str:
    """A method's name in the legend."""
    return f"after {cloud.label}" if cloud.searches else cloud.label


def _looks(clouds: tuple[Cloud, ...]) -> list[tuple[str, str]]:
    """Marker and color of each cloud: a method's own in every figure, then those that are free."""
    looks: list[tuple[str, str]] = []
    for cloud in clouds:
        known = METHOD_LOOKS.get(cloud.method)
        own = [(known.marker, known.color)] if known else []
        choices = [*own, *(SEARCH_LOOKS if cloud.searches else CONTROL_LOOKS)]
        free = [look for look in choices if look not in looks]
        looks.append((free or choices)[0])
    return looks


def _weight(num_points: int) -> tuple[float, float]:
    """Size and opacity of a marker, both smaller where there are many points, so that their density shows."""
    return max(3.0, min(16.0, 16.0 * (80 / max(num_points, 1)) ** 0.5)), 0.85 if num_points < 300 else FAINT


def _axes(axes: Any, shown: Density) -> None:
    """Shared scales and limits, labels, and the diagonal."""
    unit = "nats" if shown.question.quantity == "loss" else "fraction"
    every = np.concatenate([np.zeros((1, 2)), *(cloud.points for cloud in shown.clouds)])
    linear = LINEAR_BELOW[shown.question.quantity]
    top = max(every.max() * 1.4, 10 * linear)
    low = min(every.min() * 1.4, -0.15 * linear)
    what = {
        "supremum": f"{shown.question.quantity} barrier",
        "midpoint": f"{shown.question.quantity} barrier at 1/2",
    }
    for axis, set_label, world in (("x", axes.set_xlabel, "real world"), ("y", axes.set_ylabel, "our model")):
        getattr(axes, f"set_{axis}scale")("symlog", linthresh=linear, linscale=0.6)
        getattr(axes, f"set_{axis}lim")(low, top)
        set_label(f"{what[shown.question.extent].capitalize()}, {world} ({unit})", fontsize=8, labelpad=2)
    axes.tick_params(labelsize=7, length=2.5, width=0.6)
    axes.plot([low, top], [low, top], color="#999999", linewidth=0.8, linestyle=(0, (4, 3)), zorder=2)
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)


def _background(axes: Any, shown: Density) -> None:
    """Kernel density of the points, on the axes' own scale; of many points, a line around half of each cloud.

    Methods that solve our model are left out: their points lie on the axis.
    """
    if not shown.has_density:
        return
    clouds = [
        (cloud, color)
        for cloud, (_, color) in zip(shown.clouds, _looks(shown.clouds), strict=True)
        if not cloud.is_solved
    ]
    scale = axes.xaxis.get_transform()
    low, high = scale.transform(np.array(axes.get_xlim()))
    grid = np.linspace(low, high, GRID_STEPS)
    edges = scale.inverted().transform(grid)

    def heights(points: ndarray) -> ndarray:
        found: ndarray = kernel_density(scale.transform(points.ravel()).reshape(-1, 2), grid)
        return found

    frame = _possible(axes, shown.question.quantity)
    whole = heights(np.concatenate([cloud.points for cloud, _ in clouds]))
    levels = whole.max() * np.array([0.05, 0.15, 0.3, 0.5, 0.7, 0.9, 1.01])
    shades = ["#f3f6fa", "#e7edf5", "#d9e3ef", "#c9d8e9", "#b8cce2", "#a7bfda"]
    shading = axes.contourf(edges, edges, whole, levels=levels, colors=shades, zorder=1)
    shading.set_clip_path(frame)
    if not shown.has_outlines:
        return
    for cloud, color in clouds:
        left = cloud.points[(cloud.points > SOLVED).all(1)]  # those at 0 would widen the kernel of all
        if len(left) < NUM_POINTS_LEAST or np.linalg.matrix_rank(left - left.mean(0)) < 2:
            continue
        own = heights(left)
        for ink, width, order in (("white", 2.2, 4), (color, 1.1, 5)):
            line = axes.contour(
                edges, edges, own, levels=[level_around(own, 0.5)], colors=ink, linewidths=width, zorder=order
            )
            line.set_clip_path(frame)


def _possible(axes: Any, quantity: str) -> Any:
    """The square from 0 to the most that a barrier can be, which no kernel may leave: an error is at most 1.

    The few barriers at alpha 1/2 below 0 are drawn as points alone.
    """
    from matplotlib.patches import Rectangle

    high = 1.0 if quantity == "error" else float(axes.get_xlim()[1])
    return Rectangle((0, 0), high, high, transform=axes.transData)
