"""The matching of theorem 3.1's proof: hidden units are matched at random within the cells of a grid."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil, log, pow, sqrt

import torch
from jaxtyping import Float64, Int64
from torch import Generator, Tensor

from workers.initialization.specs import GridRule, exponent_of_bound

_MOST_CELLS_PER_UNIT = 4
"""With more cells than this for every unit, nearly all units are alone in theirs."""

_LARGEST_KEY = 2**63 - 1


@dataclass(frozen=True)
class GridMatching:
    """Units of the second network for those of the first.

    Attributes:
        units: The unit of the second network at each place: a permutation.
        cells_per_axis: m; the proof's xi is 1 / (m sqrt(d)), half the side of a cell.
        num_unmatched: |I|: units whose cell held fewer of the other network; they are matched at random
            with each other.
    """

    units: Int64[Tensor, " h"]
    cells_per_axis: int
    num_unmatched: int


def grid_matching(
    first: Float64[Tensor, "h d"],
    second: Float64[Tensor, "h d"],
    cells: GridRule | int,
    stream: Generator,
) -> GridMatching:
    """Every unit with a random one of its cell, and those that are left over at random.

    The cube [-1/sqrt(d), 1/sqrt(d)]^d is divided into m^d equal cells. Their centers are the proof's set
    S_xi, and the units nearest to a center are those of its cell.

    Args:
        first: Input weights of the first network, within the cube.
        second: Those of the second.
        cells: m, or the rule for it.
        stream: Draws who is matched with whom.

    Source:
        Entezari et al. 2021, appendix D.
    """
    width = len(first)
    per_axis = cells if isinstance(cells, int) else _chosen_cells(first, second, cells)
    own, other = _cells_of(first, second, per_axis)
    (keys, places), (other_keys, units) = (_by_cell_and_rank(side, stream) for side in (own, other))
    # a key says: the k-th unit of this cell
    shared, other_shared = torch.isin(keys, other_keys), torch.isin(other_keys, keys)
    left, other_left = places[~shared], units[~other_shared]
    found = torch.empty(width, dtype=torch.int64)
    found[places[shared]] = units[other_shared]
    found[left] = other_left[torch.randperm(len(left), generator=stream)]
    return GridMatching(found, per_axis, len(left))


def bound_of_grid(num_unmatched: int, width: int, cells_per_axis: int, delta: float) -> float:
    """What the proof bounds the deviation by, with probability 1 - delta.

        sqrt(2 log(12/delta) log(12h/delta) (|I|/h + xi^2 d)),   xi^2 d = 1/m^2

    Source:
        Entezari et al. 2021, inequality 13.
    """
    logarithms = log(12 / delta) * log(12 * width / delta)
    return sqrt(2 * logarithms * _of_bound(num_unmatched, width, cells_per_axis))


def _of_bound(num_unmatched: int, width: int, cells_per_axis: int) -> float:
    """|I|/h + xi^2 d: the part of the bound that the grid decides."""
    return num_unmatched / width + 1 / cells_per_axis**2


def _chosen_cells(first: Tensor, second: Tensor, rule: GridRule) -> int:
    """Cells along each axis by rule; of equal bounds, the fewest cells."""
    width, dim = first.shape
    if rule == "rate":
        return max(1, round(pow(width, -exponent_of_bound(dim))))
    # the expected |I|/h is 0.56 sqrt(m^d / h), so that the best m is near 2.2 h^(1/(d+4)) or below
    most = ceil(8 * width ** (1 / (dim + 4)))
    tried = [m for m in range(1, most + 1) if m == 1 or m**dim <= _MOST_CELLS_PER_UNIT * width]
    return min(tried, key=lambda m: _of_bound(_unmatched(first, second, m), width, m))


def _unmatched(first: Tensor, second: Tensor, cells_per_axis: int) -> int:
    """|I| = 1/2 sum over cells of the difference between the two numbers of units."""
    own, other = _cells_of(first, second, cells_per_axis)
    num_cells = int(torch.maximum(own.max(), other.max())) + 1
    more = torch.bincount(own, minlength=num_cells) - torch.bincount(other, minlength=num_cells)
    return int(more.abs().sum()) // 2


def _cells_of(first: Tensor, second: Tensor, per_axis: int) -> tuple[Tensor, Tensor]:
    """The number of the cell of every unit of both networks; numbers rise as the cells do, axis by axis."""
    both = torch.cat([first, second])
    width, dim = first.shape
    steps = ((both * sqrt(dim) + 1) / 2 * per_axis).floor().clamp_(0, per_axis - 1).long()
    if per_axis**dim > _LARGEST_KEY // width:  # only the cells that hold units are numbered
        numbers = torch.unique(steps, dim=0, return_inverse=True)[1]
    else:
        numbers = torch.zeros_like(steps[:, 0])
        for of_axis in steps.T:
            numbers = numbers * per_axis + of_axis
    own, other = numbers.split(width)
    return own, other


def _by_cell_and_rank(
    cells: Int64[Tensor, " h"], stream: Generator
) -> tuple[Int64[Tensor, " h"], Int64[Tensor, " h"]]:
    """Keys ``cell * h + rank``, rising, with ranks drawn at random within each cell; and whose they are."""
    width = len(cells)
    shuffled = torch.randperm(width, generator=stream)
    in_order = shuffled[cells[shuffled].argsort(stable=True)]
    sorted_cells = cells[in_order]
    ranks = torch.arange(width) - torch.searchsorted(sorted_cells, sorted_cells)
    return sorted_cells * width + ranks, in_order
