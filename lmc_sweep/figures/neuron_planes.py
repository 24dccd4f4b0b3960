"""Where the neurons of a layer with two inputs stand before a path and at its permutation point."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

from lmc_sweep.analysis.path_rows import Path
from lmc_sweep.figures.looks import Look
from lmc_sweep.figures.sheet import TICK_POINTS, Entry
from lmc_sweep.figures.words import counted

START = Look("o", "#0072b2", line="none")
ENTRY = Entry("neuron of the network", START)
_FARTHEST = 3.0
"""Neurons farther out than so many times the median one would press the others together."""


@dataclass(frozen=True)
class Planes:
    """The neurons of some paths of one network.

    Attributes:
        paths: The paths.
        places: Where its neurons switch, at the start of every path and at its permutation point.
        reach: How far the axes reach from 0, in units of the inputs.
    """

    paths: tuple[Path, ...]
    places: Float64[ndarray, "paths 2 neurons 2"]
    reach: float

    @classmethod
    def of(cls, paths: Sequence[Path]) -> Planes | None:
        """Those of paths in layers with two inputs; None for others."""
        if any(one.vectors is None for one in paths):
            return None
        places = np.stack([_places(one) for one in paths])
        return cls(tuple(paths), places, _reach(places))

    @property
    def told(self) -> str:
        """What is drawn, and how many neurons are not."""
        outside = int(np.count_nonzero(~_is_inside(self.places, self.reach)))
        told = (
            "Top: the point nearest to 0 of the line of inputs on which each neuron's pre-activation is 0. "
            "Lines lead from the network to the permutation point; the two neurons that become one have "
            "bold numbers."
        )
        return f"{told} Not shown: {counted(outside, 'place')} farther out." if outside else told

    def draw(self, panels: Sequence[Any], point: Look) -> None:
        """Fills a panel for every path; ``point`` is how its permutation point looks."""
        for axes, one, (starts, points) in zip(panels, self.paths, self.places, strict=True):
            axes.plot(*np.stack([starts, points]).transpose(2, 0, 1), color="#999999", linewidth=0.7)
            axes.plot(*starts.T, zorder=3, **START.drawn(markersize=3.5))
            axes.plot(*points.T, zorder=4, **point.drawn(markersize=6))
            for number, place in enumerate(starts):
                if _is_inside(place, self.reach):
                    axes.annotate(
                        str(number),
                        place,
                        xytext=(3.5, 3.5),
                        textcoords="offset points",
                        fontsize=TICK_POINTS,
                        fontweight="bold" if number in one.pair else "normal",
                    )
            axes.set_xlim(-self.reach, self.reach)
            axes.set_ylim(-self.reach, self.reach)


def _places(one: Path) -> Float64[ndarray, "2 neurons 2"]:
    """The inputs nearest to 0 at which each neuron's pre-activation is 0; without weights, nowhere.

    Brea et al. 2019 draw weights divided by bias, which leads the same way, as far as this is near.
    """
    assert one.vectors is not None
    weights, biases = one.vectors[..., :2], one.vectors[..., 2:]
    with np.errstate(divide="ignore", invalid="ignore"):
        places: Float64[ndarray, "2 neurons 2"] = -biases * weights / (weights**2).sum(-1, keepdims=True)
    return np.where(np.isfinite(places), places, np.nan)


def _reach(places: Float64[ndarray, "paths 2 neurons 2"]) -> float:
    """How far the axes reach: to the farthest neuron, if it is not far beyond the others."""
    radii = np.linalg.norm(places, axis=-1)
    radii = radii[np.isfinite(radii)]
    if not len(radii) or radii.max() == 0:
        return 1.0
    return float(1.15 * min(radii.max(), _FARTHEST * np.median(radii)))


def _is_inside(places: Float64[ndarray, "*of 2"], reach: float) -> Bool[ndarray, " *of"]:
    """Whether places can be seen."""
    found: Bool[ndarray, " *of"] = (np.abs(places) <= reach).all(axis=-1)
    return found
