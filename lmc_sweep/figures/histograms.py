"""How barriers are distributed over pairs, direct and by way of a third network, before and after alignment.

After figure 18 of Entezari et al. 2021.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np

from lmc_sweep.analysis.cell_rows import (
    BarrierQuestion,
    CellBarrier,
    Kind,
    grouped,
    on_same_pairs,
    pairs_by_networks,
    read_barriers,
)
from lmc_sweep.analysis.indirect import indirect_barriers
from lmc_sweep.figures.cell_options import (
    MOST_NETWORKS,
    WORLD,
    diverged,
    kind_label,
    lacking,
    methods_in_order,
    question_of,
    unfinished,
)
from lmc_sweep.figures.kinds_asked import HOW, KINDS, of_kinds, with_most
from lmc_sweep.figures.looks import method_looks
from lmc_sweep.figures.methods_asked import of_methods, settled_of_store
from lmc_sweep.figures.options import AT, CORRECTION, METHODS, QUANTITY, SPLIT
from lmc_sweep.figures.sheet import Entry, hide, name_axes, nothing, sheet
from lmc_sweep.figures.size_lines import line_order
from lmc_sweep.figures.words import counted, dropped_pairs, height_label

if TYPE_CHECKING:
    from lmc_sweep.figures.looks import Look
    from lmc_sweep.store.store import Store

OPTIONS = (QUANTITY, AT, CORRECTION, MOST_NETWORKS, SPLIT, WORLD, METHODS, *KINDS)
LEAST_BINS, MOST_BINS = 6, 20
_MOST_KINDS, _MOST_METHODS = 6, 4
_FEW_PAIRS = 20
_LINES: tuple[Any, ...] = ("-", (0, (4, 1.5)), (0, (1, 1.2)), (0, (4, 1.2, 1, 1.2)))

Heights = Mapping[str, Sequence[float]]
"""JSON of a method to the barriers of a panel."""


def draw(store: Store, sweep: str | None, options: Mapping[str, str]) -> Any:
    """The figure of a store, or of one sweep in it, as a matplotlib ``Figure``."""
    values = settled_of_store("histograms", OPTIONS, options, store)
    number, notes = values["networks"], []
    if number == "most":
        counts = pairs_by_networks(store, sweep, values["correction"])
        most, *others = [str(number) for number, pairs in counts.items() if pairs] or ["2"]
        number = most
        notes = [f"Not shown: pairs of {' and '.join(others)} networks aligned at a time (networks=...)."]
        notes = notes if others else []
    notes += unfinished(store, sweep)
    question = question_of({**values, "networks": number})
    read = read_barriers(store, sweep, question)
    rows, noisy = of_kinds("histograms", read, values, lambda row: row.kind)
    rows, notes = of_methods(rows, values["methods"]), [*notes, *noisy]
    return drawing(rows, question, split=values["split"], world=values["world"], notes=notes)


def drawing(
    rows: Sequence[CellBarrier],
    question: BarrierQuestion,
    *,
    split: str = "train",
    world: str = "real",
    notes: Sequence[str] = (),
) -> Any:
    """A row of panels for each kind of network: direct barriers, and indirect ones where there are any."""
    asked = [row for row in rows if row.world == world and row.split == split]
    same, num_dropped = on_same_pairs(asked)
    told = [*diverged(asked), *dropped_pairs(num_dropped), *notes]
    if not same:
        return nothing([lacking(question, world=world, split=split), *told])
    by_kind = grouped(same, lambda row: row.kind)
    num_pairs = {kind: len({row.pair for row in found}) for kind, found in by_kind.items()}
    order = sorted(by_kind, key=lambda kind: (kind.dataset, line_order(kind)))
    kinds = sorted(
        with_most(order, num_pairs, _MOST_KINDS), key=lambda kind: (kind.dataset, line_order(kind))
    )
    if len(order) > len(kinds):
        left = counted(len(order) - len(kinds), "further kind")
        told.append(f"Not shown: {left} of network, of no more pairs; {HOW}.")
    fewest = min(num_pairs[kind] for kind in kinds)
    if fewest < _FEW_PAIRS:
        told.append(
            f"Where a panel has {counted(fewest, 'pair')}, bins show these pairs and no distribution."
        )
    shown = [row for kind in kinds for row in by_kind[kind]]
    methods = methods_in_order(shown)
    others = [f"'{label}'" for label in list(methods.values())[_MOST_METHODS:]]
    if others:
        told.append(f"Not shown: {', '.join(others)}; methods=... names those that are.")
    methods = dict(list(methods.items())[:_MOST_METHODS])
    names = {row.method_json: row.method for row in shown}
    looks = {
        text: _dashed(look, number)
        for number, (text, look) in enumerate(method_looks([(names[text], text) for text in methods]).items())
    }
    direct = {kind: _direct(by_kind[kind], methods) for kind in kinds}
    indirect = {kind: _indirect(by_kind[kind], methods) for kind in kinds}
    has_indirect = any(map(any, (found.values() for found in indirect.values())))
    panels = [
        (kind, f"{kind_label(kind)}: {name}", heights[kind])
        for kind in kinds
        for name, heights in (("direct", direct), *([("indirect", indirect)] if has_indirect else []))
    ]
    wide = min(2, len(panels))
    told = [_told(shown, question, split, world), _of_indirect(indirect, num_pairs, world), *told]
    entries = [Entry(label, looks[text]) for text, label in methods.items()]
    titles = [title for _, title, _ in panels]
    figure, grid = sheet(-(-len(panels) // wide), wide, entries, told, titles=titles)
    places = [axes for line in grid for axes in line]
    for axes in places[len(panels) :]:
        hide(axes)
    for axes, (kind, title, heights) in zip(places, panels, strict=False):
        name_axes(axes, height_label(question, split), "Pairs", title)
        _panel(axes, heights, _edges([*direct[kind].values(), *indirect[kind].values()]), looks)
    return figure


def _direct(rows: Sequence[CellBarrier], methods: Mapping[str, str]) -> dict[str, list[float]]:
    """Each method's barriers."""
    found = grouped(rows, lambda row: row.method_json)
    return {text: [row.value for row in found.get(text, []) if row.value is not None] for text in methods}


