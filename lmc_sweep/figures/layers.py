"""Where along the depth two networks fail to connect: barriers when layers move one by one.

After Adilova et al. 2023: one layer alone moves from A to B (``each``), or all from the input up to it
(``cumulative``).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmc_sweep.analysis.cell_rows import grouped
from lmc_sweep.analysis.method_labels import method_labels
from lmc_sweep.analysis.search_rows import Place, Searched, SearchQuestion, read, same_pairs
from lmc_sweep.analysis.searches import barrier_mean
from lmc_sweep.figures.cell_options import drawn_together
from lmc_sweep.figures.looks import label_order, method_looks
from lmc_sweep.figures.methods_asked import of_methods, settled_of_store
from lmc_sweep.figures.options import AT, METHODS, Option
from lmc_sweep.figures.search_options import WHAT, WORLD, place_title, question_of, what_is_missing
from lmc_sweep.figures.sheet import Entry, hide, name_axes, nothing, sheet
from lmc_sweep.figures.size_panels import apart, draw_lines
from lmc_sweep.figures.words import counted, dropped_pairs, height_label

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

# At 1/2 a curve of one layer is no midpoint of two networks: the largest height is what Adilova et al. take.
OPTIONS = (
    *(replace(option, default="supremum") if option is AT else option for option in WHAT),
    WORLD,
    METHODS,
    Option("groups", "all", "layers one by one, or from the input on", ("all", "each", "cumulative")),
)
GROUPS = {"each": "each layer alone", "cumulative": "all layers up to it"}
_MOST_ROWS = 4


def draw(store: Store, sweep: str | None, options: Mapping[str, str]) -> Any:
    """The figure of a store, or of one sweep in it, as a matplotlib ``Figure``."""
    values = settled_of_store("layers", OPTIONS, options, store)
    question = question_of(values)
    rows = of_methods(read(store, sweep, question, of_layers=True), values["methods"], always=("identity",))
    return drawing(rows, question, values["groups"])


def drawing(rows: Sequence[Searched], question: SearchQuestion, groups: str = "all") -> Any:
    """A row of panels for each kind of network, a column for each way to move layers, lines by method."""
    missing = what_is_missing(rows, question)
    asked = [row for row in rows if groups in ("all", _group(row))]
    kept, num_dropped = _same_pairs(asked)
    if not kept:
        lacking = "Not shown: no layer was moved by itself (layers: each or cumulative)."
        return nothing([lacking, *dropped_pairs(num_dropped)])
    counts = {place: len(layer_order(of)) for place, of in grouped(kept, lambda row: row.place).items()}
    places = sorted(counts, key=lambda place: (-counts[place], place.order))
    shown = sorted(places[:_MOST_ROWS], key=lambda place: place.order)
    columns = [name for name in GROUPS if any(_group(row) == name for row in kept)]
    names = {row.method_json: row.name for row in kept}
    labels = method_labels(names)
    order = sorted(names, key=lambda text: (names[text] != "identity", label_order(labels[text])))
    looks = method_looks([(names[text], text) for text in order])
    told = [_told(kept, question), *drawn_together(kept), *dropped_pairs(num_dropped), *missing]
    if len(places) > len(shown):
        told.append(
            f"Not shown: {counted(len(places) - len(shown), 'further kind')} of network, "
            "of fewer layers or the same."
        )
    entries = [Entry(labels[text], looks[text]) for text in order]
    titles = [_title(place, places, column) for place in shown for column in columns]
    figure, grid = sheet(len(shown), len(columns), entries, told, titles=titles)
    for place, line in zip(shown, grid, strict=True):
        for column, axes in zip(columns, line, strict=True):
            found = [row for row in kept if row.place == place and _group(row) == column]
            if not found:
                hide(axes)
                continue
            layers = layer_order(found)
            lines = {
                text: [
                    (layers.index(layer) + apart(index, len(order), 0.06), barrier_mean(of_layer))
                    for layer, of_layer in grouped(found, _layer_of(text)).items()
                    if layer is not None
                ]
                for index, text in enumerate(order)
            }
            draw_lines(axes, {text: sorted(points, key=_position) for text, points in lines.items()}, looks)
            slanted = len(layers) > 6 or max(map(len, layers)) * len(layers) > 40
            axes.set_xticks(
                range(len(layers)),
                layers,
                rotation=40 if slanted else 0,
                ha="right" if slanted else "center",
                rotation_mode="anchor",
            )
            axes.set_xlim(-0.5, len(layers) - 0.5)
            name_axes(axes, "", height_label(question, question.split), _title(place, places, column))
        top = max(axes.get_ylim()[1] for axes in line if axes.get_visible())
        for axes in line:
            axes.set_ylim(0, top)
    return figure


def layer_order(rows: Sequence[Searched]) -> list[str]:
    """The names of the layers as they lie in the network: the longest list of one pair, in its order."""
    of_pairs = grouped(rows, lambda row: (row.pair, row.method_json)).values()
    longest = max(of_pairs, key=len)
    found = dict.fromkeys(_layer(row) for row in [*longest, *rows])
    return [layer for layer in found if layer]


def _same_pairs(rows: Sequence[Searched]) -> tuple[list[Searched], int]:
    """``same_pairs`` for every layer by itself; the most pairs that any layer lost."""
    parts = [same_pairs(found) for found in grouped(rows, lambda row: row.layers).values()]
    return [row for kept, _ in parts for row in kept], max((lost for _, lost in parts), default=0)


def _layer_of(text: str) -> Any:
    """A function from a row to its layer, None for rows of another method."""
    return lambda row: _layer(row) if row.method_json == text else None


def _group(row: Searched) -> str:
    """``each`` or ``cumulative``."""
    return (row.layers or "").partition(":")[0]


def _layer(row: Searched) -> str:
    """The layer's name."""
    return (row.layers or "").partition(":")[2]


def _position(point: tuple[float, Any]) -> float:
    return point[0]


def _title(place: Place, places: Sequence[Place], column: str) -> str:
    """The networks and which layers move."""
    return f"{place_title(place, places)}: {GROUPS[column]}"


def _told(rows: Sequence[Searched], question: SearchQuestion) -> str:
    """What the points are."""
    pairs = len({row.pair for row in rows})
    return (
        "Height above the chord between the two networks when the layers named move from the first to the "
        "second and all others stay. Mean over the pairs at each point, "
        f"{counted(pairs, 'pair')} in all, the same for every method, with 95% bootstrap interval. "
        f"World {question.world}, correction {question.correction}."
    )
