"""Activation matching and functional difference: definitions, recoveries, what cannot be seen."""

from __future__ import annotations

from itertools import permutations

import numpy as np
import pytest
import torch
from digits_mlps import digits, trained
from small_convolutions import PROGRAMS, SHAPE
from small_convolutions import examples as images
from small_convolutions import networks as networks_of
from torch import Tensor, nn

from workers.alignment.activation_matching import JointMoments
from workers.alignment.activations import places_of
from workers.alignment.align import AlignmentResult, Examples, align
from workers.alignment.assignment import nearest_first
from workers.alignment.deciding_layers import planned
from workers.alignment.methods import ActivationMatching, FunctionalDifference
from workers.alignment.second_moments import parallel_sum, second_moments
from workers.architectures.mlp import MLPProgram
from workers.architectures.module_program import ModuleProgram
from workers.params import ParamStack, rows, stack
from workers.permutation import permute
from workers.permutation.derive import derive_permutation_spec
from workers.permutation.spec import PermutationSpec
from workers.seeding import generator

INPUTS, LABELS = digits()
NAMES = list("abcde")
BOTH = (FunctionalDifference(), FunctionalDifference(assignment="hungarian"))


def planted(params: ParamStack, spec: PermutationSpec, trial: int) -> tuple[ParamStack, dict[str, Tensor]]:
    """Networks with the hidden units of others in random order, and what puts them back."""
    num = len(next(iter(params.values())))
    draws = [permute.random(spec, "planted", trial, k) for k in range(num)]
    drawn = {group: torch.stack([draw[group] for draw in draws]) for group in spec.groups}
    return permute.apply(params, drawn, spec), permute.invert(drawn)


def hidden(params: ParamStack, k: int, inputs: Tensor, depth: int) -> list[np.ndarray]:
    """What the units of each hidden layer of an MLP compute behind ReLU, in float64, units first."""
    found, at = [], inputs.double().numpy().T
    for layer in range(depth):
        weight, bias = (params[f"layers.{layer}.{kind}"][k].double().numpy() for kind in ("weight", "bias"))
        at = np.maximum(weight @ at + bias[:, None], 0.0)
        found.append(at)
    return found


@pytest.mark.parametrize("similarity", ["correlation", "inner_product"])
def test_the_objective_is_the_sum_over_matched_units(similarity: str) -> None:
    """Of NumPy's correlations or mean products of their activations, at the start and at the end."""
    program, networks = trained(16, 2, num_networks=4, epochs=2)
    spec = derive_permutation_spec(program.module)
    members = [rows(networks, [0, 1]), rows(networks, [2, 3])]
    found = align(
        ActivationMatching(similarity=similarity, num_examples=None),
        members,
        spec,
        names=["p", "q"],
        examples=Examples(program, INPUTS, LABELS),
    )
    assert f"activation_{similarity}" == found.objective
    for pair in range(2):
        both = [hidden(member, pair, INPUTS, 2) for member in members]
        start = end = 0.0
        for layer, (a, b) in enumerate(zip(*both, strict=True)):
            order = found.permutations[1][f"layers.{layer}"][pair].numpy()
            if similarity == "correlation":
                varies = [(z.std(axis=1) > 0) for z in (a, b)]
                with np.errstate(invalid="ignore"):
                    table = np.corrcoef(a, b)[:16, 16:]
                table = np.where(varies[0][:, None] & varies[1], table, 0.0)
            else:
                table = a @ b.T / a.shape[1]
            start += np.trace(table)
            end += table[np.arange(16), order].sum()
        # the networks run in single precision
        assert start == pytest.approx(float(found.objective_start[pair]), rel=1e-5, abs=1e-5)
        assert end == pytest.approx(float(found.objective_end[pair]), rel=1e-5)
    assert ["exact"] * 2 == found.outcome
    assert [2, 2] == found.num_evaluations.tolist()


