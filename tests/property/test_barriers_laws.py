"""Laws of the barrier that hold for every curve."""

from __future__ import annotations

import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

from workers.interpolation.barriers import barrier, midpoint_barrier

GRID = torch.linspace(0, 1, 11, dtype=torch.float64)

losses = st.lists(
    st.floats(min_value=0.0, max_value=1e6, allow_nan=False), min_size=len(GRID), max_size=len(GRID)
).map(lambda values: torch.tensor([values], dtype=torch.float64))


@given(losses)
def test_a_barrier_is_never_negative(curve: Tensor) -> None:
    """The grid holds both endpoints, where curve and chord are equal bit for bit."""
    assert barrier(curve, GRID).item() >= 0.0


@given(losses)
def test_the_midpoint_barrier_is_at_most_the_barrier(curve: Tensor) -> None:
    """The midpoint is one of the points that the barrier is the maximum over."""
    assert midpoint_barrier(curve, GRID).item() <= barrier(curve, GRID).item()


@given(st.floats(min_value=0.0, max_value=1e6))
def test_a_level_curve_has_no_barrier(level: float) -> None:
    """The chord between equal endpoints is that value exactly, at every alpha."""
    curve = torch.full((1, len(GRID)), level, dtype=torch.float64)

    assert barrier(curve, GRID).item() == 0.0
    assert midpoint_barrier(curve, GRID).item() == 0.0


@given(losses, st.floats(min_value=-10, max_value=10), st.floats(min_value=-10, max_value=10))
def test_a_straight_line_added_to_a_curve_leaves_its_barrier(
    curve: Tensor, offset: float, slope: float
) -> None:
    """Curve and chord rise alike."""
    before, after = barrier(curve, GRID), barrier(curve + offset + slope * GRID, GRID)

    assert torch.allclose(before, after, rtol=1e-9, atol=1e-8)


@given(losses)
def test_a_mirrored_curve_has_the_same_barrier(curve: Tensor) -> None:
    """A pair has one barrier, whichever of its networks is named first."""
    assert torch.allclose(barrier(curve, GRID), barrier(curve.flip(1), GRID), rtol=1e-12, atol=1e-9)
