"""How well each search finds a permutation that is known to be there, against noise on the copy."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lmc_sweep.analysis.search_rows import Searched, SearchQuestion, read
from lmc_sweep.analysis.searches import RecoveryRow, recovery_table
from lmc_sweep.figures.looks import label_order, method_looks
from lmc_sweep.figures.methods_asked import of_methods, settled_of_store
from lmc_sweep.figures.options import METHODS
from lmc_sweep.figures.search_options import WHAT, place_title, question_of, what_is_missing
from lmc_sweep.figures.sheet import Entry, name_axes, nothing, sheet
from lmc_sweep.figures.size_panels import apart, draw_lines
from lmc_sweep.figures.words import counted, dropped_pairs, height_label

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

OPTIONS = (*WHAT, METHODS)
_MOST_ROWS = 4


def draw(store: Store, sweep: str | None, options: Mapping[str, str]) -> Any:
    """The figure of a store, or of one sweep in it, as a matplotlib ``Figure``."""
    values = settled_of_store("planted_recovery", OPTIONS, options, store)
    question = question_of(values, world="planted")
    rows = of_methods(read(store, sweep, question), values["methods"], always=("oracle",))
    return drawing(rows, question)


def drawing(rows: Sequence[Searched], question: SearchQuestion) -> Any:
    """A row of panels for each kind of network: units put back, and the barrier above the oracle's."""
    missing = what_is_missing(rows, question)
    table, num_dropped = recovery_table(rows)
    if not table:
        return nothing([*missing, *dropped_pairs(num_dropped)] or ["Not shown: nothing was planted here."])
    places = sorted({row.place for row in table}, key=lambda place: place.order)
    shown = places[:_MOST_ROWS]
    has_oracle = any(row.above_oracle is not None for row in table)
    names = {row.method_json: row.label for row in table}
    order = sorted(names, key=lambda text: (names[text] != "before alignment", label_order(names[text])))
    plain = {row.method_json: row.name for row in rows}
    looks = method_looks([(plain[text], text) for text in order])
    told = [_told(table, question), *dropped_pairs(num_dropped), *missing]
    if not has_oracle:
        told.append("Not shown: barriers above the oracle's, since method oracle was not asked for.")
    if len(places) > len(shown):
        told.append(f"Not shown: {counted(len(places) - len(shown), 'further kind')} of network.")
    entries = [Entry(names[text], looks[text]) for text in order]
    figure, grid = sheet(len(shown), 2 if has_oracle else 1, entries, told)
    noises = sorted({row.noise for row in table})
    step = (noises[-1] - noises[0] or 1.0) / 250
    for place, line in zip(shown, grid, strict=True):
        found = [row for row in table if row.place == place]
        for axes, column in zip(line, ("recovered", "above_oracle"), strict=False):
            lines = {
                text: [
                    (row.noise + apart(index, len(order), step), getattr(row, column))
                    for row in found
                    if row.method_json == text and getattr(row, column) is not None
                ]
                for index, text in enumerate(order)
            }
            draw_lines(axes, lines, looks)
            axes.set_xticks(noises)
        name_axes(
            line[0], "Noise (standard deviations)", "Units put back (share)", place_title(place, places)
        )
        line[0].set_ylim(-0.02, 1.02)
        if has_oracle:
            name_axes(
                line[1], "Noise (standard deviations)", f"{question.quantity.capitalize()} above the oracle's"
            )
            line[1].axhline(0, color="#999999", linewidth=0.6, zorder=1)
    return figure


def _told(table: Sequence[RecoveryRow], question: SearchQuestion) -> str:
    """What was planted, and what the points are."""
    most = max(row.num_searches for row in table)
    return (
        "A network against a permuted copy of itself, to which noise was added in units of each tensor's "
        f"standard deviation. Mean over up to {counted(most, 'pair')} at each point, the same for every "
        f"method, with 95% bootstrap interval. {height_label(question, question.split)}; right: minus that "
        f"of the oracle, which undoes what was planted. Correction {question.correction}."
    )
