"""The barrier that is left against the time of the search, for all methods on the same pairs."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lmc_sweep.analysis.cell_rows import grouped
from lmc_sweep.analysis.method_labels import method_labels
from lmc_sweep.analysis.search_rows import Searched, SearchQuestion, read, same_pairs
from lmc_sweep.analysis.searches import barrier_mean
from lmc_sweep.figures.cell_options import drawn_together
from lmc_sweep.figures.kinds_asked import HOW, KINDS, of_kinds, spread
from lmc_sweep.figures.looks import Look, label_order, method_looks
from lmc_sweep.figures.methods_asked import of_methods, settled_of_store
from lmc_sweep.figures.options import METHODS
from lmc_sweep.figures.search_options import WHAT, WORLD, place_title, question_of, what_is_missing
from lmc_sweep.figures.sheet import LEGEND_POINTS, Entry, hide, log_x, name_axes, nothing, sheet
from lmc_sweep.figures.words import counted, dropped_pairs, height_label

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

OPTIONS = (*WHAT, WORLD, METHODS, *KINDS)
CONTROLS = ("identity", "random", "oracle")
EFFORT = ("steps", "restarts", "max_iterations", "max_sweeps")
"""Options by which one method takes more or less time: its variants lie on one line."""
STOPPED = ("max_seconds", "max_evaluations")
_MOST_PANELS = 6
_SHORTEST_SECONDS = 1e-5
"""Times are drawn as no less than this: clocks say little below."""


def draw(store: Store, sweep: str | None, options: Mapping[str, str]) -> Any:
    """The figure of a store, or of one sweep in it, as a matplotlib ``Figure``."""
    values = settled_of_store("search_cost", OPTIONS, options, store)
    question = question_of(values)
    rows, notes = of_kinds("search_cost", read(store, sweep, question), values, lambda row: row.place)
    return drawing(of_methods(rows, values["methods"], always=("identity", "oracle")), question, notes)


def drawing(rows: Sequence[Searched], question: SearchQuestion, notes: Sequence[str] = ()) -> Any:
    """A panel for each kind of network: a light point per pair, a heavy mean per method.

    Methods that search nothing are horizontal lines. Variants of one method, such as several numbers of
    steps, are joined by a line in the order of their time. A tick on the axis marks each ``max_seconds``.
    """
    missing = [*what_is_missing(rows, question), *notes]
    kept, num_dropped = same_pairs(rows)
    searched = [row for row in kept if row.name not in CONTROLS]
    if not searched:
        return nothing([*missing, *dropped_pairs(num_dropped)] or ["Not shown: no search of any pair here."])
    places = sorted({row.place for row in searched}, key=lambda place: place.order)
    shown = spread(places, _MOST_PANELS)
    names = {row.method_json: row.name for row in kept if row.place in shown}
    families = _families(names)
    labels = method_labels(dict.fromkeys(families.values()), without=EFFORT)
    order = sorted(labels, key=lambda family: (names[family] not in CONTROLS, label_order(labels[family])))
    looks = method_looks([(names[family], family) for family in order])
    entries = [Entry(labels[family], looks[family]) for family in order]
    in_panels = [row for row in kept if row.place in shown]
    told = [
        _told(in_panels, question),
        *drawn_together(in_panels),
        *dropped_pairs(num_dropped),
        *missing,
    ]
    if len(places) > len(shown):
        told.append(f"Not shown: {counted(len(places) - len(shown), 'further kind')} of network; {HOW}.")
    columns = min(len(shown), 3)
    titles = [place_title(place, places) for place in shown]
    figure, grid = sheet(-(-len(shown) // columns), columns, entries, told, titles=titles)
    panels = [axes for line in grid for axes in line]
    for axes, place in zip(panels, shown, strict=False):
        found = [row for row in kept if row.place == place]
        by_family = grouped(found, lambda row: families[row.method_json])
        for family, of_family in ((name, by_family[name]) for name in order if name in by_family):
            if of_family[0].name in CONTROLS:
                axes.axhline(barrier_mean(of_family).value, color=looks[family].color, linewidth=0.8, ls=":")
            else:
                _line(axes, of_family, looks[family])
        log_x(axes)
        _leave_room(axes, found)
        _mark_budgets(axes, found)
        name_axes(
            axes,
            "Seconds of search per pair",
            height_label(question, question.split),
            place_title(place, places),
        )
    for axes in panels[len(shown) :]:
        hide(axes)
    return figure


def _line(axes: Any, rows: Sequence[Searched], look: Look) -> None:
    """Light points of pairs, hollow where a budget ended the search; means of variants, joined."""
    means = []
    for found in grouped(rows, lambda row: row.method_json).values():
        for is_stopped in (False, True):
            points = [row for row in found if (row.outcome in STOPPED) == is_stopped]
            axes.plot(
                [_seconds(row) for row in points],
                [row.value for row in points],
                **look.drawn(
                    linestyle="none",
                    markersize=2.6,
                    alpha=0.45,
                    markeredgewidth=0.5,
                    markerfacecolor="none" if is_stopped else look.color,
                ),
            )
        seconds = float(np.exp(np.mean([np.log(_seconds(row)) for row in found])))
        means.append((seconds, barrier_mean(found)))
    means.sort(key=lambda point: point[0])
    axes.errorbar(
        [seconds for seconds, _ in means],
        [mean.value for _, mean in means],
        yerr=list(zip(*(mean.reach for _, mean in means), strict=True)),
        elinewidth=0.8,
        capsize=1.5,
        zorder=3,
        **look.drawn(markersize=5.5),
    )


def _leave_room(axes: Any, rows: Sequence[Searched]) -> None:
    """Begins the vertical axis at 0, or below the lowest barrier, and names few places of it."""
    from matplotlib.ticker import MaxNLocator

    low = min(0.0, *(row.value or 0.0 for row in rows))
    top = axes.get_ylim()[1]
    axes.set_ylim(low - (0.04 * (top - low) if low < 0 else 0), top)
    axes.yaxis.set_major_locator(MaxNLocator(nbins=5))


def _mark_budgets(axes: Any, rows: Sequence[Searched]) -> None:
    """A line where the time of a search was bounded."""
    bounds = sorted({float(row.method["max_seconds"]) for row in rows if row.method.get("max_seconds")})
    for index, bound in enumerate(bounds):
        axes.axvline(bound, color="#999999", linewidth=0.6, linestyle=(0, (2, 2)), zorder=1)
        axes.annotate(
            f"{bound:g} s",
            (bound, 1),
            xycoords=("data", "axes fraction"),
            xytext=(1, -1 - LEGEND_POINTS * (index % 2)),
            textcoords="offset points",
            fontsize=LEGEND_POINTS - 1,
            color="#777777",
            va="top",
        )


def _seconds(row: Searched) -> float:
    return max(row.seconds or 0.0, _SHORTEST_SECONDS)


def _families(names: Mapping[str, str]) -> dict[str, str]:
    """JSON of each method to that which stands for its family: alike but for its EFFORT."""
    families: dict[str, str] = {}
    first: dict[str, str] = {}
    for text in names:
        spec = {key: value for key, value in json.loads(text).items() if key not in EFFORT}
        families[text] = first.setdefault(json.dumps(spec, sort_keys=True), text)
    return families


def _told(rows: Sequence[Searched], question: SearchQuestion) -> str:
    """What the points are."""
    num_pairs = len({row.pair for row in rows})
    controls = sorted({row.name for row in rows} & set(CONTROLS))
    told = (
        f"{counted(num_pairs, 'pair')} in all, the same for every method. Light: pairs, hollow where "
        "a budget ended the search; heavy: mean barrier (95% bootstrap interval) at the geometric mean of "
        "the seconds; a line joins one method at several steps or restarts"
    )
    if controls:
        told += "; dotted: " + ", ".join(
            "before alignment" if name == "identity" else name for name in controls
        )
    if any(row.method.get("max_seconds") for row in rows):
        told += "; vertical: max_seconds"
    return f"{told}. World {question.world}, correction {question.correction}."
