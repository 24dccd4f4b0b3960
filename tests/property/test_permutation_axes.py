"""Specs of random views between layers are right, or nothing can be permuted."""

from __future__ import annotations

from collections.abc import Callable

import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from workers.permutation.check import check_spec
from workers.permutation.derive import derive

NUM_UNITS = 24
Step = Callable[[Tensor], Tensor]


def factors(draw: st.DrawFn) -> tuple[int, ...]:
    """Lengths of a few axes that hold all units."""
    left, lengths = NUM_UNITS, list[int]()
    while left > 1 and len(lengths) < 3:
        lengths.append(draw(st.sampled_from([n for n in range(2, left + 1) if left % n == 0])))
        left //= lengths[-1]
    return (*lengths, left)


@st.composite
def steps(draw: st.DrawFn) -> Step:
    """An operation on (B, units) that moves, cuts, joins or reduces them."""
    shape = factors(draw)
    kind = draw(st.sampled_from(["transpose", "rotate", "scale", "add_halves", "normalize", "cut_axis"]))
    order = draw(st.permutations(range(1, len(shape) + 1)))
    at = draw(st.integers(1, NUM_UNITS - 1))
    axis = draw(st.integers(1, len(shape)))

    def step(units: Tensor) -> Tensor:
        grid = units.reshape(-1, *shape)
        if kind == "transpose":
            return grid.permute(0, *order).flatten(1)
        if kind == "rotate":
            return torch.cat([units[:, at:], units[:, :at]], 1)
        if kind == "scale":
            return (grid * grid.tanh().mean(axis, keepdim=True)).flatten(1)
        if kind == "add_halves":
            first, second = units.chunk(2, 1)
            return torch.cat([first.sin() + second, second], 1)
        if kind == "normalize":
            return (grid / (1 + grid.abs().sum(axis, keepdim=True))).flatten(1)
        lengths = [1, grid.shape[axis] - 1] if grid.shape[axis] > 1 else [1]
        parts = grid.split(lengths, axis)
        return torch.cat([parts[0].cos(), *parts[1:]], axis).flatten(1)

    return step


class Chain(nn.Module):
    """Two layers side by side, views of their units in between, and a head."""

    def __init__(self, left: list[Step], right: list[Step]) -> None:
        super().__init__()
        self.left, self.right, self.head = (
            nn.Linear(3, NUM_UNITS),
            nn.Linear(3, NUM_UNITS),
            nn.Linear(NUM_UNITS, 2),
        )
        self.steps = left, right

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        left, right = self.left(inputs), self.right(inputs)
        for step in self.steps[0]:
            left = step(left)
        for step in self.steps[1]:
            right = step(right)
        return self.head(left.tanh() + right)  # type: ignore[no-any-return]


@settings(max_examples=150)
@given(st.lists(steps(), max_size=3), st.lists(steps(), max_size=2))
def test_views_are_followed_or_pinned_but_never_mistaken(left: list[Step], right: list[Step]) -> None:
    """Whatever is done to the units between two layers, the derived spec preserves the function to 1e-10."""
    module, example = Chain(left, right), torch.zeros(2, 3)
    try:
        spec = derive(module, example).spec
    except ValueError as error:
        if "nothing in Chain can be permuted" not in str(error):
            raise
        return
    assert check_spec(module, spec, example) <= 1e-10
    spec.validate({name: tuple(tensor.shape) for name, tensor in module.state_dict().items()})