def _indirect(rows: Sequence[CellBarrier], methods: Mapping[str, str]) -> dict[str, list[float]]:
    """Each method's indirect barriers, cell by cell."""
    found: dict[str, list[float]] = {text: [] for text in methods}
    for (text, _), of_cell in grouped(rows, lambda row: (row.method_json, row.cell_id)).items():
        known = {(row.network_a, row.network_b): row.value for row in of_cell if row.value is not None}
        if text in found:
            found[text] += indirect_barriers(known).values()
    return found


def _edges(values: Sequence[Sequence[float]]) -> np.ndarray:
    """Ends of the bins of a row of panels: the same for every method, 0 among the values."""
    every = np.concatenate([np.zeros(1), *(np.asarray(part, dtype=np.float64) for part in values)])
    low, high = float(every.min()), float(every.max())
    most = max(map(len, values), default=1)
    bins = min(MOST_BINS, max(LEAST_BINS, round(2 * most ** (1 / 3))))  # the rule of Rice
    return np.linspace(low, high if high > low else low + 1.0, bins + 1)


def _panel(axes: Any, heights: Heights, edges: np.ndarray, looks: Mapping[str, Look]) -> None:
    """An outline for each method, and its marker at the median; words where there is none."""
    from matplotlib.ticker import MaxNLocator

    most = 0
    for text, values in heights.items():
        if not len(values):
            continue
        look = looks[text]
        counts, _ = np.histogram(values, edges)
        most = max(most, int(counts.max()))
        axes.stairs(counts, edges, color=look.color, linestyle=look.line, linewidth=1.1)
        axes.stairs(counts, edges, fill=True, color=look.color, alpha=0.15)
        axes.plot([np.median(values)], [0], clip_on=False, zorder=4, **look.drawn(linestyle="none"))
    if not most:
        told = "no two pairs here share a network"
        axes.text(0.5, 0.5, told, transform=axes.transAxes, ha="center", fontsize=7, color="#777777")
    step = edges[1] - edges[0]
    axes.set_xlim(edges[0] - (step / 4 if edges[0] < 0 else 0), edges[-1] + step / 4)
    axes.set_ylim(0, 1.08 * max(most, 1))
    axes.yaxis.set_major_locator(MaxNLocator(integer=True, nbins=5))


def _dashed(look: Look, number: int) -> Look:
    """The look with a line of its own, so that outlines differ in gray."""
    return replace(look, line=_LINES[number % len(_LINES)])


def _told(rows: Sequence[CellBarrier], question: BarrierQuestion, split: str, world: str) -> str:
    """What the outlines are."""
    pairs = len({row.pair for row in rows})
    cells = len({row.cell_id for row in rows})
    return (
        f"{counted(pairs, 'pair')} in {counted(cells, 'cell')}, the same for every method of a cell; "
        f"markers at the medians. World {world}, {split}, correction {question.correction}, "
        f"{question.num_networks} networks aligned at a time. Pairs that share a network are not independent."
    )


def _of_indirect(
    indirect: Mapping[Kind, Mapping[str, Sequence[float]]], num_pairs: Mapping[Kind, int], world: str
) -> str:
    """What indirect barriers are, and of how many pairs they are known."""
    known = sum(max(map(len, found.values()), default=0) for found in indirect.values())
    of = sum(num_pairs[kind] for kind in indirect)
    if known:
        return (
            "Indirect: the least, over third networks, of the larger barrier of the two legs; known for "
            f"{known} of {of} pairs, those whose ends were both paired with a third network."
        )
    if world == "model":
        return "Not shown: indirect barriers, for a pair of our model is one network and its permutation."
    return "Not shown: indirect barriers, for no two ends of a pair were both paired with a third network."
