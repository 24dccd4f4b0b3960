"""The real world and our model side by side along width or depth, before and after alignment.

After figures 5, 13, 17 and 21 (before), 7, 11 and 22 (after) of Entezari et al. 2021.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmc_sweep.analysis.agreement import SOLVED
from lmc_sweep.analysis.cell_rows import (
    BarrierQuestion,
    CellBarrier,
    barrier_mean,
    grouped,
    on_same_pairs,
    read_barriers,
)
from lmc_sweep.figures.cell_options import (
    WHAT,
    diverged,
    drawn_together,
    lacking,
    methods_in_order,
    pairs_at_points,
    question_of,
    unfinished,
    without_interval,
)
from lmc_sweep.figures.looks import Look
from lmc_sweep.figures.methods_asked import of_methods, settled_of_store
from lmc_sweep.figures.options import BY, METHODS, SPLIT
from lmc_sweep.figures.sheet import Entry, nothing
from lmc_sweep.figures.size_lines import (
    Panel,
    by_size,
    comparable,
    draw_grid,
    line_label,
    line_looks,
    line_of,
)
from lmc_sweep.figures.train_test import DASHES
from lmc_sweep.figures.words import counted, dropped_pairs, height_label

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

OPTIONS = (*WHAT, SPLIT, METHODS, BY)
WORLDS = {"real": "real world", "model": "our model"}
_MOST_ROWS, _MOST_COLUMNS = 5, 3
_GRAY = "#5b5b5b"


def draw(store: Store, sweep: str | None, options: Mapping[str, str]) -> Any:
    """The figure of a store, or of one sweep in it, as a matplotlib ``Figure``."""
    values = settled_of_store("worlds", OPTIONS, options, store)
    question = question_of(values)
    rows = of_methods(read_barriers(store, sweep, question), values["methods"])
    notes = unfinished(store, sweep)
    return drawing(rows, question, split=values["split"], by=values["by"], notes=notes)


def drawing(
    rows: Sequence[CellBarrier],
    question: BarrierQuestion,
    *,
    split: str = "train",
    by: str = "width",
    notes: Sequence[str] = (),
) -> Any:
    """A row of panels for each data set, a column for each method, two lines for each kind of network."""
    asked = [row for row in rows if row.split == split]
    same, num_dropped = on_same_pairs(asked)
    kinds, told = comparable((row.kind for row in same), by)
    told = [*diverged(asked), *dropped_pairs(num_dropped), *told, *notes]
    if not kinds:
        return nothing([lacking(question, split=split), *told])
    shown = [row for row in same if row.kind in kinds]
    told += _absent(shown)
    looks = line_looks(line_of(kind, by) for kind in kinds)
    methods = methods_in_order(shown)
    left_out = [f"'{label}'" for label in list(methods.values())[_MOST_COLUMNS:]]
    if left_out:
        told.append(f"Not shown: {', '.join(left_out)}; methods=... names those that are.")
    datasets = sorted({kind.dataset for kind in kinds})
    if len(datasets) > _MOST_ROWS:
        told.append(f"Not shown: {counted(len(datasets) - _MOST_ROWS, 'further data set')}.")
    means = {
        key: barrier_mean(found)
        for key, found in grouped(shown, lambda row: (row.method_json, row.world, row.kind)).items()
    }
    drawn = dict(list(methods.items())[:_MOST_COLUMNS])
    grid = [
        [
            Panel(
                title=f"{dataset}, {label if text in _controls(shown) else f'after {label}'}",
                height=height_label(question, split),
                lines={
                    (line, world): by_size(
                        {
                            kind: mean
                            for (method, of_world, kind), mean in means.items()
                            if (method, of_world) == (text, world)
                            and kind.dataset == dataset
                            and line_of(kind, by) == line
                        },
                        by,
                    )
                    for line in looks
                    for world in WORLDS
                },
            )
            for text, label in drawn.items()
        ]
        for dataset in datasets[:_MOST_ROWS]
    ]
    counts = [
        f"{counted(len({row.pair for row in shown if row.world == world}), 'pair')} in {name}"
        for world, name in (("real", "the real world"), ("model", "our model"))
    ]
    what = (
        "Mean over pairs with 95% bootstrap interval over them: "
        f"{pairs_at_points(list(means.values()))}; {' and '.join(counts)} in all, the same for every method "
        f"of a cell. Correction {question.correction}."
    )
    told = [
        what,
        *_solved(shown, drawn),
        *without_interval(list(means.values())),
        *drawn_together(shown),
        *told,
    ]
    entries = [
        *(Entry(line_label(line, by), look) for line, look in looks.items()),
        *(Entry(name, of_world(Look("o", _GRAY), world)) for world, name in WORLDS.items()),
    ]
    both = {(line, world): of_world(look, world) for line, look in looks.items() for world in WORLDS}
    return draw_grid(grid, both, entries, told, by, shared_sizes=True)


def of_world(look: Look, world: str) -> Look:
    """The real world as it is; our model open and dashed."""
    return look if world == "real" else replace(look, filled=False, line=DASHES)


def _controls(rows: Sequence[CellBarrier]) -> set[str]:
    """JSON of the methods that search nothing."""
    return {row.method_json for row in rows if row.method in ("identity", "random")}


def _solved(rows: Sequence[CellBarrier], methods: Mapping[str, str]) -> list[str]:
    """A sentence on the pairs of our model, where a perfect permutation exists, that a search solved."""
    found = []
    for text, label in methods.items():
        of_method = [row for row in rows if row.method_json == text and row.world == "model"]
        number = sum(row.value is not None and row.value <= SOLVED for row in of_method)
        if number and text not in _controls(rows):
            found.append(f"{label} {number} of {len(of_method)}")
    if not found:
        return []
    return [
        f"Pairs of our model left without a barrier: {', '.join(found)}. There a permutation without one "
        "exists by construction: where a search finds it, the distance of the worlds is that of the real one "
        "to 0."
    ]


def _absent(rows: Sequence[CellBarrier]) -> list[str]:
    """A sentence on a world without barriers."""
    present = {row.world for row in rows}
    return [
        f"Not shown: {name}, of which there are no barriers here."
        for w, name in WORLDS.items()
        if w not in present
    ]
