"""Curves along which some layers move and the others stay."""

from __future__ import annotations

from itertools import pairwise

import pytest
import torch
from small_convolutions import CLASSES, PROGRAMS, SHAPE, examples, networks
from torch import Tensor, nn

from workers.architectures.mlp import MLPProgram
from workers.architectures.module_program import ModuleProgram
from workers.evaluation import evaluate
from workers.interpolation.barriers import barrier
from workers.interpolation.interpolate import Curves, interpolate
from workers.interpolation.layers import layer_barrier, layer_names, layers_of, moving_sets
from workers.params import ParamStack, stack

GRID = (0.0, 0.25, 0.5, 0.75, 1.0)
MLP = MLPProgram(num_inputs=72, width=6, depth=3, num_classes=CLASSES)
INPUTS, LABELS = examples(40, dtype=torch.float32), torch.arange(40) % CLASSES


class Tied(nn.Module):
    """A token and a scale of its own, two layers that share a weight, and a counter."""

    def __init__(self) -> None:
        super().__init__()
        self.token = nn.Parameter(torch.ones(72))
        self.first, self.second, self.head = nn.Linear(72, 5), nn.Linear(72, 5), nn.Linear(5, CLASSES)
        self.second.weight = self.first.weight
        self.register_buffer("calls", torch.zeros(1, dtype=torch.int64))

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        hidden = inputs.flatten(1) * self.token
        return self.head(torch.relu(self.first(hidden)) + torch.relu(self.second(hidden)))


def test_layers_are_named_by_their_modules_from_input_to_output() -> None:
    """Norms are layers of their own; a tied tensor belongs to the first layer; whole numbers to none."""
    assert ("layers.0", "layers.1", "layers.2", "layers.3") == layer_names(MLP)
    residual = layer_names(PROGRAMS["residual"])
    assert ("stem", "stem_norm", "inner", "inner_norm", "outer", "outer_norm", "head") == residual
    statistics = {f"stem_norm.{kind}" for kind in ("weight", "bias", "running_mean", "running_var")}
    assert statistics == layers_of(PROGRAMS["residual"])["stem_norm"]
    tied = layers_of(ModuleProgram(Tied, SHAPE, CLASSES))
    assert {
        "token": {"token"},
        "first": {"first.weight", "first.bias"},
        "second": {"second.bias"},
        "head": {"head.weight", "head.bias"},
    } == tied


@pytest.mark.parametrize("name", PROGRAMS)
def test_layers_divide_what_moves(name: str) -> None:
    """Every tensor of floating point is in one layer, and all of them are in the last of cumulative."""
    program = PROGRAMS[name]
    network = program.initialize(0)
    floats = sorted(key for key, tensor in network.items() if tensor.is_floating_point())
    assert floats == sorted(key for names in layers_of(program).values() for key in names)
    sets = list(moving_sets(program, "cumulative").values())
    assert set(floats) == sets[-1]
    assert all(less < more for less, more in pairwise(sets))


def mlps(seeds: range) -> ParamStack:
    """Large enough for high curves."""
    made = stack([MLP.initialize(seed) for seed in seeds])
    return {name: 3 * tensor for name, tensor in made.items()}


A, B = mlps(range(3)), mlps(range(10, 13))


def curves(a: ParamStack, b: ParamStack, moving: frozenset[str] | None) -> Curves:
    """Of the MLPs."""
    return interpolate(MLP, a, b, GRID, INPUTS.flatten(1), LABELS, moving=moving)


@pytest.mark.parametrize("layer", layer_names(MLP))
def test_only_the_layer_named_moves(layer: str) -> None:
    """At every alpha the curve is that of A with this layer between A's and B's, evaluated anew."""
    moving = moving_sets(MLP, "each")[layer]
    found = curves(A, B, moving)
    for place, alpha in enumerate(GRID):
        merged = {n: torch.lerp(A[n], B[n], alpha) if n in moving else A[n] for n in A}
        expected = evaluate(MLP, merged, INPUTS.flatten(1), LABELS)
        assert torch.allclose(expected.losses, found.losses[:, place], rtol=1e-5)
    assert torch.equal(evaluate(MLP, A, INPUTS.flatten(1), LABELS).losses, found.losses[:, 0])


def test_if_all_layers_move_it_is_the_whole_curve() -> None:
    """The last of cumulative gives the bits of the curve without layers, and the barrier its barrier."""
    whole, last = curves(A, B, None), curves(A, B, moving_sets(MLP, "cumulative")["layers.3"])
    alphas = torch.tensor(GRID, dtype=torch.float64)
    assert torch.equal(whole.losses, last.losses)
    assert torch.equal(whole.endpoint_disagreement, last.endpoint_disagreement)
    ends = whole.losses[:, [0, -1]]
    assert torch.equal(barrier(whole.losses, alphas), layer_barrier(last.losses, ends, alphas))


def test_a_barrier_of_layers_is_measured_from_the_chord_between_the_networks() -> None:
    """By the formula, on figures of which the maximum is at alpha 1, where B's layer stands in A."""
    alphas = torch.tensor([0.0, 0.5, 1.0], dtype=torch.float64)
    losses = torch.tensor([[1.0, 1.5, 4.0], [1.0, 0.5, 0.0], [1.0, 2.0, 3.0]], dtype=torch.float64)
    ends = torch.tensor([[1.0, 3.0], [1.0, 3.0], [1.0, torch.inf]], dtype=torch.float64)
    found = layer_barrier(losses, ends, alphas)
    assert [1.0, 0.0] == found[:2].tolist()
    assert bool(found[2].isnan())


def test_one_layer_of_the_same_network_shows_no_barrier() -> None:
    """From a network to itself nothing changes, whatever moves."""
    found = curves(A, A, moving_sets(MLP, "each")["layers.1"])
    assert torch.equal(found.losses, found.losses[:, :1].expand(-1, len(GRID)))


@pytest.mark.parametrize("correction", ["reset_bn", "repair"])
def test_corrections_take_the_two_ends_of_what_moves(correction: str) -> None:
    """A corrected curve of one layer is the corrected curve between A and A with B's layer."""
    program = PROGRAMS["residual"]
    a, b = (networks(program, seeds, torch.float32) for seeds in (range(2), range(5, 7)))
    moving = moving_sets(program, "each")["inner"]
    hybrid = {**a, **{name: b[name] for name in moving}}
    options = {"correction": correction, "statistics": [examples(32, "statistics", dtype=torch.float32)]}

    expected = interpolate(program, a, hybrid, GRID, INPUTS, LABELS, **options)
    found = interpolate(program, a, b, GRID, INPUTS, LABELS, moving=moving, **options)

    assert torch.equal(expected.losses, found.losses)


def test_unknown_tensors_are_refused() -> None:
    """A name that the networks lack is told, with those that they have."""
    with pytest.raises(ValueError, match=r"lack: layer\.9\.weight; there are layers\.0\.weight"):
        curves(A, B, frozenset({"layer.9.weight"}))