@pytest.mark.parametrize("units", [1, 2, 6])
@pytest.mark.parametrize("similarity", ["correlation", "inner_product"])
def test_one_group_is_matched_as_by_enumeration(units: int, similarity: str) -> None:
    """Of all permutations of a single hidden layer none has a larger sum."""
    program = MLPProgram(num_inputs=64, width=units, depth=1, num_classes=10)
    first, second = (stack([program.initialize(seed)]) for seed in (0, 1))
    found = align(
        ActivationMatching(similarity=similarity),
        [first, second],
        derive_permutation_spec(program.module),
        names=["p"],
        examples=Examples(program, INPUTS, LABELS),
    )
    (a,), (b,) = (hidden(params, 0, INPUTS, 1) for params in (first, second))
    table = np.corrcoef(a, b)[:units, units:] if similarity == "correlation" else a @ b.T / a.shape[1]
    best = max(table[np.arange(units), list(order)].sum() for order in permutations(range(units)))
    assert best == pytest.approx(float(found.objective_end), rel=1e-5)


def test_one_group_has_the_least_functional_difference() -> None:
    """By the Hungarian assignment none of all permutations has a smaller sum of 1/4 E[((a - b) . x)^2]."""
    program = MLPProgram(num_inputs=64, width=6, depth=1, num_classes=10)
    first, second = (stack([program.initialize(seed)]) for seed in (0, 1))
    found = align(
        FunctionalDifference(assignment="hungarian", num_examples=None),
        [first, second],
        derive_permutation_spec(program.module),
        names=["p"],
        examples=Examples(program, INPUTS, LABELS),
    )
    a, b = (
        INPUTS.double() @ params["layers.0.weight"][0].double().T + params["layers.0.bias"][0].double()
        for params in (first, second)
    )
    table = (a.unsqueeze(2) - b.unsqueeze(1)).square().mean(0) / 4
    sums = [float(table[range(6), list(order)].sum()) for order in permutations(range(6))]
    assert float(table.trace()) == pytest.approx(float(found.objective_start), rel=1e-9)
    assert min(sums) == pytest.approx(float(found.objective_end), rel=1e-9)
    assert ["exact"] == found.outcome


def test_functional_difference_is_that_of_equation_2_in_every_layer() -> None:
    """With inverses of slightly lifted moments, the second network permuted as found, the sums agree."""
    program, networks = trained(5, 3, num_networks=2, epochs=2)
    spec = derive_permutation_spec(program.module)
    members = [rows(networks, [0]), rows(networks, [1])]
    found = align(BOTH[0], members, spec, names=["p"], examples=Examples(program, INPUTS, LABELS))
    for params, objective in (
        (members[1], found.objective_start),
        (permute.apply(members[1], found.permutations[1], spec), found.objective_end),
    ):
        reads = [
            [INPUTS.double().numpy().T, *hidden(member, 0, INPUTS, 2)] for member in (members[0], params)
        ]
        total = 0.0
        for layer in range(3):
            moments, incoming = [], []
            for member, read in zip((members[0], params), reads, strict=True):
                x = np.vstack([read[layer], np.ones(len(INPUTS))])
                moments.append(x @ x.T / x.shape[1] + 1e-11 * np.eye(len(x)))
                weight, bias = (member[f"layers.{layer}.{k}"][0].double() for k in ("weight", "bias"))
                incoming.append(torch.cat([weight, bias.unsqueeze(1)], dim=1).numpy())
            metric = np.linalg.inv(sum(np.linalg.inv(moment) for moment in moments))
            step = incoming[0] - incoming[1]
            total += float((step @ metric * step).sum()) / 2
        assert total == pytest.approx(float(objective), rel=1e-3)
    assert bool((found.objective_end <= found.objective_start).all())


def recoveries(method: ActivationMatching | FunctionalDifference, width: int, depth: int) -> int:
    """In how many of 25 trials a permuted copy of a trained MLP is the original again, active units alone."""
    program, networks = trained(width, depth, num_networks=5, epochs=3)
    spec = derive_permutation_spec(program.module)
    is_active = [
        [torch.from_numpy(z.std(axis=1) > 0) for z in hidden(networks, k, INPUTS, depth)] for k in range(5)
    ]
    recovered = 0
    for trial in range(5):
        moved, wanted = planted(networks, spec, trial)
        examples = Examples(program, INPUTS, LABELS)
        found = align(method, [networks, moved], spec, names=NAMES, examples=examples).permutations[1]
        for k in range(5):
            layers = [(f"layers.{layer}", active) for layer, active in enumerate(is_active[k])]
            recovered += all(torch.equal(wanted[g][k][on], found[g][k][on]) for g, on in layers)
    return recovered


