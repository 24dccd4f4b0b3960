"""How searches went: the traces of a store, and their mean course."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float64
from numpy import ndarray

from lmc_sweep.analysis.search_rows import Place

if TYPE_CHECKING:
    from lmc_sweep.store.store import Store

COLUMNS = (
    "trace_id",
    "alignment_id",
    "cell_id",
    "pair_id",
    "world",
    "method_json",
    "chain",
    "evaluations",
    "seconds",
    "objectives",
    "best_objectives",
    "temperatures",
    "acceptances",
)
"""Columns of ``search_traces`` that are read."""

NUM_POINTS = 120


@dataclass(frozen=True)
class Trace:
    """One chain of one search; all arrays have one entry per point.

    ``place`` tells the networks and how many were aligned at a time. ``objectives`` are of the present
    state, ``best`` the best so far.
    """

    alignment_id: str
    place: Place
    objective: str
    method_json: str
    chain: int
    evaluations: Float64[ndarray, " points"]
    seconds: Float64[ndarray, " points"]
    objectives: Float64[ndarray, " points"]
    best: Float64[ndarray, " points"]


def read_traces(store: Store, sweep: str | None, world: str) -> list[Trace]:
    """The traces of a world, of a store or of one sweep in it, by place and method."""
    asked = None if sweep is None else store.item_ids(sweep, "alignment")
    searches = {
        row[0]: (row[1], len(row[2]))
        for row in store.alignments().project("alignment_id, objective, networks").fetchall()
    }
    cells = {
        row[0]: row[1:]
        for row in store.networks()
        .project("cell_id, dataset, architecture, width, depth, label_noise")
        .fetchall()
    }
    rows = [
        dict(zip(COLUMNS, row, strict=True))
        for row in store.search_traces().project(", ".join(COLUMNS)).fetchall()
    ]
    kept = [
        row
        for row in rows
        if row["world"] == world
        and row["cell_id"] in cells
        and row["alignment_id"] in searches
        and (asked is None or row["alignment_id"] in asked)
    ]
    found = []
    for row in kept:
        objective, num_networks = searches[row["alignment_id"]]
        dataset, architecture, width, depth, noise = cells[row["cell_id"]]
        place = Place(dataset, architecture, width, depth, num_networks, noise or 0.0)
        found.append(trace(row, objective, place))
    return sorted(found, key=lambda one: (one.place.order, one.method_json, one.alignment_id, one.chain))


def trace(row: Mapping[str, Any], objective: str, place: Place) -> Trace:
    """One row of ``search_traces``."""
    numbers = {
        name: np.asarray([np.nan if value is None else value for value in row[name]], dtype=np.float64)
        for name in ("evaluations", "seconds", "objectives", "best_objectives")
    }
    return Trace(
        alignment_id=row["alignment_id"],
        place=place,
        objective=objective,
        method_json=row["method_json"],
        chain=row["chain"],
        evaluations=numbers["evaluations"],
        seconds=numbers["seconds"],
        objectives=numbers["objectives"],
        best=numbers["best_objectives"],
    )


def mean_best(
    traces: Sequence[Trace], against: str
) -> tuple[Float64[ndarray, " points"], Float64[ndarray, " points"]]:
    """Mean over chains of the best objective, on a logarithmic grid of ``evaluations`` or ``seconds``.

    Between two points of a trace its best is that of the earlier one: nothing better was known. The grid
    begins where every chain has a point, and ends where the last chain does: a chain that ended keeps
    what it found.
    """
    whole = [one for one in traces if len(one.best) and getattr(one, against)[-1] > 0]
    if not whole:
        return np.empty(0), np.empty(0)
    places = [getattr(one, against) for one in whole]
    first = max(max(place[0], _least_positive(place)) for place in places)
    last = max(place[-1] for place in places)
    grid = np.geomspace(first, max(last, first), NUM_POINTS)
    values = [
        one.best[np.clip(np.searchsorted(place, grid * (1 + 1e-12), side="right") - 1, 0, None)]
        for one, place in zip(whole, places, strict=True)
    ]
    return grid, np.mean(values, axis=0)


def _least_positive(values: Float64[ndarray, " points"]) -> float:
    """The least value above 0, which a logarithmic axis needs."""
    return float(values[values > 0].min())
