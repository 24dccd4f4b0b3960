"""The check that a permuted network computes the same function."""

from __future__ import annotations

import copy
from collections.abc import Callable

import pytest
import torch
from strategies import random_permutation, random_stack, shapes_of
from torch import Tensor, nn

from workers.architectures.mlp import MLPProgram
from workers.permutation.check import check_function_preserved, check_spec
from workers.permutation.derive import derive, derive_permutation_spec
from workers.permutation.spec import PermutationSpec, Segment

PROGRAM = MLPProgram(num_inputs=4, width=6, depth=1, num_classes=3)
SPEC = derive_permutation_spec(PROGRAM.module)
WRONG = PermutationSpec(groups=SPEC.groups, axes={("layers.0.weight", 0): (Segment("layers.0", 6),)})
INPUTS = torch.linspace(-1, 1, 20).view(5, 4)


def test_a_wrong_spec_is_refused_and_the_worst_network_named() -> None:
    """A spec that forgets the bias and the next layer fails; a network that moves nothing does not."""
    params = {name: t.float() for name, t in random_stack(shapes_of(PROGRAM), 2, 1).items()}
    permutation = random_permutation(WRONG, 2, 1)
    permutation["layers.0"][0] = torch.arange(6)
    with pytest.raises(ValueError, match="network 1 of 2 differs by"):
        check_function_preserved(PROGRAM, params, permutation, WRONG, INPUTS)


def test_rounding_of_float32_passes() -> None:
    """The default tolerance for float32 leaves room for rounding."""
    params = {name: t.float() for name, t in random_stack(shapes_of(PROGRAM), 2, 2).items()}
    assert check_function_preserved(PROGRAM, params, random_permutation(SPEC, 2, 2), SPEC, INPUTS) < 1e-5


def test_a_diverged_network_is_passed_over() -> None:
    """Weights that are not finite compute no function to preserve, and do not hide a fault of another."""
    params = {name: t.float() for name, t in random_stack(shapes_of(PROGRAM), 2, 3).items()}
    params["layers.1.bias"][0] = torch.nan
    assert check_function_preserved(PROGRAM, params, random_permutation(SPEC, 2, 3), SPEC, INPUTS) < 1e-5
    with pytest.raises(ValueError, match="network 1 of 2"):
        check_function_preserved(PROGRAM, params, random_permutation(WRONG, 2, 3), WRONG, INPUTS)


