"""Barriers of curves whose answer is known."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from workers.interpolation.barriers import barrier, midpoint_barrier


def float64(*values: object) -> Tensor:
    """A float64 tensor of the values."""
    return torch.tensor(values, dtype=torch.float64)


def test_the_barrier_is_the_highest_point_above_the_chord_and_not_the_highest_point() -> None:
    """At 0.25 the curve 4 stands 2.5 above its chord 1.5; at 0.75 the higher curve 4.5 stands 2 above 2.5."""
    alphas = float64(0.0, 0.25, 0.5, 0.75, 1.0)
    curve = float64([1.0, 4.0, 2.0, 4.5, 3.0])

    assert [2.5] == barrier(curve, alphas).tolist()
    assert [0.0] == midpoint_barrier(curve, alphas).tolist()


def test_a_midpoint_below_the_chord_gives_a_negative_midpoint_barrier_and_no_barrier() -> None:
    """The barrier counts the endpoints, the midpoint barrier does not."""
    alphas, curve = float64(0.0, 0.5, 1.0), float64([0.25, 0.125, 0.25])

    assert [-0.125] == midpoint_barrier(curve, alphas).tolist()
    assert [0.0] == barrier(curve, alphas).tolist()


@pytest.mark.parametrize("figure", [math.nan, math.inf])
@pytest.mark.parametrize("position", [0, 1, 2])
def test_a_pair_with_a_figure_that_is_not_finite_has_no_barrier(figure: float, position: int) -> None:
    """The pair's barriers are NaN, and its neighbor keeps its own."""
    alphas = float64(0.0, 0.5, 1.0)
    curves = float64([0.0, 1.0, 0.0], [0.0, 1.0, 0.0])
    curves[0, position] = figure

    for found in (barrier(curves, alphas), midpoint_barrier(curves, alphas)):
        assert math.isnan(found[0].item())
        assert found[1].item() == 1.0


@pytest.mark.parametrize(
    "grid", [(0.0, 0.5), (0.5, 1.0), (0.0, 0.5, 0.5, 1.0), (0.0, 0.75, 0.5, 1.0), (1.0,)]
)
def test_a_grid_that_does_not_rise_from_0_to_1_is_refused(grid: tuple[float, ...]) -> None:
    """The text names the rule and the grid."""
    with pytest.raises(ValueError, match=r"increase strictly from 0\.0 to 1\.0, got \["):
        barrier(torch.zeros(1, len(grid), dtype=torch.float64), float64(*grid))


def test_a_grid_without_the_midpoint_is_refused_for_the_midpoint_barrier_alone() -> None:
    """The barrier itself needs no midpoint."""
    alphas, curve = float64(0.0, 0.4, 1.0), float64([0.0, 3.0, 0.0])

    assert [3.0] == barrier(curve, alphas).tolist()
    with pytest.raises(ValueError, match=r"hold 0\.5 for a midpoint"):
        midpoint_barrier(curve, alphas)
