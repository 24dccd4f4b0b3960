"""Loss and accuracy on the way to permutation points, barriers by width: figure 3 of Brea et al. 2019."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from lmc_sweep.analysis.intervals import mean_with_interval
from lmc_sweep.analysis.path_rows import Path, of_networks
from lmc_sweep.figures.looks import Look, size_looks
from lmc_sweep.figures.options import Option, settled
from lmc_sweep.figures.path_axes import (
    LOSS_NAMES,
    at_shares,
    distance_axis,
    in_powers,
    paths_here,
    shares_of_first,
    zero_place,
)
from lmc_sweep.figures.sheet import Entry, name_axes, nothing, sheet
from lmc_sweep.figures.size_panels import name_numbers
from lmc_sweep.figures.words import counted
from workers.permutation_points.kinds import FLAT

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

PAIRS = Option(
    "pairs",
    "first",
    "of each network and layer, the pair that stands first, or the one of the lowest barrier",
    ("first", "lowest"),
)
HEIGHT = Option(
    "height",
    "minima",
    "of barriers: the highest of the losses found by minimization, or of those at which it begins as well",
    ("minima", "entered"),
)
ACTIVATION = Option("activation", "most", "of the hidden layers; most: that with most paths, all else alike")
OUTPUTS = Option("outputs", "most", "neurons of the output layer; most: likewise")
OUTPUT_WEIGHTS = Option("output_weights", "most", "free or held; most: likewise", ("most", "free", "held"))
OPTIONS = (PAIRS, HEIGHT, ACTIVATION, OUTPUTS, OUTPUT_WEIGHTS)


def draw(store: Store, sweep: str | None, options: Mapping[str, str]) -> Any:
    """The figure of a store, or of one sweep in it, as a matplotlib ``Figure``."""
    values = settled("path_barriers", OPTIONS, options)
    paths, notes = paths_here(store, sweep)
    if not paths:
        return nothing(notes)
    asked = [one for one in paths if _is_asked(one, values)]
    if not asked:
        return nothing(["Not shown: no path of these activation, outputs and output_weights here.", *notes])
    group, _ = most_asked(asked)
    if len(group) < len(paths):
        notes.append(
            f"Not shown: {counted(len(paths) - len(group), 'path')} of other data, activations or settings; "
            "activation=..., outputs=... and output_weights=... choose."
        )
    kept = [_shown(of, values["pairs"]) for of in of_networks(group)]
    if values["height"] == "entered" and any(one.barrier_entered is None for one in kept):
        return nothing(
            ["Not shown: under a penalty no losses are known at which minimization begins.", *notes]
        )
    return drawing(kept, pairs=values["pairs"], height=values["height"], notes=notes)


def _is_asked(one: Path, values: Mapping[str, str]) -> bool:
    """Whether a path is of the activation, outputs and output weights that options name."""
    own = {
        "activation": one.activation,
        "outputs": str(one.sizes[-1]),
        "output_weights": one.output_weights,
    }
    return all(values[name] in ("most", value) for name, value in own.items())


def most_asked(paths: Sequence[Path]) -> tuple[list[Path], int]:
    """The most paths that differ in network, width and pair alone, and how many others there are."""
    by_kind: dict[tuple[str, str, int, str], list[Path]] = {}
    for one in paths:
        by_kind.setdefault((one.dataset or "", one.activation, one.layer, one.settings), []).append(one)
    best = max(by_kind, key=lambda kind: (len(by_kind[kind]), kind))
    return by_kind[best], len(paths) - len(by_kind[best])


def _shown(paths: Sequence[Path], pairs: str) -> Path:
    """The one path of a network that is shown."""
    if pairs == "lowest":
        return min(paths, key=lambda one: (one.barrier, one.pair))
    return min(paths, key=lambda one: (one.rank, one.pair))


def drawing(
    paths: Sequence[Path], *, pairs: str = "first", height: str = "minima", notes: Sequence[str] = ()
) -> Any:
    """Panels: loss and accuracy against distance, for every network and in the mean; barriers by width."""
    widths = sorted({one.width for one in paths})
    looks = {width: Look(look.marker, look.color) for width, look in size_looks(widths).items()}
    entries = [Entry(f"{width} neurons", looks[width]) for width in widths]
    has_errors = all(one.errors is not None for one in paths)
    told = [_told(paths, pairs, height), *notes]
    num_flat = sum(_height(one, height) <= 0 for one in paths)
    if num_flat:
        told.append(f"Right: {counted(num_flat, 'path')} without a barrier, in the mean alone: no logarithm.")
    if not has_errors:
        told.append("Not shown: accuracies, since the examples have no labels.")
    figure, grid = sheet(1, 3 if has_errors else 2, entries, told, panel_inches=2.2)
    panels, shares = grid[0], shares_of_first(paths)
    for axes, is_loss in zip(panels, (True, False) if has_errors else (True,), strict=False):
        for width in widths:
            of_width = [at_shares(one, _values(one, is_loss), shares) for one in paths if one.width == width]
            _draw_lines(axes, shares, of_width, looks[width])
        distance_axis(axes, zero_place(shares), 1.0)
        label = "Accuracy (fraction)"
        if is_loss:
            highest = max(float(one.losses.max()) for one in paths)
            label = LOSS_NAMES[paths[0].loss] + in_powers(axes, highest)
        name_axes(axes, "Distance (share of the first)", label)
    panels[0].set_ylim(bottom=0)
    _draw_barriers(panels[-1], paths, looks, height)
    name_axes(panels[-1], "Neurons of the layer", f"Barrier ({LOSS_NAMES[paths[0].loss].lower()})")
    return figure


def _values(one: Path, is_loss: bool) -> Float64[ndarray, " T"]:
    """Losses, or accuracies."""
    if is_loss:
        return one.losses
    assert one.errors is not None
    return 1 - one.errors


def _draw_lines(
    axes: Any,
    shares: Float64[ndarray, " shares"],
    lines: Sequence[Float64[ndarray, " shares_and_zero"]],
    look: Look,
) -> None:
    """Thin: every network. Thick: their mean. What they are at distance 0 stands apart, with a marker."""
    zero = zero_place(shares)
    mean = np.mean(lines, axis=0)
    for line in lines:
        axes.plot(shares, line[:-1], color=look.color, linewidth=0.5, alpha=0.4)
        axes.plot(
            [zero], line[-1:], look.marker, color=look.color, markersize=2, alpha=0.4, markeredgewidth=0
        )
    axes.plot(shares, mean[:-1], color=look.color, linewidth=1.5, zorder=3)
    axes.plot([zero], mean[-1:], zorder=3, clip_on=False, **look.drawn(markersize=4))


def _draw_barriers(axes: Any, paths: Sequence[Path], looks: Mapping[int, Look], height: str) -> None:
    """The height of every network's barrier, and their mean with its interval."""
    means = []
    for width, look in looks.items():
        heights = [_height(one, height) for one in paths if one.width == width]
        axes.plot([width] * len(heights), heights, **look.drawn(linestyle="none", markersize=2.5, alpha=0.4))
        means.append(mean_with_interval(heights))
        axes.errorbar(
            [width],
            [means[-1].value],
            yerr=[[reach] for reach in means[-1].reach],
            elinewidth=0.8,
            capsize=1.5,
            zorder=4,
            **look.drawn(markersize=5),
        )
    values = [mean.value for mean in means]
    axes.plot(list(looks), values, color="#777777", linewidth=0.9, zorder=2)
    if any(value > 0 for value in values):
        axes.set_yscale("log")
    widths = list(looks)
    name_numbers(axes, widths, widths[0] / 1.15, widths[-1] * 1.15)


