"""Loss along paths on which two neurons change places: figure 2 of Brea et al. 2019."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from lmc_sweep.analysis.path_rows import KINDS, SAME_LOSS, Path, levels, of_networks, three_pairs
from lmc_sweep.figures.looks import Look
from lmc_sweep.figures.neuron_planes import ENTRY, Planes
from lmc_sweep.figures.options import Option, settled
from lmc_sweep.figures.path_axes import LOSS_NAMES, distance_axis, in_powers, paths_here, zero_place
from lmc_sweep.figures.sheet import Entry, name_axes, nothing, sheet
from lmc_sweep.figures.words import counted
from workers.permutation_points.kinds import FLAT

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

CHOOSE = Option(
    "choose",
    "losses",
    "losses: two pairs that reach one loss and one that reaches another; kinds: a path of each kind",
    ("losses", "kinds"),
)
TEACHER = Option("teacher", "first", "seed of the network; first: that of which the three can be shown")
ACTIVATION = Option("activation", "first", "of the hidden layers; first: in the order of the alphabet")
OPTIONS = (CHOOSE, TEACHER, ACTIVATION)
LOSS = Look("", "#0072b2")
DISTANCE = Look("", "#999999", line=(0, (4, 1.5)))
POINT = Look("*", "#d55e00", line="none")
ENTERED = Look(".", "#cc79a7", line="none")
_LOWEST_SHARE = 1e-7
"""Losses below this share of the highest are where minimization ends: they have no place on the axis."""


def draw(store: Store, sweep: str | None, options: Mapping[str, str]) -> Any:
    """The figure of a store, or of one sweep in it, as a matplotlib ``Figure``."""
    values = settled("permutation_paths", OPTIONS, options)
    paths, notes = paths_here(store, sweep)
    if not paths:
        return nothing(notes)
    known = sorted({one.activation for one in paths})
    activation = known[0] if values["activation"] == "first" else values["activation"]
    kept = [
        one for one in paths if one.activation == activation and values["teacher"] in ("first", str(one.seed))
    ]
    if not kept:
        told = f"Not shown: no path of activation {activation} and network {values['teacher']}. "
        return nothing([f"{told}Activations here: {', '.join(known)}.", *notes])
    examples = [one for one in kept if one.has_loss]
    if not examples:
        return nothing([f"Not shown: {counted(len(kept), 'path')} whose loss is 0 all along.", *notes])
    chosen, _ = _chosen(examples, values["choose"])
    of_network = [one for one in kept if one.network == chosen[0].network]
    num_flat = sum(not one.has_loss for one in of_network)
    if num_flat:
        notes.append(f"Not among the examples: {counted(num_flat, 'pair')} whose loss is 0 all along.")
    return drawing(chosen, of_network, notes)


def _chosen(paths: Sequence[Path], choose: str) -> tuple[list[Path], list[Path]]:
    """The paths that are shown, and all of their network: the first one that has them, else the first."""
    networks = of_networks(paths)
    if choose == "kinds":
        best = max(networks, key=lambda of: len({one.kind for one in of}))
        first = {one.kind: one for one in reversed(best)}
        return [first[kind] for kind in KINDS if kind in first], best
    for of in networks:
        num_levels = len(levels(of))
        if 1 < num_levels < len(of):
            return three_pairs(of), of
    return three_pairs(networks[0]), networks[0]


def drawing(chosen: Sequence[Path], of_network: Sequence[Path], notes: Sequence[str] = ()) -> Any:
    """A column for every path: its neurons if they lie in a plane, loss against t and against distance."""
    planes = Planes.of(chosen)
    entries = [
        *([ENTRY] if planes else ()),
        Entry("loss", LOSS),
        Entry("distance, its first value at the top", DISTANCE),
        Entry("permutation point", POINT),
        Entry("loss as the distance has shrunk", ENTERED),
    ]
    titles = [
        f"{letter}: neurons {one.pair[0]} and {one.pair[1]}"
        for letter, one in zip("ABC", chosen, strict=False)
    ]
    told = [_told(chosen, of_network), *([planes.told] if planes else ()), *notes]
    num_rows = 3 if planes else 2
    figure, grid = sheet(num_rows, len(chosen), entries, told, titles=titles)
    if planes:
        planes.draw(grid[0], POINT)
        for axes, title in zip(grid[0], titles, strict=True):
            name_axes(axes, "Input 1", "Input 2", title)
    highest = max(float(one.losses.max()) for one in chosen)
    for column, (one, title) in enumerate(zip(chosen, titles, strict=True)):
        upper, lower = grid[-2][column], grid[-1][column]
        _along_t(upper, one, highest)
        name_axes(upper, "t", LOSS_NAMES[one.loss] + in_powers(upper, highest), "" if planes else title)
        _by_distance(lower, one, highest)
        name_axes(lower, "Distance", LOSS_NAMES[one.loss], one.kind.replace("_", " "))
    ends = [axes.get_ylim() for axes in grid[-1]]
    for axes in grid[-1]:
        axes.set_ylim(min(low for low, _ in ends), max(high for _, high in ends))
        axes.minorticks_off()
    return figure


def _along_t(axes: Any, one: Path, highest: float) -> None:
    """The whole path, with its mirror image; the distance as a share of the first."""
    top = 1.08 * highest
    axes.plot(one.times, top * one.distances / one.distances.max(), **DISTANCE.drawn(linewidth=0.9))
    axes.plot(one.times, one.losses, zorder=3, **LOSS.drawn())
    axes.plot([one.times[one.num_half - 1]], [one.point_loss], zorder=4, **POINT.drawn(markersize=7))
    axes.set_xlim(0, 1)
    axes.set_xticks([0, 0.25, 0.5, 0.75, 1], ["0", "1/4", "1/2", "3/4", "1"])
    axes.set_ylim(0, top)


def _by_distance(axes: Any, one: Path, highest: float) -> None:
    """The way to the permutation point, both axes logarithmic; distance 0 to the left of the others."""
    half = one.num_half
    distances, losses = one.distances[:half], one.losses[:half]
    zero = zero_place(distances)
    seen = (distances > 0) & (losses > _LOWEST_SHARE * highest)
    if len(one.entered):
        begun = one.entered[: np.count_nonzero(distances)]
        high = begun > _LOWEST_SHARE * highest
        axes.plot(
            distances[: len(begun)][high], begun[high], **ENTERED.drawn(markersize=3.5, markeredgewidth=0)
        )
    axes.plot(distances[seen], losses[seen], zorder=3, **LOSS.drawn())
    axes.plot([zero], [one.point_loss], zorder=4, clip_on=False, **POINT.drawn(markersize=7))
    axes.set_yscale("log")
    distance_axis(axes, zero, float(distances.max()))


def _told(chosen: Sequence[Path], of_network: Sequence[Path]) -> str:
    """What the paths are."""
    one = chosen[0]
    num_levels = len(levels(of_network))
    where = f"a network trained on {one.dataset}" if one.dataset else "a random network"
    points = ", ".join(f"{each.point_loss:.3g}" for each in chosen)
    found = "1 loss" if num_levels == 1 else f"{num_levels} losses"
    return (
        f"Layer {one.layer} ({one.width} {one.activation} units) of {where}, seed {one.seed}. Two neurons "
        f"come together at minimal loss{_weights(one)} (t up to 1/4), share output weights at equal loss (up "
        f"to 1/2), and go back with their places changed. Losses at the permutation points: {points}; the "
        f"{counted(len(of_network), 'pair')} measured reach {found} there, if differences below "
        f"{SAME_LOSS:.1%} count as none. Below: the way to the permutation point at distance 0, at the "
        f"minima and as minimization begins; losses under {_LOWEST_SHARE:.0e} of the highest are left out. "
        "Titles below: the kind of the path by its losses up to t = 1/4: monotone where they never fall, "
        "intermediate saddle where they fall and rise again, minimum where they fall towards the permutation "
        f"point; less than {FLAT:.0%} of the highest counts as none."
    )


def _weights(one: Path) -> str:
    """What the output weights of the two neurons, and the layers below, may do."""
    below = " and those of the layers below" if one.layer > 1 and one.activation == "relu" else ""
    return {
        "free": ", output weights free",
        "held": f", their output weights{below} held at their length",
        None: " under a penalty",
    }[one.output_weights]