@pytest.mark.parametrize("method", [ActivationMatching(), *BOTH])
def test_permuted_copies_are_recovered(method: ActivationMatching | FunctionalDifference) -> None:
    """In 100 of 100 trials, units that never fire left aside."""
    assert 100 == sum(recoveries(method, *shape) for shape in ((4, 1), (64, 1), (32, 2), (16, 4)))


MODULES = ("plain", "batch_normed", "bare_norms", "residual", "shared")


@pytest.mark.parametrize("method", [ActivationMatching(num_examples=None), *BOTH])
@pytest.mark.parametrize("name", MODULES)
def test_modules_of_every_kind_are_recovered(
    name: str, method: ActivationMatching | FunctionalDifference
) -> None:
    """Convolutions, norms, residual streams, layers called twice, in float64: planted orders are undone."""
    program = PROGRAMS[name]
    networks = networks_of(program, range(5))
    spec = derive_permutation_spec(program.module, program.prepare(images(2).float()))
    moved, _ = planted(networks, spec, 0)
    examples = Examples(program, program.prepare(images(96)), torch.zeros(96, dtype=torch.int64))
    found = align(method, [networks, moved], spec, names=NAMES, examples=examples)
    back = permute.apply(moved, found.permutations[1], spec)
    seen = [
        torch.allclose(
            program.logits(rows(networks, [k]), examples.inputs),
            program.logits(rows(mean, [k]), examples.inputs),
        )
        for mean in [{n: (t + back[n]) / 2 if t.is_floating_point() else t for n, t in networks.items()}]
        for k in range(5)
    ]
    assert [True] * 5 == seen  # the network halfway between is the network itself


def test_moments_in_pieces_are_those_of_the_whole() -> None:
    """However samples with a large mean are split, to 1e-10 of NumPy's."""
    stream = generator("moments")
    a, b = (5.0 + torch.randn(4, 60, generator=stream, dtype=torch.float64) for _ in range(2))
    total = JointMoments.of(a[:, :1].clone(), b[:, :1].clone())
    for piece in (slice(1, 20), slice(20, 23), slice(23, 60)):
        total = total.merged(JointMoments.of(a[:, piece].clone(), b[:, piece].clone()))
    expected = torch.from_numpy(np.corrcoef(a, b)[:4, 4:])
    torch.testing.assert_close(expected, total.correlation(), rtol=1e-10, atol=1e-12)
    torch.testing.assert_close(a @ b.T / 60, total.product(), rtol=1e-12, atol=0)


def test_units_that_do_not_vary_correlate_with_nothing() -> None:
    """Dead and constant units have correlation 0 with all, and are matched with one another."""
    program = MLPProgram(num_inputs=64, width=6, depth=1, num_classes=10)
    first, second = (stack([program.initialize(0)]) for _ in range(2))
    order = torch.tensor([[3, 5, 0, 1, 2, 4]])
    for params, dead, constant in ((first, 1, 4), (second, 1, 4)):
        params["layers.0.weight"][0, [dead, constant]] = 0.0
        params["layers.0.bias"][0, dead], params["layers.0.bias"][0, constant] = -1.0, 2.5
    spec = derive_permutation_spec(program.module)
    moved = permute.apply(second, {"layers.0": order}, spec)
    examples = Examples(program, INPUTS, LABELS)
    found = align(ActivationMatching(), [first, moved], spec, names=["p"], examples=examples)
    assert 4.0 == pytest.approx(float(found.objective_end), abs=1e-6)
    assert 2 == found.details[0]["constant_units"]
    wanted, back = permute.invert({"g": order})["g"][0], found.permutations[1]["layers.0"][0]
    assert wanted[[0, 2, 3, 5]].tolist() == back[[0, 2, 3, 5]].tolist()
    assert set(wanted[[1, 4]].tolist()) == set(back[[1, 4]].tolist())


def test_the_parallel_sum_is_that_of_inverses_and_zero_where_either_is() -> None:
    """(P^-1 + Q^-1)^-1 of regular matrices; of P with itself P / 2, also where P is singular."""
    stream = generator("parallel")
    a, b = (torch.randn(5, 9, generator=stream, dtype=torch.float64) for _ in range(2))
    p, q = a @ a.T, b @ b.T
    expected = torch.linalg.inv(torch.linalg.inv(p) + torch.linalg.inv(q))
    torch.testing.assert_close(expected, parallel_sum(p, q), rtol=1e-9, atol=1e-9)
    singular = a[:, :3] @ a[:, :3].T
    torch.testing.assert_close(singular / 2, parallel_sum(singular, singular), rtol=1e-9, atol=1e-9)
    apart = [torch.diag(torch.tensor(d, dtype=torch.float64)) for d in ([1, 1, 0], [0, 1, 1])]
    torch.testing.assert_close(torch.diag(torch.tensor([0, 0.5, 0])).double(), parallel_sum(*apart))


