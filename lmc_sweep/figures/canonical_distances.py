"""Distances between a cell's networks, their units as they are and in order, and what averages compute.

After table 1 of Sorensen 2020, with the averages of its section 5.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from lmc_sweep.analysis.canonical_rows import LOOKS_OF, Form, of_one_cell, read
from lmc_sweep.figures.kinds_asked import HOW, KINDS, of_kinds
from lmc_sweep.figures.looks import Look, method_looks
from lmc_sweep.figures.options import Option, settled
from lmc_sweep.figures.sheet import LEGEND_POINTS, Entry, hide, name_axes, nothing, sheet
from lmc_sweep.figures.size_panels import name_numbers
from lmc_sweep.figures.words import counted

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

QUANTITY = Option(
    "quantity", "error", "error (fraction) or loss (nats) of averaged networks", ("error", "loss")
)
CELL = Option("cell", "most", "how a cell_id begins; most: the cell of most networks")
OPTIONS = (QUANTITY, CELL, *KINDS)
_LINES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (4, 1.2, 1, 1.2)), (0, (7, 2)))
_MEMBERS = Look("", "#000000", line=(0, (2, 1.5)))
_MOST_TENSORS = 6
_NAMES = {"error": "Error", "loss": "Loss, nats"}


def draw(store: Store, sweep: str | None, options: Mapping[str, str]) -> Any:
    """The figure of a store, or of one sweep in it, as a matplotlib ``Figure``."""
    values = settled("canonical_distances", OPTIONS, options)
    begins = "" if values["cell"] == "most" else values["cell"]
    found = read(store, sweep)
    named = [form for form in found if form.columns["cell_id"].startswith(begins)]
    kept, notes = of_kinds("canonical_distances", named, values, lambda form: form.kind, "cell")
    return drawing(kept if named else found, values["quantity"], begins, notes)


def drawing(
    found: Sequence[Form], quantity: str = "error", begins: str = "", notes: Sequence[str] = ()
) -> Any:
    """Panels of distances, one for each weight tensor; below them averages against their number."""
    forms = of_one_cell(found, begins)
    if not forms:
        return nothing([_lacking(found, begins), *notes])
    looks = _looks(forms)
    weights = [name for name in forms[0].tensors if not name.endswith(".bias")]
    tensors = weights if len(weights) <= _MOST_TENSORS else [*weights[: _MOST_TENSORS - 1], weights[-1]]
    splits = sorted({one.split for form in forms for one in form.averages}, reverse=True)
    columns = min(3, len(tensors))
    above = -(-len(tensors) // columns)
    below = -(-len(splits) // columns)
    entries = [Entry(form.label, looks[form.label]) for form in forms]
    if splits:
        entries.append(Entry("the averaged networks, mean", _MEMBERS))
    told = [*_told(forms, found, len(weights) - len(tensors)), *notes]
    figure, grid = sheet(above + below, columns, entries, told)
    upper = [axes for line in grid[:above] for axes in line]
    lower = [axes for line in grid[above:] for axes in line]
    for axes in (*upper[len(tensors) :], *lower[len(splits) :]):
        hide(axes)
    for axes, name in zip(upper, tensors, strict=False):
        _distances(axes, name, forms, looks)
        title = "All parameters" if name == "all" else name
        name_axes(axes, "Distance of two networks", "Share of pairs per unit", title)
    for axes, split in zip(lower, splits, strict=False):
        _averages(axes, split, forms, looks, quantity)
        name_axes(axes, "Networks averaged", f"{_NAMES[quantity]} of the average", f"Averages, {split}")
    return figure


def _distances(axes: Any, tensor: str, forms: Sequence[Form], looks: Mapping[str, Look]) -> None:
    """An outline for each treatment, and by how much the mean distance changes."""
    highest = 0.0
    for form in forms:
        spread, look = form.spread(tensor, "after").coarser(), looks[form.label]
        densities = spread.densities
        highest = max(highest, *densities)
        axes.stairs(densities, spread.edges, color=look.color, linestyle=look.line, linewidth=1.0)
        axes.plot([spread.mean], [0], clip_on=False, zorder=4, **look.drawn(linestyle="none"))
    changed = [form for form in forms if form.columns["treatment"] != "raw"]
    axes.set_ylim(0, (highest or 1.0) * (1.08 + 0.1 * len(changed)))
    for number, form in enumerate(changed):
        change = form.change(tensor)
        axes.text(
            0.98,
            0.98 - 0.075 * number,
            _percent(change),
            transform=axes.transAxes,
            ha="right",
            va="top",
            fontsize=LEGEND_POINTS,
            color=looks[form.label].color,
        )


def _averages(axes: Any, split: str, forms: Sequence[Form], looks: Mapping[str, Look], quantity: str) -> None:
    """A line through the means over groups, each group beside it; dotted, the networks themselves."""
    sizes = sorted({one.num_networks for form in forms for one in form.averages if one.split == split})
    members: dict[int, list[float]] = {}
    for form in forms:
        means = {}
        for size in sizes:
            of_size = [one for one in form.averages if (one.num_networks, one.split) == (size, split)]
            values = [getattr(one, quantity) for one in of_size if getattr(one, quantity) is not None]
            known = [getattr(one, f"mean_member_{quantity}") for one in of_size]
            members.setdefault(size, []).extend(value for value in known if value is not None)
            if values:
                means[size] = fmean(values)
                look = replace(looks[form.label], filled=True)
                single = look.drawn(linestyle="none", markersize=2.5, alpha=0.45, markeredgewidth=0)
                axes.plot([size] * len(values), values, **single)
        axes.plot(list(means), list(means.values()), zorder=3, **looks[form.label].drawn())
    own = {size: fmean(values) for size, values in members.items() if values}
    axes.plot(list(own), list(own.values()), zorder=2, **_MEMBERS.drawn(linewidth=0.9))
    drawn = [value for line in axes.get_lines() for value in line.get_ydata()]
    if drawn and 0 < 10 * min(drawn) < max(drawn):
        _name_powers(axes, min(drawn), max(drawn))
    else:
        axes.set_ylim(bottom=0)
    if sizes:
        name_numbers(axes, sizes, sizes[0] / 1.3, sizes[-1] * 1.3)


def _name_powers(axes: Any, low: float, high: float) -> None:
    """Makes the vertical axis logarithmic; of few powers of ten, twice and five times them are named too."""
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    axes.set_yscale("log")
    if high < 100 * low:
        axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
        axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
        axes.yaxis.set_minor_formatter(NullFormatter())


def _percent(change: float | None) -> str:
    """A relative change: ``-5.21 %``; without a sign where it rounds to 0."""
    if change is None:
        return "mean was 0"
    return f"{100 * change:+.2f} %" if abs(change) >= 5e-5 else "0.00 %"


def _looks(forms: Sequence[Form]) -> dict[str, Look]:
    """The look of each treatment: that of the method of the same idea, outlines told apart by their lines."""
    named = [(LOOKS_OF.get(form.columns["treatment"], "random"), form.label) for form in forms]
    return {
        label: replace(look, line=_LINES[number % len(_LINES)])
        for number, (label, look) in enumerate(method_looks(named).items())
    }


def _lacking(found: Sequence[Form], begins: str) -> str:
    """Why nothing is shown."""
    if not found:
        return "Not shown: no networks were put in order here. A sweep asks for it by the key canonical."
    if begins and not any(form.columns["cell_id"].startswith(begins) for form in found):
        return f"Not shown: no cell_id begins with {begins!r}."
    return "Not shown: fewer than two networks of the cell have finite numbers."


def _told(forms: Sequence[Form], found: Sequence[Form], num_tensors: int) -> list[str]:
    """What was compared, what numbers say, and what is not shown."""
    row = forms[0].columns
    sizes = "".join(f", {name} {row[name]}" for name in ("width", "depth") if row[name] is not None)
    told = [
        f"{counted(row['num_finite'], 'network')} of {row['dataset']} {row['architecture']}{sizes}, "
        f"{counted(row['num_pairs'], 'pair')}. Distances are Euclidean, of a tensor as one point; markers "
        "at their means. In the panels: change of the mean distance from raw."
    ]
    if any(form.averages for form in forms):
        told.append("Averages: lines join means over groups of networks, which stand beside them one by one.")
    left_out = row["num_networks"] - row["num_finite"]
    if left_out:
        told.append(f"Left out: {counted(left_out, 'network')} with numbers that are not finite.")
    ambiguous = max(form.columns["num_ambiguous"] or 0 for form in forms)
    if ambiguous:
        told.append(f"Up to {counted(ambiguous, 'network')} could not be put in order whole.")
    if num_tensors:
        told.append(f"Not shown: {counted(num_tensors, 'further tensor')}.")
    others = len({(form.columns["cell_id"], form.columns["num_networks"]) for form in found}) - 1
    if others:
        told.append(f"Not shown: {counted(others, 'further cell')}; {HOW}, and cell=... by its id.")
    return told
