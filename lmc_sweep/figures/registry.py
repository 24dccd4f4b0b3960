"""The figures that can be drawn: ``FIGURES`` is the one place where a name becomes a figure.

Matplotlib is imported when one is drawn.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from lmc_sweep.errors import SweepError
from lmc_sweep.figures import (
    annealing_scaling,
    barrier_depth,
    barrier_width,
    canonical_distances,
    curves,
    density,
    difficulty,
    ensembles,
    histograms,
    initialization,
    label_noise,
    layers,
    pair_histograms,
    path_barriers,
    permutation_paths,
    planted_recovery,
    scatter,
    search_cost,
    search_gap,
    search_methods,
    search_traces,
    train_test,
    worlds,
)

if TYPE_CHECKING:
    from lmc_sweep.figures.options import Option
    from lmc_sweep.store.store import Store


@dataclass(frozen=True)
class Figure:
    """One figure: its options, and the function from a store, a sweep's name and options to a drawing.

    Without a sweep, everything in the store is shown. ``draw`` returns a matplotlib ``Figure``, also
    where there is nothing to show yet: then it says so.
    """

    name: str
    summary: str
    options: tuple[Option, ...]
    draw: Callable[[Store, str | None, Mapping[str, str]], Any]


FIGURES: dict[str, Figure] = {
    figure.name: figure
    for figure in (
        Figure(
            name="density",
            summary="Barriers in the real world against our model, before and after alignment",
            options=density.OPTIONS,
            draw=density.draw,
        ),
        Figure(
            name="barrier_width",
            summary="Barriers against width, by data set and family of architectures",
            options=barrier_width.OPTIONS,
            draw=barrier_width.draw,
        ),
        Figure(
            name="barrier_depth",
            summary="Barriers against depth, by data set and family of architectures",
            options=barrier_depth.OPTIONS,
            draw=barrier_depth.draw,
        ),
        Figure(
            name="difficulty",
            summary="Barriers and test errors by data set and network, and the one against the other",
            options=difficulty.OPTIONS,
            draw=difficulty.draw,
        ),
        Figure(
            name="train_test",
            summary="Error and loss of the networks on train and test, against width or depth",
            options=train_test.OPTIONS,
            draw=train_test.draw,
        ),
        Figure(
            name="worlds",
            summary="Barriers of the real world and of our model along width or depth, before and after",
            options=worlds.OPTIONS,
            draw=worlds.draw,
        ),
        Figure(
            name="label_noise",
            summary="Losses, errors and barriers of networks trained on wrong labels",
            options=label_noise.OPTIONS,
            draw=label_noise.draw,
        ),
        Figure(
            name="histograms",
            summary="Distribution of barriers over pairs, direct and by way of a third network",
            options=histograms.OPTIONS,
            draw=histograms.draw,
        ),
        Figure(
            name="pair_histograms",
            summary="Barriers of all pairs of a cell, direct and over other networks, and as matrices",
            options=pair_histograms.OPTIONS,
            draw=pair_histograms.draw,
        ),
        Figure(
            name="curves",
            summary="Loss or error along the segment between two networks, before and after each method",
            options=curves.OPTIONS,
            draw=curves.draw,
        ),
        Figure(
            name="scatter",
            summary="The density plot's points by family, data set, width and depth",
            options=scatter.OPTIONS,
            draw=scatter.draw,
        ),
        Figure(
            name="annealing_scaling",
            summary="Barriers after annealing against the number of steps",
            options=annealing_scaling.OPTIONS,
            draw=annealing_scaling.draw,
        ),
        Figure(
            name="search_methods",
            summary="Barriers before and after each method, by width or depth and networks aligned at a time",
            options=search_methods.OPTIONS,
            draw=search_methods.draw,
        ),
        Figure(
            name="search_cost",
            summary="Barriers against seconds of search, all methods on the same pairs",
            options=search_cost.OPTIONS,
            draw=search_cost.draw,
        ),
        Figure(
            name="search_traces",
            summary="Objectives of searches against evaluations and against seconds",
            options=search_traces.OPTIONS,
            draw=search_traces.draw,
        ),
        Figure(
            name="planted_recovery",
            summary="Share of a planted permutation that each search finds, against noise",
            options=planted_recovery.OPTIONS,
            draw=planted_recovery.draw,
        ),
        Figure(
            name="search_gap",
            summary="Barriers above the exact optimum of brute force, by width",
            options=search_gap.OPTIONS,
            draw=search_gap.draw,
        ),
        Figure(
            name="layers",
            summary="Barriers of single layers, and of all up to one, along the depth",
            options=layers.OPTIONS,
            draw=layers.draw,
        ),
        Figure(
            name="ensembles",
            summary="Two networks averaged in weights and in predictions, by method, and their disagreement",
            options=ensembles.OPTIONS,
            draw=ensembles.draw,
        ),
        Figure(
            name="initialization",
            summary="How far random networks are from linear between one another, against width",
            options=initialization.OPTIONS,
            draw=initialization.draw,
        ),
        Figure(
            name="canonical_distances",
            summary="Distances between networks, raw and with their units in order, and averages of them",
            options=canonical_distances.OPTIONS,
            draw=canonical_distances.draw,
        ),
        Figure(
            name="permutation_paths",
            summary="Loss along paths on which two neurons of a layer change places",
            options=permutation_paths.OPTIONS,
            draw=permutation_paths.draw,
        ),
        Figure(
            name="path_barriers",
            summary="Loss and accuracy on the way to permutation points, and barriers of paths by width",
            options=path_barriers.OPTIONS,
            draw=path_barriers.draw,
        ),
    )
}


def draw(name: str, store: Store, sweep: str | None = None, options: Mapping[str, str] | None = None) -> Any:
    """The named figure as a matplotlib ``Figure``; SweepError for names and values that are not known."""
    return named(name).draw(store, sweep, options or {})


def named(name: str) -> Figure:
    """The named figure; SweepError where there is none."""
    if name not in FIGURES:
        raise SweepError(f"unknown figure {name!r}. Known figures: {', '.join(FIGURES)}")
    return FIGURES[name]
