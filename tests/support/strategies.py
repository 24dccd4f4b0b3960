"""Strategies of random programs and specs; random stacks and permutations for them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import torch
from hypothesis import strategies as st
from torch import Tensor

from workers.architectures.mlp import MLPProgram
from workers.params import ParamStack
from workers.permutation.spec import PermutationSpec, Segment

Shapes = dict[str, tuple[int, ...]]


def seeds() -> st.SearchStrategy[int]:
    """Seeds of generators."""
    return st.integers(0, 2**31 - 1)


@st.composite
def mlp_programs(draw: st.DrawFn) -> MLPProgram:
    """Small MLPs of any depth and width, width 1 included."""
    return MLPProgram(
        num_inputs=draw(st.integers(1, 6)),
        width=draw(st.integers(1, 7)),
        depth=draw(st.integers(1, 4)),
        num_classes=draw(st.integers(2, 4)),
    )


class DrawnSpec(NamedTuple):
    """What a spec is made of; made outside of strategies, since the shape checks draw random numbers."""

    groups: dict[str, int]
    axes: dict[tuple[str, int], tuple[Segment, ...]]
    shapes: Shapes

    @property
    def spec(self) -> PermutationSpec:
        """The spec."""
        return PermutationSpec(groups=self.groups, axes=self.axes)


@st.composite
def specs(draw: st.DrawFn) -> DrawnSpec:
    """Specs that no architecture need have: blocks, pinned segments, a group twice on an axis."""
    groups = {f"group{i}": draw(st.integers(1, 5)) for i in range(draw(st.integers(1, 3)))}
    segment = st.one_of(
        st.builds(
            lambda group, block: Segment(group, groups[group], block),
            st.sampled_from(sorted(groups)),
            st.integers(1, 3),
        ),
        st.builds(lambda length: Segment(None, length), st.integers(1, 3)),
    )
    axes: dict[tuple[str, int], tuple[Segment, ...]] = {}
    shapes: Shapes = {}
    for number in range(draw(st.integers(1, 3))):
        name, num_axes = f"parameter{number}", draw(st.integers(1, 3))
        segments = [tuple(draw(st.lists(segment, min_size=1, max_size=3))) for _ in range(num_axes)]
        shapes[name] = tuple(sum(part.length for part in along) for along in segments)
        axes.update({(name, axis): along for axis, along in enumerate(segments)})
    for group, units in groups.items():  # every group acts somewhere
        axes[f"bias of {group}", 0] = (Segment(group, units),)
        shapes[f"bias of {group}"] = (units,)
    return DrawnSpec(groups, axes, shapes)


def random_stack(shapes: Mapping[str, tuple[int, ...]], num_networks: int, seed: int) -> ParamStack:
    """Standard normal parameters in float64."""
    stream = torch.Generator().manual_seed(seed)
    return {
        name: torch.randn(num_networks, *shape, generator=stream, dtype=torch.float64)
        for name, shape in shapes.items()
    }


def random_permutation(spec: PermutationSpec, num_networks: int, seed: int) -> dict[str, Tensor]:
    """Uniform permutations of every group, one per network."""
    stream = torch.Generator().manual_seed(seed)
    return {
        group: torch.stack([torch.randperm(units, generator=stream) for _ in range(num_networks)])
        for group, units in spec.groups.items()
    }


def shapes_of(program: MLPProgram) -> Shapes:
    """Shape of every parameter of one network."""
    return {name: tuple(tensor.shape) for name, tensor in program.module.state_dict().items()}
