"""Loss or error along the straight line between two networks, before and after each method."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lmc_sweep.analysis.cell_rows import BarrierQuestion, CellBarrier, grouped, on_same_pairs
from lmc_sweep.analysis.curves import Curves, MeanCurve, mean_curve, of_one_grid, read_curves
from lmc_sweep.figures.cell_options import (
    NETWORKS,
    WORLD,
    drawn_together,
    kind_label,
    lacking,
    methods_in_order,
    unfinished,
)
from lmc_sweep.figures.kinds_asked import HOW, KINDS, of_kinds, with_most
from lmc_sweep.figures.looks import Look, method_looks
from lmc_sweep.figures.methods_asked import of_methods, settled_of_store
from lmc_sweep.figures.options import CORRECTION, METHODS, SPLIT, Option
from lmc_sweep.figures.sheet import Entry, hide, name_axes, nothing, sheet
from lmc_sweep.figures.size_lines import line_order
from lmc_sweep.figures.words import counted, dropped_pairs

if TYPE_CHECKING:
    from lmc_sweep.analysis.cell_rows import Kind
    from lmc_sweep.store.store import Store

QUANTITY = Option("quantity", "loss", "loss (nats) or error (fraction)", ("loss", "error"))
OPTIONS = (QUANTITY, CORRECTION, NETWORKS, SPLIT, WORLD, METHODS, *KINDS)
_MOST_PANELS = 12


def draw(store: Store, sweep: str | None, options: Mapping[str, str]) -> Any:
    """The figure of a store, or of one sweep in it, as a matplotlib ``Figure``."""
    values = settled_of_store("curves", OPTIONS, options, store)
    question = BarrierQuestion(
        quantity=values["quantity"],  # type: ignore[arg-type]
        correction=values["correction"],
        num_networks=int(values["networks"]),
    )
    curves = read_curves(store, sweep, question)
    rows, notes = of_kinds("curves", list(curves), values, lambda row: row.kind)
    kept = of_methods(rows, values["methods"])
    return drawing(
        {row: curves[row] for row in kept},
        question,
        split=values["split"],
        world=values["world"],
        notes=[*unfinished(store, sweep), *notes],
    )


def drawing(
    curves: Curves,
    question: BarrierQuestion,
    *,
    split: str = "train",
    world: str = "real",
    notes: Sequence[str] = (),
) -> Any:
    """A panel for each kind of network: the mean over pairs with its band, for each method."""
    asked = [row for row in curves if row.world == world and row.split == split]
    same, num_dropped = on_same_pairs(asked)
    told = [*dropped_pairs(num_dropped), *notes]
    if not same:
        return nothing([lacking(question, world=world, split=split), *told])
    by_kind = grouped(same, lambda row: row.kind)
    order = sorted(by_kind, key=_order)
    num_pairs = {kind: len({row.pair for row in of_kind}) for kind, of_kind in by_kind.items()}
    kinds = sorted(with_most(order, num_pairs, _MOST_PANELS), key=_order)
    if len(order) > len(kinds):
        left = len(order) - len(kinds)
        told.append(f"Not shown: {counted(left, 'further kind')} of network, of no more pairs; {HOW}.")
    found: dict[tuple[Kind, str], MeanCurve] = {}
    num_other = 0
    for kind in kinds:
        on_grid, others = of_one_grid(by_kind[kind])
        num_other += others
        for text, rows in grouped(on_grid, _method).items():
            found[kind, text] = mean_curve(rows, curves)
    if num_other:
        told.append(f"Not shown: {counted(num_other, 'curve')} on other alphas than most of its kind.")
    shown = [row for kind in kinds for row in by_kind[kind]]
    methods = methods_in_order(shown)
    names = {row.method_json: row.method for row in shown}
    looks = method_looks([(names[text], text) for text in methods])
    wide = min(3, len(kinds))
    titles = [kind_label(kind) for kind in kinds]
    entries = [Entry(label, looks[text]) for text, label in methods.items()]
    told = [_told(shown, found, question, split, world), *drawn_together(shown), *told]
    figure, grid = sheet(-(-len(kinds) // wide), wide, entries, told, titles=titles)
    places = [axes for line in grid for axes in line]
    for axes in places[len(kinds) :]:
        hide(axes)
    for axes, kind in zip(places, kinds, strict=False):
        for text in methods:
            if (kind, text) in found:
                _draw_curve(axes, found[kind, text], looks[text])
        unit = "nats" if question.quantity == "loss" else "fraction"
        name_axes(axes, "Alpha", f"{split.capitalize()} {question.quantity} ({unit})", kind_label(kind))
        axes.set_xlim(0, 1)
        axes.set_xticks([0, 0.5, 1], ["0", "1/2", "1"])
        axes.set_ylim(bottom=0)
    return figure


def _draw_curve(axes: Any, curve: MeanCurve, look: Look) -> None:
    """The mean with markers, and the band around it."""
    axes.plot(curve.alphas, curve.mean, clip_on=False, zorder=3, **look.drawn(markersize=3.2))
    if curve.low is not None and curve.high is not None:
        axes.fill_between(curve.alphas, curve.low, curve.high, color=look.color, alpha=0.18, linewidth=0)


def _told(
    rows: list[CellBarrier],
    found: Mapping[tuple[Kind, str], MeanCurve],
    question: BarrierQuestion,
    split: str,
    world: str,
) -> str:
    """What the curves are."""
    counts = sorted({curve.num_pairs for curve in found.values()})
    each = counted(counts[0], "pair") if len(counts) == 1 else f"{counts[0]} to {counts[-1]} pairs"
    single = sum(curve.low is None for curve in found.values())
    bands = f" ({counted(single, 'curve')} of one pair or group without)" if single else ""
    pairs = len({row.pair for row in rows})
    return (
        f"Mean along the segment, over {each} at a curve, {counted(pairs, 'pair')} in all, the same for "
        f"every method of a cell; bands are 95% bootstrap intervals{bands}. World {world}, {split}, "
        f"correction {question.correction}."
    )


def _method(row: CellBarrier) -> str:
    return row.method_json


def _order(kind: Kind) -> tuple[Any, ...]:
    """What panels are sorted by."""
    return kind.dataset, *line_order(kind)
