"""Specs derived from modules: residual streams, blocks, pins, and what is refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

from workers.architectures.mlp import MLPProgram
from workers.params import row
from workers.permutation import permute
from workers.permutation.derive import PinnedOperation, derive, derive_permutation_spec
from workers.permutation.spec import PermutationSpec, Segment


class Residual(nn.Module):
    """A stream of 6 units that two branches add to, by operator and in place."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(12, 6), nn.Linear(6, 3)
        self.up = nn.ModuleList([nn.Linear(6, 5), nn.Linear(6, 4)])
        self.down = nn.ModuleList([nn.Linear(5, 6, bias=False), nn.Linear(4, 6)])
        self.drop = nn.Dropout()

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        stream = functional.gelu(self.stem(inputs.view(inputs.size(0), -1)))
        stream = stream + self.down[0](torch.tanh(self.up[0](stream)))
        stream += self.drop(self.down[1](self.up[1](stream).relu()))
        return self.head(stream)  # type: ignore[no-any-return]


class Features(nn.Module):
    """Each of 4 units becomes 3 features, so that the head reads blocks."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(5, 4), nn.Linear(12, 2)
        self.scales = nn.Parameter(torch.randn(4, 3))

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        units = self.stem(inputs).reshape(inputs.shape[0], 4, 1)
        return self.head((units * self.scales).tanh().flatten(1))  # type: ignore[no-any-return]


class Positions(nn.Module):
    """The same layer at 3 positions, whose units the head reads one position after another."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.head = nn.Linear(4, 5), nn.Linear(15, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        return self.head(torch.flatten(self.stem(inputs.reshape(inputs.shape)).relu(), 1))  # type: ignore[no-any-return]


class Tied(nn.Module):
    """One weight matrix used twice, on both sides of one stream."""

    def __init__(self) -> None:
        super().__init__()
        self.stem, self.mix, self.head = nn.Linear(5, 6), nn.Linear(6, 6), nn.Linear(6, 2)
        self.alias = self.mix

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        hidden = self.mix(self.stem(inputs).relu()).relu()
        return self.head(functional.linear(hidden, self.alias.weight, self.mix.bias).relu())  # type: ignore[no-any-return]


class Functional(nn.Module):
    """Weights held by the module itself."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Parameter(torch.randn(7, 5)), nn.Parameter(torch.randn(2, 7))

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        return functional.linear(functional.linear(inputs, self.first).relu(), self.second)


class Ordered(nn.Module):
    """Sums over the units before it, so that their order matters."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Sums."""
        return inputs.cumsum(-1)


class WithOrder(nn.Module):
    """Two hidden layers, of which one must stay in order."""

    def __init__(self) -> None:
        super().__init__()
        self.a, self.norm, self.b, self.c = nn.Linear(5, 6), Ordered(), nn.Linear(6, 4), nn.Linear(4, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        return self.c(self.b(self.norm(self.a(inputs))).relu())  # type: ignore[no-any-return]


CASES: list[tuple[Callable[[], nn.Module], tuple[int, ...], dict[str, int]]] = [
    (Residual, (3, 2, 2), {"stem": 6, "up.0": 5, "up.1": 4}),
    (Features, (5,), {"stem": 4}),
    (Positions, (3, 4), {"stem": 5}),
    (Tied, (5,), {"stem": 6}),
    (Functional, (5,), {"first": 7}),
    (WithOrder, (5,), {"b": 4}),
]


@pytest.mark.parametrize(("make", "shape", "groups"), CASES, ids=lambda value: getattr(value, "__name__", ""))
def test_derived_specs_preserve_the_function(
    make: Callable[[], nn.Module], shape: tuple[int, ...], groups: dict[str, int]
) -> None:
    """The groups are those of the architecture, and permuting them changes no output by more than 1e-10."""
    module = make().double().eval()
    inputs = torch.randn(4, *shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    spec = derive_permutation_spec(module, inputs)
    assert groups == dict(spec.groups)
    params = {name: tensor.detach().unsqueeze(0) for name, tensor in module.state_dict().items()}
    spec.validate({name: tuple(tensor.shape[1:]) for name, tensor in params.items()})
    permutation = {group: index.roll(1, -1) for group, index in permute.identity(spec, 1).items()}
    moved = row(permute.apply(params, permutation, spec), 0)
    assert any(not torch.equal(moved[name], params[name][0]) for name in params)
    other = make().double().eval()
    other.load_state_dict(moved)
    torch.testing.assert_close(other(inputs), module(inputs), rtol=1e-10, atol=1e-10)


def test_an_mlp_has_a_group_per_hidden_layer() -> None:
    """Groups are named after the layers that make them; the classes and the inputs are on no axis."""
    spec = derive_permutation_spec(MLPProgram(num_inputs=6, width=5, depth=2, num_classes=3).module)
    expected = PermutationSpec(
        groups={"layers.0": 5, "layers.1": 5},
        axes={
            ("layers.0.weight", 0): (Segment("layers.0", 5),),
            ("layers.0.bias", 0): (Segment("layers.0", 5),),
            ("layers.1.weight", 0): (Segment("layers.1", 5),),
            ("layers.1.weight", 1): (Segment("layers.0", 5),),
            ("layers.1.bias", 0): (Segment("layers.1", 5),),
            ("layers.2.weight", 1): (Segment("layers.1", 5),),
        },
    )
    assert expected == spec


def test_blocks_and_repeats_are_segments() -> None:
    """Features of a unit are one block of it; positions repeat the group along the axis."""
    features = derive_permutation_spec(Features(), torch.zeros(2, 5))
    positions = derive_permutation_spec(Positions(), torch.zeros(2, 3, 4))
    assert (Segment("stem", 4, 3),) == features.axes["head.weight", 1]
    assert (Segment("stem", 5),) * 3 == positions.axes["head.weight", 1]


def test_an_operation_without_a_rule_is_named() -> None:
    """It pins its neighbors, is listed, and leaves the rest free."""
    assert (PinnedOperation("norm", "cumsum"),) == derive(WithOrder()).pinned_operations


def test_a_hook_counts_as_part_of_its_layer() -> None:
    """What a hook does to a layer's output is traced like the layer itself, and named after it."""
    module = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 5), nn.Linear(5, 2))
    module[0].register_forward_hook(lambda layer, args, output: output.cumsum(-1))
    derivation = derive(module)
    assert ({"1": 5}, "0") == (dict(derivation.spec.groups), derivation.pinned_operations[0].name)


