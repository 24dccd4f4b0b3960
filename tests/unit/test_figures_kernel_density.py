"""The kernel density behind a figure's points."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import gaussian_kde

from lmc_sweep.figures.kernel_density import kernel_density, level_around

GRID = np.linspace(-6, 6, 121)


def cloud() -> np.ndarray:
    """Points along a slope, more of them on one side."""
    stream = np.random.default_rng(0)
    x = stream.normal(1, 1, 400)
    return np.stack([x, 0.7 * x + stream.normal(0, 0.5, 400)], axis=1)


def test_it_is_scipys_on_the_same_points() -> None:
    """Counting in cells changes no height by more than 5 % of the highest."""
    x, y = np.meshgrid(GRID, GRID)
    exact = gaussian_kde(cloud().T)(np.stack([x.ravel(), y.ravel()])).reshape(x.shape)
    found = kernel_density(cloud(), GRID)
    np.testing.assert_allclose(exact / exact.sum(), found, atol=0.05 * found.max())


def test_the_level_around_a_share_encloses_it() -> None:
    """Cells above the level hold the share of the density, to the cell on the line."""
    heights = kernel_density(cloud(), GRID)
    for share in (0.1, 0.5, 0.9):
        level = level_around(heights, share)
        assert heights[heights > level].sum() <= share <= heights[heights >= level].sum() + 1e-12


def test_a_point_at_the_edge_does_not_come_back_in_at_the_other() -> None:
    """Half of what lies at the edge is blurred out of the grid, and nothing appears across."""
    stream = np.random.default_rng(1)
    points = np.stack([np.full(50, -6.0) + stream.normal(0, 0.5, 50), stream.normal(0, 1, 50)], axis=1)
    heights = kernel_density(points, GRID)
    assert 0.0 == pytest.approx(heights[:, 60:].sum(), abs=1e-6)
