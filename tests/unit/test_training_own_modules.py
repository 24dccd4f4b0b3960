"""Modules of the user's own in training: dropout, views, frozen and unused weights, precision."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from toy_networks import assert_same_bits, network, run, toy

from workers.architectures.kernels import fastest
from workers.architectures.module_program import ModuleProgram
from workers.datasets.tensors import Dataset
from workers.device import threads
from workers.params import row
from workers.specs import NetworkSpec
from workers.training import mlp_step
from workers.training.train import TrainedStack, train
from workers.training.trial import try_out


class Viewing(nn.Module):
    """A convolution whose maps are looked at by ``view``; one weight is frozen, one never used."""

    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(1, 4, 3)
        self.out = nn.Linear(4 * 36, 5)
        self.frozen = nn.Parameter(torch.rand(5), requires_grad=False)
        self.unused = nn.Parameter(torch.rand(2))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Logits."""
        return self.out(torch.relu(self.conv(inputs)).view(len(inputs), -1)) + self.frozen


def dropping() -> nn.Module:
    """A small network with dropout."""
    return nn.Sequential(nn.Conv2d(1, 4, 3), nn.ReLU(), nn.Dropout(0.5), nn.Flatten(), nn.Linear(4 * 36, 5))


def trained(make: type[nn.Module] | object, specs: list[NetworkSpec], dataset: Dataset) -> TrainedStack:
    """Networks of a module of one's own."""
    return train(ModuleProgram(make, (1, 8, 8), 5), specs, dataset)  # type: ignore[arg-type]


def test_a_module_that_takes_views_is_trained_as_it_is() -> None:
    """Such a module keeps contiguous maps, and frozen and unused weights stay as they were initialized."""
    program = ModuleProgram(Viewing, (1, 8, 8), 5)
    assert torch.contiguous_format == try_out(program).memory_format
    assert torch.channels_last == try_out(ModuleProgram(dropping, (1, 8, 8), 5)).memory_format
    found = trained(
        Viewing, [network(0, max_epochs=0), network(0, max_epochs=2, weight_decay=0.1)], toy(side=8)
    )
    for name in ("frozen", "unused"):
        assert torch.equal(found.params[name][0], found.params[name][1])
    assert not torch.equal(found.params["conv.weight"][0], found.params["conv.weight"][1])


def test_dropout_has_a_stream_of_its_own() -> None:
    """A network with dropout is the same bits on a rerun, in company and on two threads; the seed decides."""
    dataset = toy(side=8)
    state = torch.get_rng_state()
    assert try_out(ModuleProgram(dropping, (1, 8, 8), 5)).draws_random_numbers
    specs = [network(0), network(1), network(0, init_seed=0, order_seed=1)]
    with threads(2):
        together = trained(dropping, specs, dataset)
    with threads(1):
        alone, again = (trained(dropping, specs[:1], dataset) for _ in range(2))
    assert_same_bits(alone, 0, again, 0)
    assert_same_bits(alone, 0, together, 0)
    assert not torch.equal(together.params["0.weight"][0], together.params["0.weight"][2])
    assert torch.equal(state, torch.get_rng_state())


def test_networks_with_dropout_spawn_from_a_common_run() -> None:
    """Masks are shared as long as batches are: at the spawn two networks are equal, later not."""
    dataset = toy(num_train=80, side=8)
    until = [network(seed, max_epochs=1, spawn_at_step=5) for seed in (3, 4)]
    beyond = [network(seed, max_epochs=2, spawn_at_step=5) for seed in (3, 4)]
    equal, different = (trained(dropping, specs, dataset).params["0.weight"] for specs in (until, beyond))
    assert torch.equal(equal[0], equal[1])
    assert not torch.equal(different[0], different[1])


@settings(max_examples=8, deadline=None)
@given(
    width=st.integers(1, 13),
    seeds=st.lists(st.integers(0, 9), min_size=2, max_size=4, unique=True),
    precision=st.sampled_from(["float32", "bfloat16"]),
    beta=st.sampled_from([0.0, 0.9]),
)
def test_mlps_by_adam_are_the_same_bits_in_any_company(
    width: int, seeds: list[int], precision: str, beta: float
) -> None:
    """An MLP trained by Adam alone on one thread is itself in a stack whose other networks stop before it."""
    dataset = toy()
    options = {"optimizer": "adam", "learning_rate": 0.01, "precision": precision, "momentum": beta}
    specs = [network(seeds[0], width, max_epochs=5, weight_decay=0.01, **options)]
    specs += [network(seed, width, max_epochs=1 + seed % 4, **options) for seed in seeds[1:]]
    with threads(2):
        together = run(specs, dataset)
    with threads(1):
        assert_same_bits(run(specs[:1], dataset), 0, together, 0)


def test_mlps_are_the_same_bits_from_bytes_and_from_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """A group that makes each batch from bytes trains the networks that one with a table of floats does."""
    dataset = toy()
    table = run([network(0), network(1, optimizer="adam")], dataset)
    monkeypatch.setattr(mlp_step, "TABLE_BYTES", 0)
    from_bytes = run([network(0), network(1, optimizer="adam")], dataset)
    for place in range(2):
        assert_same_bits(table, place, from_bytes, place)


@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
def test_bfloat16_rounds_and_keeps_single_precision_weights(optimizer: str) -> None:
    """Weights stay float32 and near those of float32 training, but are not the same."""
    dataset = toy()
    rate = 0.05 if optimizer == "sgd" else 0.01
    single, half = (
        row(run([network(0, optimizer=optimizer, learning_rate=rate, precision=p)], dataset).params, 0)
        for p in ("float32", "bfloat16")
    )
    for name, weight in half.items():
        assert torch.float32 == weight.dtype
        assert not torch.equal(single[name], weight)
        assert (single[name] - weight).abs().max() < 0.1


@pytest.mark.skipif(torch.cuda.is_available(), reason="a GPU has TF32")
def test_tf32_is_refused_where_there_is_none() -> None:
    """A CPU cannot round to TF32, and says what can."""
    with pytest.raises(ValueError, match=r"tf32 is one of CUDA devices.*cpu"):
        run([network(0, precision="tf32")], toy())


def test_the_fastest_way_is_measured_once_and_failures_are_out() -> None:
    """Of two ways the faster one is chosen, one that fails never; a key is measured once."""
    calls = []

    def fail() -> None:
        raise RuntimeError("no batching rule")

    def slow() -> None:
        calls.append("slow")
        torch.ones(300, 300) @ torch.ones(300, 300)

    cpu = torch.device("cpu")
    assert "slow" == fastest("a", {"slow": slow, "fail": fail}, cpu)
    assert "quick" == fastest("b", {"slow": slow, "quick": lambda: None}, cpu)
    num_calls = len(calls)
    assert "slow" == fastest("a", {"slow": slow, "fail": fail}, cpu)
    assert num_calls == len(calls)
