"""What each search leaves above the exact optimum, where brute force can find it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lmc_sweep.analysis.intervals import Mean
from lmc_sweep.analysis.search_rows import Searched, SearchQuestion, read
from lmc_sweep.analysis.searches import GapRow, gap_table
from lmc_sweep.figures.cell_options import drawn_together
from lmc_sweep.figures.looks import method_looks
from lmc_sweep.figures.methods_asked import of_methods, settled_of_store
from lmc_sweep.figures.options import METHODS
from lmc_sweep.figures.search_options import WHAT, WORLD, question_of, what_is_missing
from lmc_sweep.figures.sheet import Entry, name_axes, nothing, sheet
from lmc_sweep.figures.size_panels import apart, draw_lines
from lmc_sweep.figures.words import counted, dropped_pairs, height_label

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

OPTIONS = (*WHAT, WORLD, METHODS)
_MOST_ROWS = 4


def draw(store: Store, sweep: str | None, options: Mapping[str, str]) -> Any:
    """The figure of a store, or of one sweep in it, as a matplotlib ``Figure``."""
    values = settled_of_store("search_gap", OPTIONS, options, store)
    question = question_of(values)
    rows = of_methods(read(store, sweep, question), values["methods"], always=("brute_force",))
    return drawing(rows, question)


def drawing(rows: Sequence[Searched], question: SearchQuestion) -> Any:
    """By width, the mean gap of each method's barrier, and the share of pairs where it found an optimum."""
    objective = f"midpoint_{question.quantity}"
    missing = what_is_missing(rows, question)
    table, num_dropped = gap_table(rows, objective)
    table = [row for row in table if row.place.width is not None]
    if not table:
        lacking = f"Not shown: no finished brute force of {objective} on all examples here."
        return nothing([*missing, lacking, *dropped_pairs(num_dropped)])
    kinds = sorted({_kind(row) for row in table}, key=str)
    names = {row.method_json: row.label for row in table}
    plain = {row.method_json: row.name for row in rows}
    order = sorted(names, key=lambda text: (plain[text] not in ("identity", "brute_force"), names[text]))
    looks = method_looks([(plain[text], text) for text in order])
    places = {row.place for row in table}
    together = drawn_together(row for row in rows if row.place in places)
    told = [_told(table, question), *together, *dropped_pairs(num_dropped), *missing]
    if len(kinds) > _MOST_ROWS:
        told.append(f"Not shown: {counted(len(kinds) - _MOST_ROWS, 'further kind')} of network.")
    entries = [Entry(names[text], looks[text]) for text in order]
    figure, grid = sheet(min(len(kinds), _MOST_ROWS), 2, entries, told)
    for kind, (left, right) in zip(kinds, grid, strict=False):
        found = [row for row in table if _kind(row) == kind]
        gaps = {
            text: [
                (_width(row) * 2 ** apart(index, len(order), 0.02), row.gap)
                for row in found
                if row.method_json == text
            ]
            for index, text in enumerate(order)
        }
        shares = {
            text: [
                (_width(row) * 2 ** apart(index, len(order), 0.02), _share(row))
                for row in found
                if row.method_json == text
            ]
            for index, text in enumerate(order)
        }
        draw_lines(left, gaps, looks)
        draw_lines(right, shares, looks)
        label = f"{question.quantity.capitalize()} above the optimum"
        dataset, family, depth = kind
        name_axes(left, "Width", label, f"{dataset} {family}" + (f", depth {depth}" if depth else ""))
        name_axes(right, "Width", "Pairs solved exactly (share)")
        right.set_ylim(-0.02, 1.02)
        widths = sorted({_width(row) for row in found})
        for axes in (left, right):
            axes.set_xscale("log", base=2)
            axes.set_xticks(widths, [f"{width:g}" for width in widths], minor=False)
            axes.minorticks_off()
        left.set_yscale("symlog", linthresh=1e-3, linscale=0.6)
        left.set_ylim(bottom=0)
    return figure


def _share(row: GapRow) -> Mean:
    """The share of pairs where the method found an optimum."""
    return Mean(row.num_optimal / row.num_pairs, None, None, row.num_pairs)


def _width(row: GapRow) -> float:
    assert row.place.width is not None
    return float(row.place.width)


def _kind(row: GapRow) -> tuple[str, str, int | None]:
    """The row of panels: data set, family, depth."""
    return row.place.dataset, row.place.architecture, row.place.depth


def _told(table: Sequence[GapRow], question: SearchQuestion) -> str:
    """What the points are."""
    pairs = {row.place: row.num_pairs for row in table}
    return (
        f"{height_label(question, question.split)}, minus that of the best of all permutations, which brute "
        f"force found for the {question.quantity} at 1/2 on all training examples: "
        f"{counted(sum(pairs.values()), 'pair')} in all, the same for every method; mean with 95% bootstrap "
        f"interval. Vertical axis linear below 0.001. World {question.world}, correction "
        f"{question.correction}."
    )
