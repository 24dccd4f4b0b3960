"""What ``barrier_width`` and ``barrier_depth`` share: mean barriers against one size of the networks."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lmc_sweep.analysis.cell_rows import BarrierQuestion, CellBarrier, barrier_mean, grouped, read_barriers
from lmc_sweep.figures.cell_options import (
    BOTH_SPLITS,
    METHOD,
    WHAT,
    WORLD,
    diverged,
    drawn_together,
    lacking,
    of_method,
    pairs_at_points,
    question_of,
    splits_of,
    unfinished,
    without_interval,
)
from lmc_sweep.figures.methods_asked import settled_of_store
from lmc_sweep.figures.sheet import Entry, nothing
from lmc_sweep.figures.size_lines import (
    MOST_PANELS,
    Panel,
    by_size,
    comparable,
    draw_grid,
    in_rows,
    line_label,
    line_looks,
    line_of,
)
from lmc_sweep.figures.words import counted, height_label

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

OPTIONS = (*WHAT, BOTH_SPLITS, WORLD, METHOD)


def draw_by(figure: str, by: str, store: Store, sweep: str | None, options: Mapping[str, str]) -> Any:
    """The figure of a store, or of one sweep in it, along ``by``, as a matplotlib ``Figure``."""
    values = settled_of_store(figure, OPTIONS, options, store)
    question = question_of(values)
    rows = read_barriers(store, sweep, question)
    return drawing(
        rows,
        question,
        by=by,
        splits=splits_of(values),
        world=values["world"],
        method=values["method"],
        notes=unfinished(store, sweep),
    )


def drawing(
    rows: Sequence[CellBarrier],
    question: BarrierQuestion,
    *,
    by: str,
    splits: Sequence[str] = ("train", "test"),
    world: str = "real",
    method: str = "identity",
    notes: Sequence[str] = (),
) -> Any:
    """A panel for each data set and split, a line for each family and size that is not on the axis."""
    of_world = [row for row in rows if row.world == world and row.split in splits]
    found, label, variants = of_method(of_world, method)
    told = [*diverged(found), *variants, *notes]
    measured = [row for row in found if row.value is not None]
    kinds, left_out = comparable((row.kind for row in measured), by)
    kinds = {kind for kind in kinds if getattr(kind, by) is not None}
    told += left_out
    if not kinds:
        return nothing([lacking(question, world=world, method=method, split=_only(splits)), *told])
    shown = [row for row in measured if row.kind in kinds]
    looks = line_looks(line_of(kind, by) for kind in kinds)
    means = {
        key: barrier_mean(of_point)
        for key, of_point in grouped(shown, lambda row: (row.split, row.kind)).items()
    }
    datasets = sorted({kind.dataset for kind in kinds})
    panels = [
        Panel(
            title=f"{dataset}, {split}",
            height=height_label(question),
            lines={
                line: by_size(
                    {
                        kind: mean
                        for (of_split, kind), mean in means.items()
                        if of_split == split and kind.dataset == dataset and line_of(kind, by) == line
                    },
                    by,
                )
                for line in looks
            },
        )
        for dataset in datasets
        for split in splits
    ]
    if len(panels) > MOST_PANELS:
        told.append(f"Not shown: {counted(len(panels) - MOST_PANELS, 'further panel')}.")
        panels = panels[:MOST_PANELS]
    pairs = len({row.pair for row in shown})
    what = (
        f"Mean over pairs with 95% bootstrap interval over them: {pairs_at_points(list(means.values()))}, "
        f"{counted(pairs, 'pair')} in all. World {world}, {label}, correction {question.correction}."
    )
    told = [what, *without_interval(list(means.values())), *drawn_together(shown), *_mixed(shown), *told]
    entries = [Entry(line_label(line, by), look) for line, look in looks.items()]
    return draw_grid(in_rows(panels, min(2, len(panels))), looks, entries, told, by)


def _mixed(rows: Sequence[CellBarrier]) -> list[str]:
    """A sentence on points that join cells which differ in what the axes do not show."""
    cells = grouped(rows, lambda row: row.kind)
    number = sum(len({row.cell_id for row in of_kind}) > 1 for of_kind in cells.values())
    if not number:
        return []
    return [
        f"{counted(number, 'kind')} of network joined from cells that differ in training or examples; "
        "--sweep shows one sweep."
    ]


def _only(splits: Sequence[str]) -> str:
    """The split, if there is one alone."""
    return splits[0] if len(splits) == 1 else ""