class TwoNorms(nn.Module):
    """Two hidden layers, each with batch norm."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm1 = nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4)
        self.second, self.norm2 = nn.Conv2d(4, 5, 3), nn.BatchNorm2d(5)
        self.head = nn.Linear(5, 2)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        hidden = self.norm1(self.first(inputs)).relu()
        return self.head(self.norm2(self.second(hidden)).relu().mean((2, 3)))  # type: ignore[no-any-return]


IMAGES = torch.zeros(2, 1, 6, 6)


def test_statistics_move_with_their_channels_and_are_known_as_buffers() -> None:
    """Running means and variances stand in the spec, counters of batches do not; the check passes."""
    spec = derive_permutation_spec(TwoNorms(), IMAGES)
    statistics = {f"norm{k}.running_{kind}" for k in (1, 2) for kind in ("mean", "var")}
    assert statistics == spec.buffers
    assert (Segment("second", 5),) == spec.axes["norm2.running_var", 0]
    assert not any("num_batches_tracked" in name for name, _ in spec.axes)
    assert check_spec(TwoNorms(), spec, IMAGES) <= 1e-10


@pytest.mark.parametrize(
    "forgotten", ["norm2.running_mean", "norm2.running_var", "norm2.bias", "second.bias"]
)
def test_a_spec_that_forgets_an_axis_is_refused_by_the_name_of_the_group(forgotten: str) -> None:
    """Whichever axis is missing, the group that it belongs to is named and the others are not."""
    spec = derive_permutation_spec(TwoNorms(), IMAGES)
    axes = {key: segments for key, segments in spec.axes.items() if key != (forgotten, 0)}
    with pytest.raises(ValueError, match=r"TwoNorms differs by .* group second is wrong"):
        check_spec(TwoNorms(), PermutationSpec(groups=spec.groups, axes=axes), IMAGES)


def test_the_check_leaves_the_module_and_the_global_generator_alone() -> None:
    """Weights, statistics, mode and generator are as before, and a module on meta is checked as well."""
    module = TwoNorms().train()
    before = {name: tensor.clone() for name, tensor in module.state_dict().items()}
    state = torch.random.get_rng_state()
    spec = derive_permutation_spec(module, IMAGES)
    deviation = check_spec(module, spec, IMAGES)
    assert torch.equal(state, torch.random.get_rng_state())
    assert all(torch.equal(before[name], tensor) for name, tensor in module.state_dict().items())
    assert module.training
    with torch.device("meta"):
        elsewhere = TwoNorms()
    assert deviation == check_spec(elsewhere, derive(elsewhere, IMAGES).spec, IMAGES)


def test_casts_on_the_way_do_not_count_as_mistakes() -> None:
    """A module that computes parts of itself in float32 is compared in float64 all the same."""

    class Cast(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.first, self.head = nn.Linear(3, 40), nn.Linear(40, 2)

        def forward(self, inputs: Tensor) -> Tensor:
            return self.head(self.first(inputs).float().softmax(-1).type_as(inputs))  # type: ignore[no-any-return]

    example = torch.zeros(2, 3)
    assert check_spec(Cast(), derive(Cast(), example).spec, example) <= 1e-10


def test_outputs_that_are_not_finite_prove_nothing() -> None:
    """A module whose outputs overflow whatever its weights cannot be checked, and the error says so."""

    class Overflowing(nn.Sequential):
        def forward(self, inputs: Tensor) -> Tensor:
            return super().forward(inputs) / 0.0  # type: ignore[no-any-return]

    module = Overflowing(nn.Linear(3, 4), nn.Linear(4, 2))
    with pytest.raises(ValueError, match="cannot be checked: its outputs for random weights are not finite"):
        check_spec(module, derive(module).spec, None)


def with_outputs(outputs: Callable[[Tensor], object]) -> nn.Module:
    """The network of ``PROGRAM``, its logits made into something else."""

    class Wrapped(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.layers = copy.deepcopy(PROGRAM.module.layers)

        def forward(self, inputs: Tensor) -> object:
            return outputs(self.layers[1](self.layers[0](inputs).relu()))

    return Wrapped()


MASK = torch.tensor([True, True, False])


@pytest.mark.parametrize(
    "outputs",
    [
        lambda y: {"logits": y, "scale": torch.full((1,), 1e14, dtype=y.dtype)},
        lambda y: y.masked_fill(MASK, torch.finfo(torch.float32).min),
        lambda y: y.masked_fill(MASK, -torch.inf),
        lambda y: torch.complex(torch.ones_like(y), y),
        lambda y: (y - 8).relu(),
    ],
    ids=["large_companion", "masked", "masked_infinitely", "complex", "rarely_alive"],
)
def test_no_output_hides_a_wrong_spec(outputs: Callable[[Tensor], object]) -> None:
    """Neither large numbers beside the logits, nor masks, nor imaginary parts, nor units that seldom fire."""
    module, example = with_outputs(outputs), torch.zeros(8, 4)
    assert check_spec(module, SPEC, example) <= 1e-10
    with pytest.raises(ValueError, match=r"group layers\.0 is wrong"):
        check_spec(module, WRONG, example)


@pytest.mark.parametrize(
    ("outputs", "complaint"),
    [
        (lambda y: y > 1e9, "are the same whatever its inputs are"),
        (lambda y: object(), "returns no tensor"),
        (lambda y: y / 0.0, "are not finite"),
    ],
)
def test_outputs_that_tell_nothing_prove_nothing(outputs: Callable[[Tensor], object], complaint: str) -> None:
    """No draw of weights makes them vary, so the spec counts as unproved, and the error says why."""
    with pytest.raises(ValueError, match=f"of Wrapped cannot be checked: .*{complaint}"):
        check_spec(with_outputs(outputs), SPEC, torch.zeros(2, 4))


def test_tokens_are_drawn_at_random() -> None:
    """A spec that exchanges rows of an embedding is refused though the example holds one token alone."""
    module = nn.Sequential(nn.Embedding(20, 4), nn.Flatten(), nn.Linear(12, 3))
    rows = {("0.weight", 0): (Segment(None, 1), Segment("0", 19))}
    with pytest.raises(ValueError, match="group 0 is wrong"):
        check_spec(module, PermutationSpec({"0": 19}, rows), torch.zeros(2, 3, dtype=torch.int64))


def test_inputs_that_have_no_logarithm_are_not_drawn() -> None:
    """Positive inputs are drawn where others give outputs that are not finite."""

    class Logarithm(nn.Module):
        def forward(self, inputs: Tensor) -> Tensor:
            return inputs.log()

    module = nn.Sequential(Logarithm(), nn.Linear(3, 5), nn.Tanh(), nn.Linear(5, 2))
    example = torch.ones(2, 3)
    assert check_spec(module, derive(module, example).spec, example) <= 1e-10
