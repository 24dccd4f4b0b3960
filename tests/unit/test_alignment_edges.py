"""Networks and budgets at the edge of what a method can use."""

from __future__ import annotations

import pytest
import torch
from digits_mlps import digits, trained
from torch import Tensor, nn

from workers.alignment.align import AlignmentResult, Examples, align
from workers.alignment.methods import (
    ActivationMatching,
    BruteForce,
    CycleConsistent,
    FunctionalDifference,
    MergeMany,
    Method,
    SimulatedAnnealing,
    Sinkhorn,
    StraightThrough,
    WeightMatching,
)
from workers.architectures.module_program import ModuleProgram
from workers.params import ParamStack, rows, stack
from workers.permutation import permute
from workers.permutation.derive import derive_permutation_spec
from workers.seeding import generator

PROGRAM, NETWORKS = trained(width=6, depth=2, num_networks=6, epochs=2)
SPEC = derive_permutation_spec(PROGRAM.module)
INPUTS, LABELS = digits()
EXAMPLES = Examples(PROGRAM, INPUTS[:100], LABELS[:100])
LOOKING: list[Method] = [
    ActivationMatching(),
    ActivationMatching(similarity="inner_product"),
    FunctionalDifference(),
    FunctionalDifference(assignment="hungarian"),
]


def aligned(method: Method, members: list[ParamStack], names: str) -> AlignmentResult:
    """Groups of networks of one letter each."""
    return align(method, members, SPEC, names=list(names), examples=EXAMPLES)


def ids(method: Method) -> str:
    """A method's name and what sets it apart."""
    return "-".join(
        [method.method, *(getattr(method, f) for f in ("similarity", "assignment") if hasattr(method, f))]
    )


@pytest.mark.parametrize("method", LOOKING, ids=ids)
def test_activations_that_overflow_are_an_outcome(method: Method) -> None:
    """Weights at the end of single precision, finite all the same: the identity, and the others as ever."""
    members = [rows(NETWORKS, [0, 1, 2]), rows(NETWORKS, [3, 4, 5])]
    undisturbed = aligned(method, members, "pqr")
    members[1] = {name: tensor.clone() for name, tensor in members[1].items()}
    for tensor in members[1].values():
        tensor[1] = (tensor[1] * 3e38).clamp(-3.4e38, 3.4e38)
    found = aligned(method, members, "pqr")
    assert "non_finite" == found.outcome[1]
    assert bool(found.objective_start[1].isnan() & found.objective_end[1].isnan())
    for group, units in SPEC.groups.items():
        assert list(range(units)) == found.permutations[1][group][1].tolist()
        assert torch.equal(undisturbed.permutations[1][group][[0, 2]], found.permutations[1][group][[0, 2]])


@pytest.mark.parametrize("max_evaluations", [2, 5, 8])
@pytest.mark.parametrize(
    "kind",
    [WeightMatching, MergeMany, CycleConsistent, StraightThrough, Sinkhorn, ActivationMatching],
)
def test_no_more_evaluations_are_made_than_allowed(kind: type, max_evaluations: int) -> None:
    """Nor is the result worse than the start."""
    found = aligned(kind(max_evaluations=max_evaluations), [rows(NETWORKS, [0]), rows(NETWORKS, [1])], "p")
    assert max_evaluations >= int(found.num_evaluations)
    sense = -1 if found.objective == "midpoint_loss" else 1
    assert sense * float(found.objective_end) >= sense * float(found.objective_start)
    permute.validate(found.permutations[1], SPEC, 1)