@pytest.mark.parametrize(
    "options",
    [
        {"stride": 2, "padding": 1},
        {"dilation": 2, "bias": False},
        {"padding": "same", "padding_mode": "reflect"},
    ],
)
def test_second_moments_of_a_convolution_are_those_of_its_patches(options: dict[str, object]) -> None:
    """For any weight w, w^T H w is the mean square of the layer's output over examples and positions."""

    def make() -> nn.Module:
        return nn.Sequential(
            nn.Conv2d(2, 3, 3, **options), nn.ReLU(), nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(3, 4)
        )

    program = ModuleProgram(make, SHAPE, 4)
    params = {name: tensor.double() for name, tensor in program.initialize(0).items()}
    inputs = images(7)
    moments = second_moments(
        Examples(program, inputs, torch.zeros(7, dtype=torch.int64)), params, ["0"], 1e9
    )["0"]
    conv = make()[0].double()
    conv.load_state_dict({name[2:]: tensor for name, tensor in params.items() if name.startswith("0.")})
    with torch.no_grad():
        expected = conv(inputs).square().mean((0, 2, 3))
    weight = params["0.weight"].flatten(1)
    if conv.bias is not None:
        weight = torch.cat([weight, params["0.bias"].unsqueeze(1)], dim=1)
    torch.testing.assert_close(expected, ((weight @ moments) * weight).sum(1), rtol=1e-10, atol=0)


def test_nearest_first_takes_the_smallest_left() -> None:
    """As by looking for the smallest entry again and again; equal ones in order of place, then of unit."""
    stream = generator("nearest")
    for num in (1, 2, 7, 20):
        for kind in ("drawn", "tied", "equal"):
            costs = torch.rand(num, num, generator=stream, dtype=torch.float64)
            costs = {"drawn": costs, "tied": (4 * costs).floor(), "equal": torch.zeros_like(costs)}[kind]
            left, expected = costs.clone(), torch.full((num,), -1)
            for _ in range(num):
                place, unit = divmod(int(np.argmin(left.numpy())), num)
                expected[place] = unit
                left[place], left[:, unit] = torch.inf, torch.inf
            assert expected.tolist() == nearest_first(costs).tolist()


class Bare(nn.Module):
    """Products that no layer of torch's makes."""

    def __init__(self) -> None:
        super().__init__()
        self.below, self.above = nn.Parameter(torch.randn(6, 72)), nn.Parameter(torch.randn(4, 6))

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        return torch.relu(inputs.flatten(1) @ self.below.T) @ self.above.T


class HalfBare(nn.Module):
    """A linear layer whose outputs no layer of torch's reads."""

    def __init__(self) -> None:
        super().__init__()
        self.below, self.norm = nn.Linear(72, 6), nn.LayerNorm(6)
        self.above = nn.Parameter(torch.randn(4, 6))

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        return torch.relu(self.norm(self.below(inputs.flatten(1)))) @ self.above.T


@pytest.mark.parametrize("method", [ActivationMatching(), *BOTH])
def test_a_group_that_no_layer_reads_is_seen_where_it_is_given_out(
    method: ActivationMatching | FunctionalDifference,
) -> None:
    """In the outputs of a linear layer and of a norm, of which permuted copies are recovered."""
    program = ModuleProgram(HalfBare, SHAPE, 4, "half bare")
    spec = derive_permutation_spec(program.module, images(2).float())
    (group,) = spec.groups
    assert [("below", "output"), ("norm", "output")] == [
        (place.layer, place.side) for place in places_of(program, spec)[group]
    ]
    networks = stack([program.initialize(k) for k in range(5)])
    moved, wanted = planted(networks, spec, 0)
    examples = Examples(program, images(64).float(), torch.zeros(64, dtype=torch.int64))
    found = align(method, [networks, moved], spec, names=NAMES, examples=examples)
    assert torch.equal(wanted[group], found.permutations[1][group])


