"""Error and loss of the trained networks on both splits, against width or depth.

After figures 8 and 9 of Entezari et al. 2021.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from lmc_sweep.analysis.cell_rows import CellNetwork, grouped, network_mean, read_networks
from lmc_sweep.figures.cell_options import unfinished
from lmc_sweep.figures.looks import Look
from lmc_sweep.figures.options import BY, settled
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
from lmc_sweep.figures.words import counted

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

OPTIONS = (BY,)
FIGURES_SHOWN = {"error": "Error (fraction)", "loss": "Loss (nats)"}
SPLITS = ("train", "test")
DASHES = (0, (4, 1.5))
_MOST_ROWS = 5
_GRAY = "#5b5b5b"


def draw(store: Store, sweep: str | None, options: Mapping[str, str]) -> Any:
    """The figure of a store, or of one sweep in it, as a matplotlib ``Figure``."""
    values = settled("train_test", OPTIONS, options)
    return drawing(read_networks(store, sweep), by=values["by"], notes=unfinished(store, sweep, "network"))


def drawing(networks: Sequence[CellNetwork], *, by: str = "width", notes: Sequence[str] = ()) -> Any:
    """A row of panels for each data set: error and loss, train filled and test open."""
    known = [network for network in networks if network.figures["train_loss"] is not None]
    kinds, told = comparable((network.kind for network in known), by)
    told += notes
    if len(known) < len(networks):
        told = [f"Not shown: {counted(len(networks) - len(known), 'network')} that diverged.", *told]
    if not kinds:
        return nothing(["Not shown: no trained networks along this axis here.", *told])
    shown = [network for network in known if network.kind in kinds]
    looks = line_looks(line_of(kind, by) for kind in kinds)
    of_kinds = grouped(shown, lambda network: network.kind)
    datasets = sorted({kind.dataset for kind in kinds})
    if len(datasets) > _MOST_ROWS:
        told.append(f"Not shown: {counted(len(datasets) - _MOST_ROWS, 'further data set')}.")
    grid = [
        [
            Panel(
                title=f"{dataset}, {figure}",
                height=height,
                lines={
                    (line, split): by_size(
                        {
                            kind: network_mean(found, f"{split}_{figure}")
                            for kind, found in of_kinds.items()
                            if kind.dataset == dataset and line_of(kind, by) == line
                        },
                        by,
                    )
                    for line in looks
                    for split in SPLITS
                },
            )
            for figure, height in FIGURES_SHOWN.items()
        ]
        for dataset in datasets[:_MOST_ROWS]
    ]
    counts = sorted({len(found) for found in of_kinds.values()})
    each = f"{counts[0]} to {counts[-1]} networks" if len(counts) > 1 else counted(counts[0], "network")
    what = (
        f"Mean over networks with 95% bootstrap interval: {each} at each point, "
        f"{counted(len(shown), 'network')} in all, on all examples of both splits, at the end of training. "
        "Losses on a logarithmic axis."
    )
    entries = [
        *(Entry(line_label(line, by), look) for line, look in looks.items()),
        *(Entry(split, of_split(Look("o", _GRAY), split)) for split in SPLITS),
    ]
    split_looks = {(line, split): of_split(look, split) for line, look in looks.items() for split in SPLITS}
    return draw_grid(
        grid,
        split_looks,
        entries,
        [what, *told],
        by,
        logarithmic=is_loss,
        shared_heights=False,
        shared_sizes=True,
    )


def of_split(look: Look, split: str) -> Look:
    """Train as it is; test open and dashed."""
    return look if split == "train" else replace(look, filled=False, line=DASHES)


def is_loss(panel: Panel) -> bool:
    """Whether a panel shows losses of networks, which range over decades."""
    return panel.height == FIGURES_SHOWN["loss"]
