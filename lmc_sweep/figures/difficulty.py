"""The barrier against the difficulty of the task, across architectures.

After figure 4 of Entezari et al. 2021: heat maps of test error and barrier by data set and network, and
one point for each cell.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmc_sweep.analysis.cell_rows import (
    BarrierQuestion,
    CellBarrier,
    CellNetwork,
    grouped,
    read_barriers,
    read_networks,
)
from lmc_sweep.analysis.difficulty import CellPoint, RankCorrelation, cell_points, rank_correlation
from lmc_sweep.figures.cell_options import (
    METHOD,
    WHAT,
    WORLD,
    diverged,
    kind_label,
    lacking,
    of_method,
    question_of,
    unfinished,
)
from lmc_sweep.figures.heat_map import draw_heat_map, name_inches, row_inches
from lmc_sweep.figures.looks import family_looks
from lmc_sweep.figures.methods_asked import settled_of_store
from lmc_sweep.figures.options import SPLIT
from lmc_sweep.figures.sheet import Entry, name_axes, nothing, sheet
from lmc_sweep.figures.size_lines import line_of, line_order
from lmc_sweep.figures.words import counted, height_label

if TYPE_CHECKING:
    from lmc_sweep.analysis.cell_rows import Kind
    from lmc_sweep.store.store import Store

OPTIONS = (*WHAT, SPLIT, WORLD, METHOD)
_MOST_ROWS = 10
# Inches from the left: names of rows, two heat maps, the vertical axis of the points, the points.
_MAP_LEFTS, _MAP_WIDE, _POINTS_LEFT, _POINTS_WIDE = (1.05, 2.75), 1.55, 5.0, 1.85


def draw(store: Store, sweep: str | None, options: Mapping[str, str]) -> Any:
    """The figure of a store, or of one sweep in it, as a matplotlib ``Figure``."""
    values = settled_of_store("difficulty", OPTIONS, options, store)
    question = question_of(values)
    return drawing(
        read_barriers(store, sweep, question),
        read_networks(store, None),
        question,
        split=values["split"],
        world=values["world"],
        method=values["method"],
        notes=unfinished(store, sweep),
    )


def drawing(
    rows: Sequence[CellBarrier],
    networks: Sequence[CellNetwork],
    question: BarrierQuestion,
    *,
    split: str = "train",
    world: str = "real",
    method: str = "identity",
    notes: Sequence[str] = (),
) -> Any:
    """Test error and barrier by network and data set, and the one against the other."""
    of_world = [row for row in rows if row.world == world and row.split == split]
    found, label, variants = of_method(of_world, method)
    told = [*diverged(found), *variants, *notes]
    points = cell_points(found, networks)
    clean = [point for point in points if point.kind.label_noise == 0] or points
    if len(clean) < len(points):
        told.append(f"Not shown: {counted(len(points) - len(clean), 'cell')} with label noise.")
    if not clean:
        return nothing([lacking(question, world=world, method=method, split=split), *told])
    shown, left_out = _rows_of_map(clean)
    datasets = sorted({point.kind.dataset for point in clean})
    families = sorted({point.kind.architecture for point in clean})
    looks = family_looks([(family, family) for family in families])
    pairs = {row.pair for row in found if row.value is not None and row.cell_id in {p.cell_id for p in clean}}
    told = [
        f"Means over {counted(len(pairs), 'pair')} of networks in {counted(len(clean), 'cell')}; one point "
        f"for each cell. World {world}, {label}, {split}, correction {question.correction}.",
        *_correlations(clean),
        *left_out,
        *told,
    ]
    titles = ["Test error", height_label(question).rpartition(" (")[0]]
    entries = [Entry(family, replace(looks[family], line="none")) for family in families]
    least, most = row_inches(len(shown))
    tall = max(1.9, least)
    below = name_inches(datasets)
    figure, ((left, right, free),) = sheet(1, 3, entries, told, panel_inches=tall + below, between_inches=0.3)
    _place(figure, (left, right, free), tall, min(tall, most), below)
    names = [kind_label(kind, without=("dataset",)) for kind in shown]
    for axes, title, figures in (
        (left, titles[0], _by_place(clean, lambda point: point.test_error.value)),
        (right, titles[1], _by_place(clean, lambda point: point.barrier.value)),
    ):
        table = [[figures.get((kind, dataset)) for dataset in datasets] for kind in shown]
        draw_heat_map(axes, table, names if axes is left else None, datasets)
        name_axes(axes, "", "", title)
    for family, of_family in grouped(clean, lambda point: point.kind.architecture).items():
        free.plot(
            [point.test_error.value for point in of_family],
            [point.barrier.value for point in of_family],
            **looks[family].drawn(linestyle="none", label=family, clip_on=False),
        )
    free.set_xlim(left=0)
    free.set_ylim(bottom=min(0.0, *(point.barrier.value for point in clean)))
    name_axes(free, "Test error (fraction)", height_label(question))
    return figure


def _rows_of_map(points: Sequence[CellPoint]) -> tuple[list[Kind], list[str]]:
    """Networks that were trained on the most data sets, of every family; a sentence on the others."""
    datasets = {
        kind: {point.kind.dataset for point in of_kind}
        for kind, of_kind in grouped(points, lambda point: line_of(point.kind, "dataset")).items()
    }
    several = [kind for kind, found in datasets.items() if len(found) > 1] or list(datasets)
    # Of each family the shallowest first, each depth at its widest: no family takes all the rows.
    places: dict[Kind, int] = {}
    for of_family in grouped(sorted(several, key=line_order), lambda kind: kind.architecture).values():
        widest = {
            kind: rank
            for of_depth in grouped(of_family, lambda kind: kind.depth).values()
            for rank, kind in enumerate(reversed(of_depth))
        }
        places |= {kind: place for place, kind in enumerate(sorted(of_family, key=lambda kind: widest[kind]))}
    order = sorted(several, key=lambda kind: (-len(datasets[kind]), places[kind], line_order(kind)))
    shown = sorted(order[:_MOST_ROWS], key=line_order)
    number = len(datasets) - len(shown)
    told = [f"Not in the heat maps: {counted(number, 'further kind')} of network."] if number else []
    return shown, told


def _by_place(points: Sequence[CellPoint], figure: Any) -> dict[tuple[Kind, str], float]:
    """Network and data set to the mean of a figure over the cells there."""
    places = grouped(points, lambda point: (line_of(point.kind, "dataset"), point.kind.dataset))
    return {place: sum(map(figure, found)) / len(found) for place, found in places.items()}


def _correlations(points: Sequence[CellPoint]) -> list[str]:
    """A sentence on the rank correlation, over all cells and in each family."""
    told = [_told("all cells", rank_correlation(points))]
    families = grouped(points, lambda point: point.kind.architecture)
    if len(families) > 1:
        told += [_told(family, rank_correlation(found)) for family, found in sorted(families.items())]
    return [f"Spearman correlation of test error and barrier, 95% interval over cells: {'; '.join(told)}."]


def _told(name: str, found: RankCorrelation) -> str:
    """``mlp 0.90 (0.70 to 1.00) of 8 cells``, or why there is none."""
    if found.value is None:
        return f"{name} undefined, {found.undefined_because}"
    return f"{name} {found.value:.2f} ({found.low:.2f} to {found.high:.2f}) of {found.num_cells} cells"


def _place(figure: Any, panels: Sequence[Any], tall: float, map_tall: float, below: float) -> None:
    """Moves the panels to make room for the names of rows and columns."""
    wide, high = figure.get_size_inches()
    bottom = panels[0].get_position().y0 * high + below
    for axes, left in zip(panels, _MAP_LEFTS, strict=False):
        axes.set_position((left / wide, (bottom + tall - map_tall) / high, _MAP_WIDE / wide, map_tall / high))
    panels[2].set_position((_POINTS_LEFT / wide, bottom / high, _POINTS_WIDE / wide, tall / high))