class Attending(nn.Module):
    """Two heads of torch's attention over the rows of an image."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(8, 4), nn.Linear(4, 3)
        self.attention = nn.MultiheadAttention(4, 2, batch_first=True)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        tokens = self.stem(inputs.reshape(-1, 4, 8))
        return self.head(self.attention(tokens, tokens, tokens, need_weights=False)[0].mean(1))


class Named(nn.Module):
    """Layers that are handed what they read by its name."""

    def __init__(self) -> None:
        super().__init__()
        self.below, self.above = nn.Linear(32, 5), nn.Linear(5, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        return self.above(input=torch.relu(self.below(input=inputs.flatten(1))))


@pytest.mark.parametrize("method", LOOKING, ids=ids)
def test_units_inside_of_attention_are_refused_by_name(method: Method) -> None:
    """Its projections are never called as layers: nothing shows what its heads compute."""
    program = ModuleProgram(Attending, (1, 4, 8), 3)
    images = torch.randn(20, 1, 4, 8, generator=generator("attending"))
    spec = derive_permutation_spec(program.module, images[:2])
    assert "attention" in spec.groups
    networks = stack([program.initialize(0)])
    examples = Examples(program, program.prepare(images), torch.arange(20) % 3)
    with pytest.raises(ValueError, match=r"group 'attention'.*weight_matching"):
        align(method, [networks, networks], spec, names=["p"], examples=examples)


@pytest.mark.parametrize("method", LOOKING, ids=ids)
def test_layers_may_be_called_by_keyword(method: Method) -> None:
    """A planted permutation comes back."""
    program = ModuleProgram(Named, (1, 4, 8), 3)
    images = torch.randn(60, 1, 4, 8, generator=generator("named"))
    inputs = program.prepare(images)
    spec = derive_permutation_spec(program.module, inputs[:2])
    networks = stack([program.initialize(0)])
    drawn = {group: index.unsqueeze(0) for group, index in permute.random(spec, "named").items()}
    examples = Examples(program, inputs, torch.arange(60) % 3)
    moved = permute.apply(networks, drawn, spec)
    found = align(method, [networks, moved], spec, names=["p"], examples=examples)
    assert all(torch.equal(permute.invert(drawn)[g], found.permutations[1][g]) for g in spec.groups)


SEARCHES: list[Method] = [
    ActivationMatching(),
    FunctionalDifference(),
    StraightThrough(steps=2),
    Sinkhorn(steps=2, objective="midpoint_loss"),
    BruteForce(max_evaluations=40),
    SimulatedAnnealing(steps=5),
    SimulatedAnnealing(steps=5, engine="simanneal"),
]
PAIR = [rows(NETWORKS, [0]), rows(NETWORKS, [1])]


@pytest.mark.parametrize("method", SEARCHES, ids=lambda method: method.method)
def test_examples_that_say_nothing_are_refused(method: Method) -> None:
    """None at all; and labels that are no classes of the networks."""
    with pytest.raises(ValueError, match="one example or more"):
        align(method, PAIR, SPEC, names=["p"], examples=Examples(PROGRAM, INPUTS[:0], LABELS[:0]))
    for shift in (1, -1):
        shifted = Examples(PROGRAM, INPUTS[:100], LABELS[:100] + shift)
        with pytest.raises(ValueError, match=r"labels must be 0 to 9.*these are"):
            align(method, PAIR, SPEC, names=["p"], examples=shifted)


@pytest.mark.parametrize("method", [WeightMatching(), *SEARCHES], ids=lambda method: method.method)
def test_weights_that_require_gradients_are_weights(method: Method) -> None:
    """As parameters of a module that is being trained are: the same result."""
    wanted = [{name: t.clone().requires_grad_() for name, t in one.items()} for one in PAIR]
    expected, actual = aligned(method, PAIR, "p"), aligned(method, wanted, "p")
    assert torch.equal(expected.objective_end, actual.objective_end)
    assert all(torch.equal(expected.permutations[1][g], actual.permutations[1][g]) for g in SPEC.groups)


@pytest.mark.parametrize("method", SEARCHES, ids=lambda method: method.method)
def test_members_of_several_types_are_refused(method: Method) -> None:
    """Where they are run; with the tensor and both types."""
    double = {name: tensor.double() for name, tensor in PAIR[1].items()}
    with pytest.raises(ValueError, match=r"layers\.0\.weight is torch\.float32 and torch\.float64"):
        aligned(method, [PAIR[0], double], "p")


@pytest.mark.parametrize("method", [WeightMatching(), SimulatedAnnealing(steps=5)])
def test_nothing_to_align_is_refused(method: Method) -> None:
    """Members without rows."""
    with pytest.raises(ValueError, match="nothing to align"):
        aligned(method, [rows(NETWORKS, []), rows(NETWORKS, [])], "")
