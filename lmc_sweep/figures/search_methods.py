"""Barriers before and after each method, by width or depth.

After figures 6, 12 and 15 of Entezari et al. 2021: a column of panels for every number of networks that
were aligned at a time.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lmc_sweep.analysis.cell_rows import grouped
from lmc_sweep.analysis.method_labels import method_labels
from lmc_sweep.analysis.search_rows import Place, Searched, SearchQuestion, finest, read, same_pairs
from lmc_sweep.analysis.searches import barrier_mean
from lmc_sweep.errors import SweepError
from lmc_sweep.figures.cell_options import drawn_together
from lmc_sweep.figures.kinds_asked import HOW, KINDS, of_kinds
from lmc_sweep.figures.looks import Look, label_order, method_looks
from lmc_sweep.figures.methods_asked import of_methods, settled_of_store
from lmc_sweep.figures.options import BY, METHODS, Option
from lmc_sweep.figures.search_options import WHAT, WORLD, question_of, what_is_missing
from lmc_sweep.figures.sheet import Entry, hide, name_axes, nothing, sheet
from lmc_sweep.figures.size_panels import name_numbers
from lmc_sweep.figures.words import counted, dropped_pairs, height_label

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

OPTIONS = (
    *WHAT,
    WORLD,
    METHODS,
    BY,
    *KINDS,
    Option("beside", "none", "another sweep of the store to show with the one named by --sweep"),
)
_MOST_ROWS = 4

Row = tuple[float, str, str, int | None]
"""Label noise, data set, family, and the size that is not on the axis."""


def draw(store: Store, sweep: str | None, options: Mapping[str, str]) -> Any:
    """The figure of a store, or of one sweep in it, as a matplotlib ``Figure``."""
    values = settled_of_store("search_methods", OPTIONS, options, store)
    question = question_of(values)
    rows = read(store, sweep, question)
    if values["beside"] != "none":
        _check_beside(store, sweep, values["beside"])
        rows = finest([*rows, *read(store, values["beside"], question)])
    rows, notes = of_kinds("search_methods", rows, values, lambda row: row.place)
    rows = of_methods(rows, values["methods"], always=("identity",))
    return drawing(rows, question, by=values["by"], notes=notes)


def _check_beside(store: Store, sweep: str | None, beside: str) -> None:
    """Refuses a second sweep without a first, and one that is not there."""
    if sweep is None:
        raise SweepError(f"search_methods: beside={beside} needs --sweep; without it, all sweeps are shown")
    if beside not in store.sweeps():
        raise SweepError(f"search_methods: no sweep {beside!r} here. Known: {', '.join(store.sweeps())}")


def drawing(
    rows: Sequence[Searched], question: SearchQuestion, *, by: str = "width", notes: Sequence[str] = ()
) -> Any:
    """Rows of panels by data set and family, columns by networks aligned at a time, lines by method."""
    missing = [*what_is_missing(rows, question), *notes]
    sized = [row for row in rows if getattr(row.place, by) is not None]
    if rows and not sized:
        missing.append(f"Not shown: these networks have no {by}.")
    kept, num_dropped = same_pairs(sized)
    if not kept:
        return nothing([*missing, *dropped_pairs(num_dropped)])
    lines = sorted({_line(row.place, by) for row in kept}, key=lambda line: (*line[:3], line[3] or 0))
    lines, num_single = _of_several_sizes(lines, kept, by)
    kept = [row for row in kept if _line(row.place, by) in lines]
    members = sorted({row.place.num_networks for row in kept})
    methods = _in_order(kept)
    labels, looks = method_labels(methods), method_looks([(_name(kept, text), text) for text in methods])
    told = [_told(kept, question), *drawn_together(kept), *dropped_pairs(num_dropped), *missing]
    if num_single:
        told.append(f"Not shown: {counted(num_single, 'kind')} of network with one {by} alone.")
    if len(lines) > _MOST_ROWS:
        told.append(f"Not shown: {counted(len(lines) - _MOST_ROWS, 'further row')} of panels; {HOW}.")
    entries = [Entry(labels[text], looks[text]) for text in methods]
    titles = [_title(line, by, num, members) for line in lines[:_MOST_ROWS] for num in members]
    figure, grid = sheet(min(len(lines), _MOST_ROWS), len(members), entries, told, titles=titles)
    for line, of_line in zip(lines, grid, strict=False):
        for num_networks, axes in zip(members, of_line, strict=True):
            found = [
                row for row in kept if _line(row.place, by) == line and row.place.num_networks == num_networks
            ]
            if not found:
                hide(axes)
                continue
            _panel(axes, found, methods, looks, by)
            title = _title(line, by, num_networks, members)
            name_axes(axes, by.capitalize(), height_label(question, question.split), title)
        shared = [axes for axes in of_line if axes.get_visible()]
        top = max(axes.get_ylim()[1] for axes in shared)
        low = min(0.0, *(axes.dataLim.y0 for axes in shared))
        for axes in shared:
            axes.set_ylim(low, top)
    return figure


def _of_several_sizes(lines: Sequence[Row], rows: Sequence[Searched], by: str) -> tuple[list[Row], int]:
    """The rows of panels with more than one size, where there are any, and how many others there are."""
    sizes: dict[Row, set[int]] = {}
    for row in rows:
        sizes.setdefault(_line(row.place, by), set()).add(getattr(row.place, by))
    several = [line for line in lines if len(sizes[line]) > 1]
    return (several, len(lines) - len(several)) if several else (list(lines), 0)


def _panel(
    axes: Any, rows: Sequence[Searched], methods: Sequence[str], looks: Mapping[str, Look], by: str
) -> None:
    """A line of means per method; methods beside each other where they meet at one size."""
    by_method = grouped(rows, lambda row: row.method_json)
    for text, found in ((text, by_method[text]) for text in methods if text in by_method):
        aside = 1.05 ** (methods.index(text) - (len(methods) - 1) / 2)
        by_size = sorted(grouped(found, lambda row: getattr(row.place, by)).items())
        means = [barrier_mean(of_size) for _, of_size in by_size]
        axes.errorbar(
            [size * aside for size, _ in by_size],
            [mean.value for mean in means],
            yerr=list(zip(*(mean.reach for mean in means), strict=True)),
            elinewidth=0.8,
            capsize=1.5,
            **looks[text].drawn(linewidth=0.9),
        )
    sizes = sorted({getattr(row.place, by) for row in rows})
    name_numbers(axes, sizes, sizes[0] / 1.5, sizes[-1] * 1.5, base=2)


def _told(rows: Sequence[Searched], question: SearchQuestion) -> str:
    """What the points are."""
    counts = {
        num: len({row.pair for row in rows if row.place.num_networks == num})
        for num in sorted({row.place.num_networks for row in rows})
    }
    pairs = " and ".join(
        counted(of, "pair") + (f" of networks aligned {num} at a time" if set(counts) != {2} else "")
        for num, of in counts.items()
    )
    groups = "; intervals resample whole groups of networks" if set(counts) != {2} else ""
    return (
        f"Mean over the pairs at each point, {pairs} in all, the same for every method, with 95% bootstrap "
        f"interval{groups}. "
        f"World {question.world}, correction {question.correction}."
    )


def _in_order(rows: Sequence[Searched]) -> list[str]:
    """JSON of all methods: the control first, the others by name."""
    names = {row.method_json: row.name for row in rows}
    labels = method_labels(names)
    return sorted(names, key=lambda text: (names[text] != "identity", label_order(labels[text])))


def _name(rows: Sequence[Searched], text: str) -> str:
    return next(row.name for row in rows if row.method_json == text)


def _line(place: Place, by: str) -> Row:
    """The row of panels that a place belongs to."""
    other = place.depth if by == "width" else place.width
    return place.label_noise, place.dataset, place.architecture, other


def _title(line: Row, by: str, num_networks: int, members: Sequence[int]) -> str:
    """Data set, family, the size that is not on the axis, and n where it is not always two."""
    noise, dataset, family, size = line
    other = "depth" if by == "width" else "width"
    told = f"{dataset} {family}" + (f", {other} {size:,}" if size is not None else "")
    told += f", label noise {noise:g}" if noise else ""
    return told + (f", n = {num_networks}" if list(members) != [2] else "")
