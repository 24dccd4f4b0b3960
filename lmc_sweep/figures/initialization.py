"""Deviations of random networks from linearity against their width: theorem 3.1 of Entezari et al. 2021."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import geometric_mean
from typing import TYPE_CHECKING, Any

from lmc_sweep.analysis.initialization_rows import Line, line_labels, read
from lmc_sweep.analysis.slopes import Slope
from lmc_sweep.figures.looks import Look
from lmc_sweep.figures.options import Option, settled
from lmc_sweep.figures.sheet import LEGEND_POINTS, Entry, name_axes, nothing, sheet
from lmc_sweep.figures.size_panels import name_numbers
from lmc_sweep.figures.words import counted

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

DEVIATION = Option(
    "deviation",
    "mean",
    "mean or largest over draws and inputs of the largest deviation over alphas, what a share 1 - delta of "
    "them does not exceed (quantile), or the mean at alpha 1/2 (halfway)",
    ("mean", "quantile", "max", "halfway"),
)
OPTIONS = (DEVIATION,)
_COLUMNS = {
    "mean": "deviation_mean",
    "quantile": "deviation_quantile",
    "max": "deviation_max",
    "halfway": "deviation_midpoint",
}
_AXES = {
    "mean": "Deviation, mean of largest over alpha",
    "quantile": "Deviation, quantile at 1 - delta",
    "max": "Deviation, largest",
    "halfway": "Deviation, mean at alpha 1/2",
}
_LOOKS = {
    "identity": Look("o", "#5b5b5b", filled=False),
    "grid": Look("^", "#0072b2"),
    "hungarian": Look("s", "#d55e00"),
}
_VARIANTS = (("^", "-"), ("v", (0, (4, 1.5))), ("P", (0, (1, 1.2))), ("X", (0, (4, 1.2, 1, 1.2))))
_BOUND = Look("", "#000000", line=(0, (2, 1.5)))
_MOST_PANELS = 9
_BETWEEN_INCHES = 0.6


def draw(store: Store, sweep: str | None, options: Mapping[str, str]) -> Any:
    """The figure of a store, or of one sweep in it, as a matplotlib ``Figure``."""
    values = settled("initialization", OPTIONS, options)
    found, num_left_out = read(store, sweep)
    return drawing(found, values["deviation"], num_left_out)


def drawing(found: Sequence[Line], deviation: str = "mean", num_left_out: int = 0) -> Any:
    """A panel for every input dimension, in it a line for every matching, with their slopes."""
    if not found:
        return nothing(
            ["Not shown: no random networks here. A sweep asks for them by the key initialization."]
        )
    column = _COLUMNS[deviation]
    panels = list(dict.fromkeys((line.activation, line.input_dim) for line in found))
    shown = panels[:_MOST_PANELS]
    labels = line_labels(found)
    looks = _looks(list(labels))
    several = len({activation for activation, _ in panels}) > 1
    told = _told(found, len(panels) - len(shown), num_left_out)
    entries = [Entry(label, looks[key]) for key, label in labels.items()]
    entries.append(Entry("slope of the bound, -1/(2d+4)", _BOUND))
    columns = min(3, len(shown))
    figure, grid = sheet(
        -(-len(shown) // columns), columns, entries, told, panel_inches=2.1, between_inches=_BETWEEN_INCHES
    )
    places = [axes for line in grid for axes in line]
    limits = _limits(found, column)
    for axes, panel in zip(places, shown, strict=False):
        of_panel = [line for line in found if (line.activation, line.input_dim) == panel]
        _panel(axes, of_panel, column, looks)
        title = f"d = {panel[1]}" + (f", {panel[0]}" if several else "")
        name_axes(axes, "Hidden units", _AXES[deviation], title)
        axes.set_ylim(*limits)
    for axes in places[len(shown) :]:
        axes.set_visible(False)
    return figure


def _panel(
    axes: Any, of_panel: Sequence[Line], column: str, looks: Mapping[tuple[str, str | None], Look]
) -> None:
    """The lines of one input dimension, the bound's slope through the first of them, and slopes in words."""
    widths = sorted({width for line in of_panel for width in line.widths})
    for number, line in enumerate(of_panel):
        look = looks[line.matching, line.grid_cells]
        values = _above_zero(line, column)
        for width, of_width in values.items():
            axes.plot(
                [width] * len(of_width),
                of_width,
                **look.drawn(linestyle="none", markersize=2, alpha=0.35, markeredgewidth=0),
            )
        means = {width: geometric_mean(of_width) for width, of_width in values.items()}
        axes.plot(list(means), list(means.values()), zorder=3, **look.drawn(linewidth=0.9))
        if number == 0 and means:
            start = means[min(means)]
            bound = [start * (width / widths[0]) ** line.exponent_of_bound for width in widths]
            axes.plot(widths, bound, **_BOUND.drawn(linewidth=0.9, zorder=2))
    axes.set_yscale("log")
    name_numbers(axes, widths, widths[0] / 1.3, widths[-1] * 1.3, base=2)
    for number, line in enumerate(reversed(of_panel)):
        axes.text(
            0.03,
            0.03 + 0.075 * number,
            _slope_words(line.slope(column)),
            transform=axes.transAxes,
            fontsize=LEGEND_POINTS,
            color=looks[line.matching, line.grid_cells].color,
        )