def _height(one: Path, height: str) -> float:
    """Of one path's barrier."""
    if height == "minima":
        return one.barrier
    assert one.barrier_entered is not None
    return one.barrier_entered


def _told(paths: Sequence[Path], pairs: str, height: str) -> str:
    """What was done, and what is shown."""
    one = paths[0]
    counts = sorted({sum(each.width == width for each in paths) for width in {each.width for each in paths}})
    seeds = f"{counts[0]}" if len(counts) == 1 else f"{counts[0]} to {counts[-1]}"
    networks = f"networks trained on {one.dataset}" if one.dataset else "random networks"
    chosen = {
        "first": "the pair of neurons that its rule ranks first",
        "lowest": "of the pairs measured the one with the lowest barrier",
    }[pairs]
    kinds = sum(each.kind == "monotone" for each in paths)
    highest = {
        "minima": "Right: highest loss less that of the start",
        "entered": "Right: highest loss less that of the start, with those at which minimization begins",
    }[height]
    return (
        f"Two neurons of layer {one.layer} of {networks} come together at minimal loss; {chosen}, {seeds} "
        "networks of each width. Thin: each network. Thick: their mean. Markers at 0: the "
        f"permutation point. The loss never falls by {FLAT:.0%} of the highest on {kinds} of "
        f"{counted(len(paths), 'path')}. {highest}; mean with 95% bootstrap interval."
    )
