"""The grown start of weight matching on problems where the descent from the identity fails."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from workers.alignment.matching_problem import MatchingProblem
from workers.alignment.methods import WeightMatching
from workers.alignment.weight_matching import match_pair
from workers.architectures.mlp import MLPProgram
from workers.params import Params
from workers.permutation import permute
from workers.permutation.derive import derive_permutation_spec
from workers.permutation.spec import PermutationSpec, Segment
from workers.seeding import generator


def planted(params: Params, spec: PermutationSpec, trial: int) -> Params:
    """A network with the hidden units of another one in random order."""
    draw = permute.random(spec, "planted", trial)
    stack = {name: tensor.unsqueeze(0) for name, tensor in params.items()}
    moved = permute.apply(stack, {group: index.unsqueeze(0) for group, index in draw.items()}, spec)
    return {name: tensor[0] for name, tensor in moved.items()}


def is_recovered(first: Params, second: Params, spec: PermutationSpec, restarts: int, trial: int) -> bool:
    """Whether the permuted second network is the first, bit for bit."""
    found = match_pair(WeightMatching(restarts=restarts), first, second, spec, str(trial))
    stack = {name: tensor.unsqueeze(0) for name, tensor in second.items()}
    back = permute.apply(stack, {g: index.unsqueeze(0) for g, index in found.permutation.items()}, spec)
    return all(torch.equal(first[name], back[name][0]) for name in first)


@pytest.mark.parametrize(("width", "depth"), [(2, 4), (3, 6), (8, 6), (16, 3)])
def test_one_descent_recovers_every_planted_permutation(width: int, depth: int) -> None:
    """In 100 of 100 trials, for narrow deep MLPs too, of which one from the identity misses up to 30."""
    program = MLPProgram(num_inputs=64, width=width, depth=depth, num_classes=10)
    spec = derive_permutation_spec(program.module)
    recovered = 0
    for trial in range(100):
        first = program.initialize(trial)
        recovered += is_recovered(first, planted(first, spec, trial), spec, 1, trial)
    assert 100 == recovered


def joined(*sizes: int) -> tuple[PermutationSpec, dict[str, Tensor]]:
    """Two groups that lie on one axis of a layer, behind a pinned part, as concatenated features do."""
    a, b = sizes
    pinned = Segment(None, 3)
    spec = PermutationSpec(
        groups={"c": 5, "a": a, "b": b},
        axes={
            ("c.weight", 0): (Segment("c", 5),),
            ("c.weight", 1): (pinned, Segment("a", a), Segment("b", b, 2)),
            ("a.weight", 0): (Segment("a", a),),
            ("b.weight", 0): (Segment("b", b),),
            ("b.weight", 1): (Segment("c", 5),),
        },
    )
    stream = generator("joined", a, b)
    shapes = {"c.weight": (5, 3 + a + 2 * b), "a.weight": (a, 2), "b.weight": (b, 5)}
    return spec, {name: torch.randn(shape, generator=stream) for name, shape in shapes.items()}


def test_gains_of_a_partial_permutation_leave_out_what_is_not_placed() -> None:
    """Only entries whose counterparts are known enter, wherever they lie along an axis."""
    spec, first = joined(4, 3)
    second = planted(first, spec, 1)
    problem = MatchingProblem.of(first, second, spec)
    placed = {"a": torch.tensor([[2, 0, 3, 1]])}
    assert (3, 3 + 4) == (problem.evidence({}, "c"), problem.evidence(placed, "c"))
    # the places in c.weight of the pinned part and of a; then those of the second network's a
    kept, index = [0, 1, 2, 3, 4, 5, 6], [0, 1, 2, 5, 3, 6, 4]
    expected = first["c.weight"][:, kept].double() @ second["c.weight"][:, index].double().T
    assert torch.equal(expected, problem.gains(placed, "c"))
    assert (2, 0) == (problem.evidence({}, "a"), problem.evidence({}, "b"))


def test_groups_on_one_axis_are_recovered() -> None:
    """The grown start places concatenated groups one after another."""
    for trial in range(20):
        spec, first = joined(4 + trial % 3, 3)
        assert is_recovered(first, planted(first, spec, trial), spec, 2, trial)


def test_a_group_bound_to_itself_alone_stays_at_the_start() -> None:
    """A square parameter with one group on both axes gives no evidence; the descent still takes it up."""
    spec = PermutationSpec(
        groups={"a": 4}, axes={("a.weight", 0): (Segment("a", 4),), ("a.weight", 1): (Segment("a", 4),)}
    )
    first = {"a.weight": torch.randn(4, 4, generator=generator("square"))}
    problem = MatchingProblem.of(first, first, spec)
    assert 0 == problem.evidence({}, "a")
    found = match_pair(WeightMatching(restarts=2), first, first, spec, "square")
    assert [0, 1, 2, 3] == found.permutation["a"].tolist()


def test_buffers_do_not_enter() -> None:
    """Statistics that differ by a thousand leave objective and permutation as they are."""
    program = MLPProgram(num_inputs=6, width=5, depth=2, num_classes=3)
    plain = derive_permutation_spec(program.module)
    spec = PermutationSpec(
        groups=plain.groups,
        axes={**plain.axes, ("norm.running_var", 0): (Segment("layers.0", 5),)},
        buffers=frozenset({"norm.running_var"}),
    )
    first, second = program.initialize(0), program.initialize(1)
    bare = match_pair(WeightMatching(), first, second, plain, "p")
    with_statistics = [
        {**params, "norm.running_var": 1000.0 * torch.rand(5, generator=generator("statistics", k))}
        for k, params in enumerate((first, second))
    ]
    found = match_pair(WeightMatching(), *with_statistics, spec, "p")
    assert bare.objective_end == found.objective_end
    assert all(torch.equal(index, found.permutation[group]) for group, index in bare.permutation.items())