@pytest.mark.parametrize("method", [ActivationMatching(), FunctionalDifference()])
def test_groups_that_no_layer_shows_are_refused_by_name(
    method: ActivationMatching | FunctionalDifference,
) -> None:
    """With the parameters on which they act, and another method."""
    program = ModuleProgram(Bare, SHAPE, 4, "bare")
    spec = derive_permutation_spec(program.module, images(2).float())
    (group,) = spec.groups
    networks = stack([program.initialize(0)])
    examples = Examples(program, images(8).float(), torch.zeros(8, dtype=torch.int64))
    with pytest.raises(ValueError, match=f"group '{group}'.*weight_matching"):
        align(method, [networks, networks], spec, names=["p"], examples=examples)


def test_moments_that_do_not_fit_are_refused_before_anything_runs() -> None:
    """Naming the layer, the bytes, and other methods."""
    program, networks = trained(4, 1, num_networks=2, epochs=1)
    with pytest.raises(ValueError, match=r"65 entries that layers\.0 reads.*max_stack_bytes"):
        align(
            FunctionalDifference(),
            [rows(networks, [0]), rows(networks, [1])],
            derive_permutation_spec(program.module),
            names=["p"],
            examples=Examples(program, INPUTS, LABELS),
            max_bytes=1e5,
        )


def test_little_memory_changes_no_permutation() -> None:
    """Examples in smaller pieces, one layer's moments at a time, pairs one by one: the same to rounding."""
    program = PROGRAMS["residual"]
    networks = networks_of(program, range(4))
    spec = derive_permutation_spec(program.module, images(2).float())
    members = [rows(networks, [0, 1]), rows(networks, [2, 3])]
    examples = Examples(program, images(64), torch.zeros(64, dtype=torch.int64))

    def found(method: ActivationMatching | FunctionalDifference, max_bytes: float) -> AlignmentResult:
        return align(method, members, spec, names=["p", "q"], examples=examples, max_bytes=max_bytes)

    for method in (ActivationMatching(), *BOTH):
        much, little = found(method, 2e9), found(method, 1.42e5)
        assert all(torch.equal(much.permutations[1][g], little.permutations[1][g]) for g in spec.groups)
        torch.testing.assert_close(much.objective_end, little.objective_end, rtol=1e-9, atol=0)


@pytest.mark.parametrize(
    "method", [ActivationMatching(max_evaluations=2), FunctionalDifference(max_evaluations=2)]
)
def test_a_budget_leaves_the_other_groups_in_place(
    method: ActivationMatching | FunctionalDifference,
) -> None:
    """Two assignments of four are made; the outcome says so; the objective is that of what is returned."""
    program, networks = trained(16, 4, num_networks=2, epochs=2)
    spec = derive_permutation_spec(program.module)
    members = [rows(networks, [0]), rows(networks, [1])]
    found = align(method, members, spec, names=["p"], examples=Examples(program, INPUTS, LABELS))
    assert (["max_evaluations"], [2]) == (found.outcome, found.num_evaluations.tolist())
    assert all(list(range(16)) == found.permutations[1][f"layers.{k}"][0].tolist() for k in (2, 3))


def test_a_residual_stream_is_seen_wherever_it_is_read() -> None:
    """By every layer that reads it; a group that is only flattened by the layer that reads its positions."""
    spec = derive_permutation_spec(PROGRAMS["residual"].module, images(2).float())
    places = places_of(PROGRAMS["residual"], spec)
    assert {"stem": ["inner", "head"], "inner": ["outer"]} == {
        group: [place.layer for place in of_group] for group, of_group in places.items()
    }


def test_groups_are_decided_from_the_input_on() -> None:
    """A residual stream by its stem, before the group that reads it; what fits is kept."""
    program = PROGRAMS["residual"]
    spec = derive_permutation_spec(program.module, images(2).float())
    params = program.initialize(0)
    examples = Examples(program, images(4).float(), torch.zeros(4, dtype=torch.int64))
    plan = planned(examples, params, spec, 1e9)
    assert {"stem": ("stem",), "inner": ("inner",)} == dict(plan.deciding)
    assert ["stem", "inner"] == list(plan.deciding)
    assert (True, False) == (plan.is_kept, planned(examples, params, spec, 1.42e5).is_kept)
