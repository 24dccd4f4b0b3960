"""Networks that were trained on wrong labels: their losses, errors and barriers.

After figure 16 of Entezari et al. 2021.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmc_sweep.analysis.cell_rows import (
    BarrierQuestion,
    CellBarrier,
    CellNetwork,
    Kind,
    barrier_mean,
    grouped,
    network_mean,
    read_barriers,
    read_networks,
)
from lmc_sweep.figures.cell_options import (
    METHOD,
    WHAT,
    WORLD,
    diverged,
    drawn_together,
    kind_label,
    lacking,
    of_method,
    pairs_at_points,
    question_of,
    unfinished,
    without_interval,
)
from lmc_sweep.figures.looks import Look, size_looks
from lmc_sweep.figures.methods_asked import settled_of_store
from lmc_sweep.figures.options import BY, SPLIT
from lmc_sweep.figures.sheet import Entry, nothing
from lmc_sweep.figures.size_lines import Panel, by_size, draw_grid, line_of, line_order
from lmc_sweep.figures.train_test import FIGURES_SHOWN, SPLITS, is_loss, of_split
from lmc_sweep.figures.words import counted, height_label

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

OPTIONS = (*WHAT, SPLIT, WORLD, METHOD, BY)
_MOST_ROWS = 5
_GRAY = "#5b5b5b"


def draw(store: Store, sweep: str | None, options: Mapping[str, str]) -> Any:
    """The figure of a store, or of one sweep in it, as a matplotlib ``Figure``."""
    values = settled_of_store("label_noise", OPTIONS, options, store)
    question = question_of(values)
    return drawing(
        read_barriers(store, sweep, question),
        read_networks(store, sweep),
        question,
        split=values["split"],
        world=values["world"],
        method=values["method"],
        by=values["by"],
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
    by: str = "width",
    notes: Sequence[str] = (),
) -> Any:
    """A row of panels for each data set and family: losses, errors, barriers; a line for each noise."""
    of_world = [row for row in rows if row.world == world and row.split == split]
    found, label, variants = of_method(of_world, method)
    known = [network for network in networks if network.figures["train_loss"] is not None]
    told = [*diverged(found), *variants, *notes]
    if len(known) < len(networks):
        told.append(f"Not shown: {counted(len(networks) - len(known), 'network')} that diverged.")
    measured = [row for row in found if row.value is not None]
    places = _places([*(row.kind for row in measured), *(network.kind for network in known)], by)
    if not places:
        lacks = "Not shown: no networks that differ in label noise alone here."
        return nothing([lacks, *([] if measured else [lacking(question, world=world, method=method)]), *told])
    if len(places) > _MOST_ROWS:
        told.append(f"Not shown: {counted(len(places) - _MOST_ROWS, 'further kind')} of network.")
        places = places[:_MOST_ROWS]
    measured = [row for row in measured if _place(row.kind, by) in places]
    known = [network for network in known if _place(network.kind, by) in places]
    barriers = {kind: barrier_mean(of) for kind, of in grouped(measured, lambda row: row.kind).items()}
    of_kinds = grouped(known, lambda network: network.kind)
    noises = sorted({kind.label_noise for kind in (*barriers, *of_kinds)})
    looks = size_looks(noises)
    grid = [
        [
            *(
                Panel(
                    title=kind_label(place),
                    height=FIGURES_SHOWN[figure],
                    lines={
                        (noise, of): by_size(
                            {
                                kind: network_mean(group, f"{of}_{figure}")
                                for kind, group in of_kinds.items()
                                if (_place(kind, by), kind.label_noise) == (place, noise)
                            },
                            by,
                        )
                        for noise in noises
                        for of in SPLITS
                    },
                )
                for figure in ("loss", "error")
            ),
            Panel(
                title=kind_label(place),
                height=height_label(question, split),
                lines={
                    (noise, "train"): by_size(
                        {
                            kind: mean
                            for kind, mean in barriers.items()
                            if (_place(kind, by), kind.label_noise) == (place, noise)
                        },
                        by,
                    )
                    for noise in noises
                },
            ),
        ]
        for place in places
    ]
    means = list(barriers.values())
    pairs = len({row.pair for row in measured})
    at_points = f" ({pairs_at_points(means)})" if means else ""
    what = (
        f"Means with 95% bootstrap intervals over {counted(len(known), 'network')} and "
        f"{counted(pairs, 'pair')}{at_points}. Figures on train use the labels that were trained on. "
        f"Losses on a logarithmic axis. Barriers: world {world}, {label}, correction {question.correction}."
    )
    entries = [
        *(Entry(f"label noise {noise:g}", look) for noise, look in looks.items()),
        *(Entry(of, of_split(Look("o", _GRAY), of)) for of in SPLITS),
    ]
    both = {(noise, of): of_split(look, of) for noise, look in looks.items() for of in SPLITS}
    return draw_grid(
        grid,
        both,
        entries,
        [what, *without_interval(means), *drawn_together(measured), *told],
        by,
        logarithmic=is_loss,
        shared_heights=False,
        shared_sizes=True,
    )


def _places(kinds: Sequence[Kind], by: str) -> list[Kind]:
    """What has more than one label noise: each a row of panels."""
    noises: dict[Kind, set[float]] = {}
    for kind in kinds:
        if getattr(kind, by) is not None:
            noises.setdefault(_place(kind, by), set()).add(kind.label_noise)
    several = [place for place, found in noises.items() if len(found) > 1]
    return sorted(several, key=lambda place: (place.dataset, *line_order(place)))


def _place(kind: Kind, by: str) -> Kind:
    """The kind without the size on the axis and without label noise."""
    return replace(line_of(kind, by), dataset=kind.dataset, label_noise=0.0)