class Branching(nn.Module):
    """Looks at values."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        return self.layer(inputs) if inputs.sum() > 0 else inputs


@pytest.mark.parametrize(
    ("module", "example", "complaint"),
    [
        (
            nn.Sequential(nn.Linear(3, 4), nn.AvgPool1d(2), nn.Linear(2, 2)),
            None,
            "held in place by 1 \\(AvgPool1d\\)",
        ),
        (nn.Linear(3, 4), None, "nothing in Linear can be permuted: no layer makes hidden units"),
        (Branching(), None, "Branching cannot be traced"),
        (nn.Sequential(nn.Linear(3, 4), nn.Linear(5, 2)), None, "1 \\(Linear\\) fails on the example input"),
        (nn.Sequential(nn.Conv2d(1, 2, 3), nn.Linear(5, 2)), None, "Conv2d, not Linear: give example_input"),
    ],
)
def test_what_cannot_be_permuted_says_why(module: nn.Module, example: Tensor | None, complaint: str) -> None:
    """The error names the operation or the reason."""
    with pytest.raises(ValueError, match=complaint):
        derive_permutation_spec(module, example)


def test_deriving_leaves_the_module_and_the_global_generator_alone() -> None:
    """Dropout in training mode is run for its shape, but draws nothing from the global generator."""
    module = Residual().train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    state = torch.random.get_rng_state()
    derive_permutation_spec(module, torch.zeros(2, 3, 2, 2))
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert module.training


class Reading(nn.Module):
    """A submodule that asks a tensor for its value."""

    def forward(self, inputs: Tensor) -> Tensor:
        """Scaled."""
        return inputs / inputs.abs().max().item()


class Returning(nn.Module):
    """Hands out its hidden units beside the logits."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.head = nn.Linear(3, 4), nn.Linear(4, 5), nn.Linear(5, 2)

    def forward(self, inputs: Tensor) -> dict[str, Tensor]:
        """Logits and the first hidden layer."""
        hidden = self.first(inputs)
        return {"hidden": hidden, "logits": self.head(self.second(hidden).relu())}


def test_the_layer_that_looks_at_values_is_named() -> None:
    """Not only that the module cannot be traced, but which part of it is to be changed."""
    module = nn.Sequential(nn.Linear(3, 4), Reading(), nn.Linear(4, 2))
    with pytest.raises(ValueError, match=r"Sequential cannot be traced: 1 \(Reading\).*looks at values"):
        derive_permutation_spec(module)


def test_everything_that_is_returned_stays_in_place() -> None:
    """Outputs are never permuted, whatever they are wrapped in."""
    assert {"second": 5} == dict(derive_permutation_spec(Returning(), torch.zeros(2, 3)).groups)


def test_tied_tensors_stand_in_the_spec_by_all_their_names() -> None:
    """Every alias in the state dict has the same segments, whether a module or its tensor is shared."""
    module = Tied()
    spec = derive_permutation_spec(module, torch.zeros(2, 5))
    assert spec.axes["mix.weight", 0] == spec.axes["alias.weight", 0] == (Segment("stem", 6),)
    assert {name for name, _ in spec.axes} <= module.state_dict().keys()


@pytest.mark.filterwarnings("ignore:.*torch.jit.script:FutureWarning")
def test_what_is_no_plain_module_is_refused() -> None:
    """A module whose forward pass is no Python says what to give instead."""
    scripted = torch.jit.script(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2)))
    with pytest.raises(ValueError, match=r"give the plain nn\.Module, not a compiled or scripted one"):
        derive_permutation_spec(scripted, torch.zeros(2, 3))


def test_a_layer_without_shapes_is_refused() -> None:
    """A lazy layer is named, with what gives it its shape."""
    module = nn.Sequential(nn.LazyLinear(4), nn.Linear(4, 2))
    with pytest.raises(ValueError, match=r"0\.weight of Sequential has no shape yet: run the module once"):
        derive_permutation_spec(module, torch.zeros(2, 3))