def _above_zero(line: Line, column: str) -> dict[int, list[float]]:
    """What has a logarithm, by width."""
    values = {width: [v for v in of if v > 0] for width, of in line.values(column).items()}
    return {width: of for width, of in values.items() if of}


def _limits(found: Sequence[Line], column: str) -> tuple[float, float]:
    """Ends of the vertical axis, the same in all panels; below is room for the slopes in words."""
    values = [value for line in found for of in _above_zero(line, column).values() for value in of]
    low, high = min(values, default=0.1), max(values, default=1.0)
    num_lines = max(Counter((line.activation, line.input_dim) for line in found).values())
    room = (high / low) ** (0.12 * num_lines)
    return low / max(room, 1.5), high * 1.3


def _slope_words(found: Slope | None) -> str:
    """``-0.51 (-0.55 to -0.47)``."""
    if found is None:
        return "no slope"
    if found.low is None or found.high is None:
        return f"{found.value:.3f}"
    return f"{found.value:.3f} ({found.low:.3f} to {found.high:.3f})"


def _looks(keys: Sequence[tuple[str, str | None]]) -> dict[tuple[str, str | None], Look]:
    """The look of every matching; grids of several numbers of cells by marker and line."""
    found: dict[tuple[str, str | None], Look] = {}
    number = 0
    for key in keys:
        own = _LOOKS[key[0]]
        if key[0] == "grid":
            marker, line = _VARIANTS[number % len(_VARIANTS)]
            own = replace(own, marker=marker, line=line, filled=number % 2 == 0)
            number += 1
        found[key] = own
    return found


def _told(found: Sequence[Line], num_panels: int, num_left_out: int) -> list[str]:
    """What the points are, and what is not shown."""
    row = found[0].rows[0]
    num_seeds = max(len({one["seed"] for one in line.rows}) for line in found)
    inputs = f"{counted(row['num_inputs'], 'input')} of length sqrt(d), at {len(row['alphas'])} alphas"
    told = [
        f"Points: geometric mean over up to {counted(num_seeds, 'pair')} of random networks; light: each "
        f"pair, over {counted(row['num_draws'], 'draw')} of output weights and {inputs}. In the panels: "
        "slopes of the lines with 95% intervals over pairs. Dotted: of the theorem's bound the slope "
        "alone, without its logarithms."
    ]
    if len({(line.rows[0]["num_inputs"], line.rows[0]["num_draws"]) for line in found}) > 1:
        told.append("Panels differ in the numbers of inputs or draws; those of the first are given.")
    if num_left_out:
        told.append(
            f"Not shown: {counted(num_left_out, 'row')} with other inputs, draws, alphas or delta than most."
        )
    if num_panels:
        told.append(f"Not shown: {counted(num_panels, 'further panel')}.")
    return told
