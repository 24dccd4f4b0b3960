"""A kernel density on a square grid, fast for thousands of points."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from numpy import ndarray


def kernel_density(
    points: Float64[ndarray, "points 2"], grid: Float64[ndarray, " steps"]
) -> Float64[ndarray, "steps steps"]:
    """Gaussian kernel density at the crossings of an even grid, first axis y; it sums to 1.

    Points are counted in the cells about the crossings and blurred at once, by a Fourier transform. The
    kernel's covariance is that of the points times n^(-1/3), which is Scott's rule in two dimensions.
    Some points must lie on the grid, and not all of them on one line.

    Source:
        Scott 1992, Multivariate Density Estimation.
    """
    step = grid[1] - grid[0]
    edges = np.append(grid - step / 2, grid[-1] + step / 2)
    counts = np.histogram2d(points[:, 1], points[:, 0], bins=(edges, edges))[0]
    covariance = np.cov(points[:, ::-1].T) * len(points) ** (-1 / 3)
    size = 2 * len(grid)  # padded, so that nothing comes back in from the other side
    frequency = 2 * np.pi * np.fft.fftfreq(size, step)
    y, x = frequency[:, None], frequency[None, : size // 2 + 1]
    x = np.abs(x)  # the last frequency of an even size stands with a minus sign
    quadratic = covariance[0, 0] * y**2 + 2 * covariance[0, 1] * x * y + covariance[1, 1] * x**2
    blurred = np.fft.irfft2(np.fft.rfft2(counts, (size, size)) * np.exp(-quadratic / 2), (size, size))
    heights = np.clip(blurred[: len(grid), : len(grid)], 0.0, None)
    density: Float64[ndarray, "steps steps"] = heights / heights.sum()
    return density


def level_around(heights: Float64[ndarray, "steps steps"], share: float) -> float:
    """The height above which ``share`` of the density lies: its line is drawn around the densest part."""
    falling = np.sort(heights.ravel())[::-1]
    reached = np.searchsorted(falling.cumsum(), share * falling.sum())
    return float(falling[min(int(reached), len(falling) - 1)])
