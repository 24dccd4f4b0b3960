"""Deviations from linearity of random networks, from their specs."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from workers.alignment.assignment import smallest_sum
from workers.device import map_on_threads
from workers.initialization.deviations import deviations
from workers.initialization.draws import Pairs, drawn_inputs, drawn_pairs
from workers.initialization.grid import GridMatching, bound_of_grid, grid_matching
from workers.initialization.specs import InitializationSpec
from workers.seeding import generator

_BLOCK_ENTRIES = 1 << 15
"""Distances that are formed at a time, so that they stay in the cache."""


@dataclass(frozen=True, kw_only=True)
class Measurement:
    """What was measured of one pair of networks.

    Attributes:
        deviation_means: Mean over draws and inputs of the deviation at each alpha.
        deviation_mean: Mean over draws and inputs of the largest deviation over all alphas.
        deviation_quantile: Of these largest ones, what a share of 1 - delta does not exceed.
        deviation_max: The largest of all.
        output_rms: Root mean square of the two networks' outputs.
        matching_distance: Root of the mean squared distance between input weights of matched units.
        cells_per_axis, num_unmatched: Of the grid: m, and |I|; None without one.
        proof_bound: What the proof bounds the deviation by for this grid; None without one.
    """

    deviation_means: tuple[float, ...]
    deviation_mean: float
    deviation_quantile: float
    deviation_max: float
    output_rms: float
    matching_distance: float
    cells_per_axis: int | None = None
    num_unmatched: int | None = None
    proof_bound: float | None = None


def measure(specs: Sequence[InitializationSpec]) -> list[Measurement]:
    """A measurement for every spec, all in one stack; what one finds does not depend on those beside it.

    Raises:
        ValueError: If the specs differ in more than their seeds, or there are none.
    """
    if len({replace(spec, seed=0) for spec in specs}) != 1:
        raise ValueError(f"a stack holds networks that differ in their seeds alone; {len(specs)} were given")
    spec = specs[0]
    pairs = drawn_pairs(spec.input_dim, spec.width, [own.seed for own in specs], spec.num_draws)
    units, grids = _matched_units(specs, pairs)
    matched = pairs.matched(units)
    inputs = drawn_inputs(spec.input_dim, spec.num_inputs)
    found = deviations(matched, inputs, spec.alphas, spec.activation)
    squares = (matched.first_inputs - matched.second_inputs).square_().sum(2)
    largest = found.largest.flatten(1)
    place = math.ceil((1 - spec.delta) * largest.shape[1])
    quantiles = largest.kthvalue(max(1, place), dim=1).values
    rows = [
        Measurement(
            deviation_means=tuple(found.means[row].tolist()),
            deviation_mean=float(largest[row].mean()),
            deviation_quantile=float(quantiles[row]),
            deviation_max=float(largest[row].max()),
            output_rms=float(found.output_rms[row]),
            matching_distance=float(squares[row].mean().sqrt()),
        )
        for row in range(len(specs))
    ]
    return [_with_grid(row, grid, spec) for row, grid in zip(rows, grids, strict=True)]


def _with_grid(row: Measurement, grid: GridMatching | None, spec: InitializationSpec) -> Measurement:
    """The measurement with the figures of its grid, where there is one."""
    if grid is None:
        return row
    return replace(
        row,
        cells_per_axis=grid.cells_per_axis,
        num_unmatched=grid.num_unmatched,
        proof_bound=bound_of_grid(grid.num_unmatched, spec.width, grid.cells_per_axis, spec.delta),
    )


def _matched_units(
    specs: Sequence[InitializationSpec], pairs: Pairs
) -> tuple[Int64[Tensor, "N h"], list[GridMatching | None]]:
    """The unit of the second network for each of the first, and the grids that were used."""
    first, second, spec = pairs.first_inputs, pairs.second_inputs, specs[0]
    if spec.matching == "identity":
        return torch.arange(spec.width).expand(len(specs), -1), [None] * len(specs)
    if spec.matching == "hungarian":
        rows = map_on_threads(lambda row: nearest_units(first[row], second[row]), range(len(specs)))
        return torch.stack(rows), [None] * len(specs)
    if spec.grid_cells is None:
        raise ValueError("matching 'grid' needs grid_cells: a rule, or cells along each axis")
    grids = [
        grid_matching(first[row], second[row], spec.grid_cells, _grid_stream(own))
        for row, own in enumerate(specs)
    ]
    return torch.stack([grid.units for grid in grids]), list(grids)


def nearest_units(first: Float64[Tensor, "h d"], second: Float64[Tensor, "h d"]) -> Int64[Tensor, " h"]:
    """The unit of the second network for each of the first with the least sum of squared distances: exact.

    In one dimension that matches them in the order of their weights (rearrangement inequality), where the
    general solver takes longest.
    """
    if first.shape[1] == 1:
        units = torch.empty(len(first), dtype=torch.int64)
        units[first[:, 0].argsort()] = second[:, 0].argsort()
        return units
    return smallest_sum(squared_distances(first, second))


def squared_distances(
    first: Float64[Tensor, "h d"], second: Float64[Tensor, "h d"]
) -> Float64[Tensor, "h h"]:
    """Squared Euclidean distances between input weights, by differences: without cancellation."""
    costs = first.new_zeros(len(first), len(second))
    block = max(1, _BLOCK_ENTRIES // len(second))
    for sums, of_block in zip(costs.split(block), first.split(block), strict=True):
        for own, other in zip(of_block.T, second.T, strict=True):
            sums += (own[:, None] - other[None, :]).square_()
    return costs


def _grid_stream(spec: InitializationSpec) -> torch.Generator:
    """Who is matched with whom within the cells."""
    return generator("theorem_grid", spec.input_dim, spec.width, spec.seed, str(spec.grid_cells))
