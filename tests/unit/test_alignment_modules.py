"""``workers.align`` on modules and plain state dicts."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from workers import align, derive_permutation_spec
from workers.alignment.methods import Identity, Random, WeightMatching
from workers.alignment.outcome import AlignmentResult


class Residual(nn.Module):
    """Convolutions with batch norm and a skip connection, and a weight that two layers share."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 6, 3, padding=1)
        self.norm = nn.BatchNorm2d(6)
        self.inner = nn.Conv2d(6, 6, 3, padding=1)
        self.again = nn.Conv2d(6, 6, 3, padding=1)
        self.again.weight = self.inner.weight
        self.head = nn.Linear(6, 4)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = torch.relu(self.norm(self.stem(inputs)))
        hidden = hidden + torch.relu(self.inner(hidden))
        hidden = hidden + torch.relu(self.again(hidden))
        return self.head(hidden.mean((2, 3)))


def made(seed: int, make: Callable[[], nn.Module] = Residual) -> nn.Module:
    """A module in float64 with statistics that are not those of a fresh one."""
    stream = torch.Generator().manual_seed(seed)
    module = make().double().eval()
    for tensor in module.state_dict().values():
        if tensor.is_floating_point():
            tensor.copy_(torch.randn(tensor.shape, generator=stream, dtype=torch.float64))
    for name, tensor in module.state_dict().items():
        if name.endswith("running_var"):
            tensor.abs_().add_(0.5)
    return module


def images() -> Tensor:
    """Some inputs."""
    return torch.randn(5, 3, 7, 7, generator=torch.Generator().manual_seed(9), dtype=torch.float64)


def loaded(found: AlignmentResult, module: nn.Module) -> nn.Module:
    """Another module with the permuted state, loaded strictly."""
    other = made(99)
    other.load_state_dict(found.apply(module), strict=True)
    return other


@pytest.mark.parametrize("method", [WeightMatching(), Random()])
def test_a_permuted_module_computes_the_same_function(method: WeightMatching | Random) -> None:
    """float64, 1e-10: skip connection, batch norm and tied weight included; the inputs are unchanged."""
    first, second = made(0), made(1)
    before = {name: tensor.clone() for name, tensor in second.state_dict().items()}
    found = align(method, [first, second], example_input=images()[:2])
    permuted = loaded(found, second)
    expected, actual = second(images()), permuted(images())
    assert bool((expected - actual).abs().max() < 1e-10 * expected.abs().max())
    assert not torch.equal(second.stem.weight, permuted.stem.weight)
    assert all(torch.equal(before[name], tensor) for name, tensor in second.state_dict().items())


def test_a_planted_permutation_is_recovered() -> None:
    """A module that was permuted at random goes back to what it was, bit for bit, statistics included."""
    first = made(0)
    moved = loaded(align(Random(), [first, first], example_input=images()[:2]), first)
    assert not torch.equal(first.stem.weight, moved.stem.weight)
    back = align(WeightMatching(), [first, moved], example_input=images()[:2]).apply(moved)
    assert all(torch.equal(tensor, back[name]) for name, tensor in first.state_dict().items())


def test_statistics_do_not_enter_what_is_matched() -> None:
    """Other running means, however large, change neither the permutation nor the objective."""
    first, second, other = made(0), made(1), made(1)
    other.norm.running_mean.mul_(1e6)
    found, again = (align(WeightMatching(), [first, m], example_input=images()[:2]) for m in (second, other))
    assert torch.equal(found.objective_end, again.objective_end)
    assert all(torch.equal(index, again.permutations[1][g]) for g, index in found.permutations[1].items())


def test_a_state_dict_may_stand_for_a_module() -> None:
    """Beside a module, or with a spec of its own, the same permutation is found."""
    first, second = made(0), made(1)
    spec = derive_permutation_spec(first, images()[:2])
    expected = align(WeightMatching(), [first, second], example_input=images()[:2])
    beside = align(WeightMatching(), [first, second.state_dict()], example_input=images()[:2])
    alone = align(WeightMatching(), [first.state_dict(), second.state_dict()], spec)
    for found in (beside, alone):
        assert expected.permutations[1].keys() == found.permutations[1].keys()
    assert all(torch.equal(i, beside.permutations[1][g]) for g, i in expected.permutations[1].items())


def test_a_linear_first_layer_needs_no_example() -> None:
    """The input of an MLP is told by its first layer."""
    mlp = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))
    assert {"0": (1, 7)} == {
        group: tuple(index.shape) for group, index in align(Identity(), [mlp, mlp]).permutations[1].items()
    }


def test_networks_that_differ_are_refused() -> None:
    """Another shape or another name: the tensor is named."""
    first = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))
    wider = nn.Sequential(nn.Linear(5, 8), nn.Tanh(), nn.Linear(8, 3))
    deeper = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 7), nn.Tanh(), nn.Linear(7, 3))
    with pytest.raises(ValueError, match=r"0\.weight is \(7, 5\) in network 0 and \(8, 5\) in network 1"):
        align(WeightMatching(), [first, wider])
    with pytest.raises(ValueError, match=r"do not both have 4\.bias, 4\.weight"):
        align(WeightMatching(), [first, deeper])


def test_state_dicts_alone_need_a_spec() -> None:
    """Without a module nothing says what can be permuted."""
    state = nn.Linear(2, 2).state_dict()
    with pytest.raises(ValueError, match="give one of them as its module, or give the spec"):
        align(WeightMatching(), [state, state])


def test_the_permutations_of_a_batch_are_applied_as_a_stack() -> None:
    """``apply`` is for single networks; of several groups it names what is meant for stacks."""
    mlp = nn.Sequential(nn.Linear(5, 7), nn.Tanh(), nn.Linear(7, 3))
    twice = {name: torch.stack([tensor.detach()] * 2) for name, tensor in mlp.state_dict().items()}
    found = align(Identity(), [twice, twice], derive_permutation_spec(mlp), names=["p", "q"])
    with pytest.raises(ValueError, match=r"2 groups of networks.*permute\.apply"):
        found.apply(mlp)
