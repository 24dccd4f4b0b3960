"""What the figures of paths share: what they read, how distances are drawn, and what losses are called."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from lmc_sweep.analysis.path_rows import Path, read
from lmc_sweep.figures.cell_options import unfinished
from lmc_sweep.figures.words import counted

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

LOSS_NAMES = {
    "squared": "Squared loss",
    "relative_squared": "Squared loss / mean square",
    "cross_entropy": "Cross-entropy (nats)",
}
_SHIFTED = 0.4
"""Where distance 0 stands on a logarithmic axis: so many powers of ten left of the smallest other one."""


def paths_here(store: Store, sweep: str | None) -> tuple[list[Path], list[str]]:
    """The paths that can be drawn, and what a caption says of the others, or of there being none."""
    paths, num_left_out = read(store, sweep)
    notes = unfinished(store, sweep, "permutation_path")
    if num_left_out:
        notes.append(f"Not shown: {counted(num_left_out, 'path')} with losses that are not finite.")
    if not paths:
        return [], ["Not shown: no paths here. A sweep asks for them by the key permutation_paths.", *notes]
    return paths, notes


def zero_place(distances: Float64[ndarray, " T"]) -> float:
    """Where distance 0 is drawn on a logarithmic axis that shows the other distances."""
    return float(distances[distances > 0].min()) * 10**-_SHIFTED


def distance_axis(axes: Any, zero: float, highest: float) -> None:
    """Makes the horizontal axis logarithmic, with 0 named at its place, and as many powers of ten as fit."""
    free = max(_SHIFTED / 2, 0.16 * math.log10(highest / zero))  # what the name of 0 needs
    first, last = math.ceil(math.log10(zero) + free), math.floor(math.log10(highest) + 1e-9)
    step = max(1, -(-(last - first + 1) // 5))
    powers = list(range(last, first - 1, -step))[::-1]
    axes.set_xscale("log")
    axes.set_xlim(zero / 1.25, highest * 1.25)
    axes.set_xticks([zero, *(10.0**power for power in powers)], ["0", *map(power_of_ten, powers)])
    axes.minorticks_off()


def power_of_ten(power: int) -> str:
    """10 to a power, for matplotlib to typeset; 1 and 10 as they are."""
    return {0: "1", 1: "10"}.get(power, f"$10^{{{power}}}$")


def in_powers(axes: Any, highest: float) -> str:
    """Names ticks in the power of ten of very small and large losses; what the name of the axis adds."""
    if highest <= 0 or -3 < (power := math.floor(math.log10(highest))) < 3:
        return ""
    axes.yaxis.set_major_formatter(lambda value, _: f"{value / 10.0**power:g}")
    return f" / {power_of_ten(power)}"


def shares_of_first(paths: Sequence[Path]) -> Float64[ndarray, " shares"]:
    """The distances above 0 of the path that has most, as shares of its first, falling."""
    longest = max(paths, key=lambda one: one.num_half)
    distances = longest.distances[: longest.num_half]
    above = distances[distances > 0]
    shares: Float64[ndarray, " shares"] = above / above[0]
    return shares


def at_shares(
    one: Path, values: Float64[ndarray, " T"], shares: Float64[ndarray, " shares"]
) -> Float64[ndarray, " shares_and_zero"]:
    """Values of a path up to its permutation point at such shares of its first distance, and there.

    Between two distances they are read off the straight line by the logarithm.
    """
    distances = one.distances[: one.num_half]
    above = distances > 0
    own = np.log(distances[above] / distances[0])
    found = np.interp(np.log(shares), own[::-1], values[: one.num_half][above][::-1])
    return np.append(found, values[one.num_half - 1])
