"""The barriers between all pairs of a cell's networks: direct, over a third one, over chains; as matrices.

After figure 18 of Entezari et al. 2021.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmc_sweep.analysis.cell_rows import BarrierQuestion, grouped
from lmc_sweep.analysis.matrix_rows import WAYS, Matrix, read
from lmc_sweep.analysis.method_labels import method_labels
from lmc_sweep.figures.cell_options import kind_label, unfinished
from lmc_sweep.figures.kinds_asked import HOW, KINDS, of_kinds, spread
from lmc_sweep.figures.looks import label_order, method_looks
from lmc_sweep.figures.methods_asked import of_methods, settled_of_store
from lmc_sweep.figures.options import AT, CORRECTION, METHODS, QUANTITY, SPLIT
from lmc_sweep.figures.sheet import TICK_POINTS, Entry, name_axes, nothing, sheet
from lmc_sweep.figures.size_lines import line_order
from lmc_sweep.figures.words import counted, height_label

if TYPE_CHECKING:
    from lmc_sweep.figures.looks import Look
    from lmc_sweep.store.store import Store

OPTIONS = (
    replace(QUANTITY, default="loss"),
    replace(AT, default="supremum"),
    CORRECTION,
    SPLIT,
    METHODS,
    *KINDS,
)
_NAMES = {"direct": "direct", "indirect": "over a third network", "bottleneck": "over chains"}
_LINES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (4, 1.2, 1, 1.2)))
_MOST_CELLS, _MOST_METHODS, _MOST_BINS, _LEAST_BINS = 4, 4, 40, 8
_PANEL_INCHES, _BETWEEN_INCHES = 1.25, 0.5
_MATRIX_SHARE = 0.78
"""Of the width of a panel: beside it stand the numbers of its colors."""
_UNKNOWN = "#dddddd"


def draw(store: Store, sweep: str | None, options: Mapping[str, str]) -> Any:
    """The figure of a store, or of one sweep in it, as a matplotlib ``Figure``."""
    values = settled_of_store("pair_histograms", OPTIONS, options, store)
    question = BarrierQuestion(
        quantity=values["quantity"],  # type: ignore[arg-type]
        extent=values["at"],  # type: ignore[arg-type]
        correction=values["correction"],
    )
    found, num_left_out = read(store, sweep, question, values["split"])
    found, notes = of_kinds("pair_histograms", found, values, lambda one: one.kind)
    if num_left_out:
        of = "matrix" if num_left_out == 1 else "matrices"
        notes.append(f"Not shown: {num_left_out:,} {of} of fewer pairs, or measured at fewer alphas.")
    notes += unfinished(store, sweep, "barrier_matrix")
    return drawing(of_methods(found, values["methods"]), question, values["split"], notes)


def drawing(
    found: Sequence[Matrix], question: BarrierQuestion, split: str = "train", notes: Sequence[str] = ()
) -> Any:
    """A row of panels for each cell: three histograms, and the matrix before and after."""
    if not found:
        asked = f"of height {question.extent} on {split}, with correction {question.correction!r}"
        return nothing(
            [
                f"Not shown: no matrix of barriers {asked} here. A sweep asks for them by the key all_pairs.",
                *notes,
            ]
        )
    by_cell = grouped(found, lambda one: one.cell_id)
    order = sorted(
        by_cell, key=lambda cell: (by_cell[cell][0].kind.dataset, line_order(by_cell[cell][0].kind))
    )
    shown = spread(order, _MOST_CELLS)
    methods = _methods([one for cell in shown for one in by_cell[cell]])
    told = [_told(by_cell, shown, question, split), *notes]
    if others := [f"'{label}'" for label in list(methods.values())[_MOST_METHODS:]]:
        told.append(f"Not shown: {', '.join(others)}; methods=... names those that are.")
        methods = dict(list(methods.items())[:_MOST_METHODS])
    if len(order) > len(shown):
        told.append(f"Not shown: {counted(len(order) - len(shown), 'further cell')}; {HOW}.")
    names = {one.method_json: one.method for one in found}
    looks = {
        text: replace(look, line=_LINES[number % len(_LINES)])
        for number, (text, look) in enumerate(method_looks([(names[text], text) for text in methods]).items())
    }
    titles = [title for cell in shown for title in _titles(by_cell[cell], methods)]
    figure, grid = sheet(
        len(shown),
        len(WAYS) + 1,
        [Entry(label, looks[text]) for text, label in methods.items()],
        told,
        titles=titles,
        panel_inches=_PANEL_INCHES,
        between_inches=_BETWEEN_INCHES,
    )
    for cell, row in zip(shown, grid, strict=True):
        of_cell = [one for one in by_cell[cell] if one.method_json in methods]
        _histograms(row[:-1], of_cell, looks)
        for axes, title in zip(row, _titles(of_cell, methods), strict=True):
            is_matrix = axes is row[-1]
            x = "Network" if is_matrix else height_label(question)
            name_axes(axes, x, "Network" if is_matrix else "Pairs" if axes is row[0] else "", title)
        _matrix(row[-1], *_before_and_after(of_cell, methods))
    return figure


def _methods(found: Sequence[Matrix]) -> dict[str, str]:
    """JSON of all methods to their labels: the control first, the others by name."""
    names = {one.method_json: one.method for one in found}
    labels = method_labels(names)
    order = sorted(names, key=lambda text: (names[text] != "identity", label_order(labels[text])))
    return {text: labels[text] for text in order}


def _titles(of_cell: Sequence[Matrix], methods: Mapping[str, str]) -> list[str]:
    """What the panels of a cell show."""
    before, after = _before_and_after([one for one in of_cell if one.method_json in methods], methods)
    kind = kind_label(of_cell[0].kind)
    if before is after:
        matrix = methods[after.method_json]
    else:
        matrix = f"{methods[before.method_json]} (below), {methods[after.method_json]} (above)"
    return [f"{kind}: direct", *(_NAMES[way] for way in WAYS[1:]), matrix]


def _before_and_after(of_cell: Sequence[Matrix], methods: Mapping[str, str]) -> tuple[Matrix, Matrix]:
    """The control, and of the other methods that with the lowest mean barrier; one twice if it is alone."""
    order = list(methods)
    in_order = sorted(of_cell, key=lambda one: order.index(one.method_json))
    before, others = in_order[0], in_order[1:]
    known = [one for one in others if len(one.known("direct"))]
    return before, min(known, key=lambda one: float(one.known("direct").mean()), default=before)


def _histograms(row: Sequence[Any], of_cell: Sequence[Matrix], looks: Mapping[str, Look]) -> None:
    """An outline for each method, in the same bins in all panels of a cell."""
    from matplotlib.ticker import MaxNLocator

    edges = _edges([one.known(way) for one in of_cell for way in WAYS])
    step = edges[1] - edges[0]
    for axes, way in zip(row, WAYS, strict=True):
        most = 1
        for one in of_cell:
            values = one.known(way)
            if not len(values):
                continue
            look = looks[one.method_json]
            counts, _ = np.histogram(values, edges)
            most = max(most, int(counts.max()))
            axes.stairs(counts, edges, color=look.color, linestyle=look.line, linewidth=1.0)
            axes.stairs(counts, edges, fill=True, color=look.color, alpha=0.12)
            axes.plot([np.median(values)], [0], clip_on=False, zorder=4, **look.drawn(linestyle="none"))
        if not any(len(one.known(way)) for one in of_cell):
            told = "no such way"
            axes.text(0.5, 0.5, told, transform=axes.transAxes, ha="center", fontsize=7, color="#777777")
        axes.set_xlim(edges[0] - (step / 4 if edges[0] < 0 else 0), edges[-1] + step / 4)
        axes.set_ylim(0, 1.08 * most)
        axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
        axes.xaxis.set_major_locator(MaxNLocator(nbins=4))


def _edges(values: Sequence[np.ndarray]) -> np.ndarray:
    """Ends of the bins, 0 among the values."""
    every = np.concatenate([np.zeros(1), *values])
    low, high = float(every.min()), float(every.max())
    most = max(map(len, values), default=1)
    # twice the rule of Rice: before and after alignment share the bins, and one of them is narrow
    bins = min(_MOST_BINS, max(_LEAST_BINS, round(4 * most ** (1 / 3))))
    return np.linspace(low, high if high > low else low + 1.0, bins + 1)


def _matrix(axes: Any, before: Matrix, after: Matrix) -> None:
    """Before alignment below the diagonal and after it above, in the same colors."""
    from matplotlib import colormaps
    from matplotlib.ticker import MaxNLocator

    num = max(before.num_networks, after.num_networks)
    joined = np.full((num, num), np.nan)
    for one, triangle in ((before, np.tril_indices), (after, np.triu_indices)):
        places = triangle(one.num_networks, -1 if triangle is np.tril_indices else 1)
        joined[places] = one.square[places]
    image = axes.imshow(
        np.ma.masked_invalid(joined),
        cmap=colormaps["viridis"].with_extremes(bad=_UNKNOWN),
        vmin=float(np.nanmin(joined, initial=0.0)),
        interpolation="nearest",
    )
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=4))
    place = axes.get_position()
    axes.set_position((place.x0, place.y0, _MATRIX_SHARE * place.width, place.height))
    beside = axes.inset_axes((1.06, 0.0, 0.07, 1.0))
    axes.figure.colorbar(image, cax=beside)
    beside.tick_params(labelsize=TICK_POINTS - 1, length=2, width=0.5)
    beside.yaxis.set_major_locator(MaxNLocator(nbins=4))
    beside.spines["outline"].set_linewidth(0.5)


def _told(
    by_cell: Mapping[str, Sequence[Matrix]], shown: Sequence[str], question: BarrierQuestion, split: str
) -> str:
    """What the outlines and colors are."""
    matrices = [one for cell in shown for one in by_cell[cell]]
    pairs = sorted({len(one.pairs) for one in matrices})
    of = f"{pairs[0]:,}" if len(pairs) == 1 else f"{pairs[0]:,} to {pairs[-1]:,}"
    what = "independently drawn pairs" if all(one.pairing == "iid" for one in matrices) else "pairs"
    at = "at alpha 1/2" if question.extent == "midpoint" else "largest over alpha"
    diverged = sum(int(np.isnan(one.heights["direct"]).sum()) for one in matrices)
    return (
        f"{of} {what} of the networks of a cell, measured on {split}, height {at}, correction "
        f"{question.correction}; markers at the medians. Over a third network: the least, over all others, "
        "of the larger barrier of the two legs. Over chains: the least, over chains of any length, the "
        "direct way among them, of the largest barrier on the chain. Pairs that share a network are not "
        "independent."
        + (f" Gray: {counted(diverged, 'barrier')} unknown, because a network diverged." if diverged else "")
    )
