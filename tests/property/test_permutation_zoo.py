"""Derived specs of a zoo of modules: right, complete, and as fine as they can be."""

from __future__ import annotations

import copy
from collections.abc import Iterator

import pytest
import torch
from module_zoo import FEATURES, Case
from module_zoo_images import IMAGES
from module_zoo_sequences import SEQUENCES
from torch import Tensor, nn

from workers.permutation import permute
from workers.permutation.check import check_spec
from workers.permutation.derive import derive
from workers.permutation.spec import PermutationSpec, Segment

ZOO = {**FEATURES, **IMAGES, **SEQUENCES}
zoo = pytest.mark.parametrize("case", ZOO.values(), ids=ZOO.keys())


def random_module(case: Case) -> nn.Module:
    """The module in float64 and eval mode, no parameter or statistic at a value that hides a mistake."""
    torch.manual_seed(1)
    module = case.make().double().eval()
    stream = torch.Generator().manual_seed(1)
    state = module.state_dict()
    for name, tensor in state.items():
        if tensor.is_floating_point() and not name.endswith(("cos", "sin")):
            drawn = torch.randn(tensor.shape, generator=stream, dtype=torch.float64)
            state[name] = drawn.abs() + 0.5 if "running_var" in name or "original" in name else drawn
    module.load_state_dict(state)
    return module


def outputs(module: nn.Module, case: Case, state: dict[str, Tensor] | None = None) -> Tensor:
    """What the module, or a copy of it with another state, makes of the example."""
    if state is not None:
        module = copy.deepcopy(module)
        module.load_state_dict(state)
    example = case.example
    with torch.no_grad():
        return module(example.double() if example.is_floating_point() else example)  # type: ignore[no-any-return]


def deviation(first: Tensor, second: Tensor) -> float:
    """Largest difference, as a fraction of the largest output."""
    return float((first - second).abs().max() / first.abs().max())


def shifted(
    state: dict[str, Tensor], spec: PermutationSpec, kept: dict[tuple[str, int], list[int]]
) -> dict[str, Tensor]:
    """The state with every unit of the named segments of the named axes moved on by one."""
    moved = dict(state)
    for (name, axis), positions in kept.items():
        alone = tuple(
            segment if k in positions else Segment(None, segment.length)
            for k, segment in enumerate(spec.axes[name, axis])
        )
        groups = {segment.group: segment.num_units for segment in alone if segment.group}
        permutation = {group: torch.arange(n).roll(1).unsqueeze(0) for group, n in groups.items()}
        index = permute.axis_index(alone, permutation)[0]
        moved[name] = moved[name].index_select(axis, index)
    return moved


def segments(
    spec: PermutationSpec, module: nn.Module, indifferent: frozenset[tuple[str, int]]
) -> Iterator[tuple[str, int, int]]:
    """Every segment of a group of two units or more, of tensors that are in the outputs' way, once."""
    once = {name for name, _ in module.named_parameters()} | {name for name, _ in module.named_buffers()}
    for (name, axis), along in spec.axes.items():
        for position, segment in enumerate(along):
            if segment.num_units > 1 and segment.group and name in once and (name, axis) not in indifferent:
                yield name, axis, position


@zoo
def test_the_groups_are_those_of_the_module(case: Case) -> None:
    """Names and sizes are as known, and every axis is covered by its segments."""
    module = case.make()
    spec = derive(module, case.example).spec
    assert dict(case.groups) == dict(spec.groups)
    spec.validate({name: tuple(tensor.shape) for name, tensor in module.state_dict().items()})


@zoo
def test_random_permutations_of_every_group_preserve_the_function(case: Case) -> None:
    """Through the module's own state dict, to 1e-10 in float64, though weights did move."""
    module = random_module(case)
    spec = derive(module, case.example).spec
    state = {name: tensor.unsqueeze(0) for name, tensor in module.state_dict().items()}
    permutation = {group: index.unsqueeze(0) for group, index in permute.random(spec, "zoo", 1).items()}
    permutation[next(iter(permutation))] = permutation[next(iter(permutation))].roll(1, -1)
    moved = {name: tensor[0] for name, tensor in permute.apply(state, permutation, spec).items()}
    assert deviation(outputs(module, case), outputs(module, case, moved)) <= 1e-10
    assert any(not torch.equal(tensor, state[name][0]) for name, tensor in moved.items())


@zoo
def test_no_segment_could_move_on_its_own(case: Case) -> None:
    """Moving the units of one segment while all others of its group stay changes the outputs."""
    module = random_module(case)
    spec = derive(module, case.example).spec
    state, expected = dict(module.state_dict()), outputs(module, case)
    aliases = {id(p): n for n, p in module.named_parameters()}
    for name, axis, position in segments(spec, module, case.indifferent):
        if "dropped" in name:
            continue
        moved = shifted(state, spec, {(name, axis): [position]})
        for other, tensor in module.state_dict(keep_vars=True).items():
            if aliases.get(id(tensor)) == name:
                moved[other] = moved[name]
        assert deviation(expected, outputs(module, case, moved)) > 1e-6, (name, axis, position)


@zoo
def test_the_check_agrees(case: Case) -> None:
    """The program's own check passes on the module, training mode and precision as they come."""
    module = case.make()
    assert check_spec(module, derive(module, case.example).spec, case.example) <= 1e-10


def test_nothing_in_the_zoo_lacks_a_rule() -> None:
    """No module of the zoo is limited by an operation but the windows and orders it is made of."""
    named = {name: derive(case.make(), case.example).pinned_operations for name, case in ZOO.items()}
    assert {} == {name: found for name, found in named.items() if found}
