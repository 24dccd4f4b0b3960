"""The canonical order of a network's units is that of all its permuted copies, bit for bit."""

from __future__ import annotations

import pytest
import torch
from small_convolutions import PROGRAMS, networks
from strategies import random_permutation, random_stack
from torch import Tensor

from workers.architectures.mlp import MLPProgram
from workers.params import Params, ParamStack, row, stack
from workers.permutation import canonical, permute
from workers.permutation.canonical import CanonicalOrder, canonical_permutation
from workers.permutation.check import check_function_preserved
from workers.permutation.derive import derive_permutation_spec
from workers.permutation.spec import PermutationSpec, Segment


def mlp_spec(program: MLPProgram) -> PermutationSpec:
    """What tracing derives for an MLP, without the time it takes."""
    axes: dict[tuple[str, int], tuple[Segment, ...]] = {}
    for layer in range(program.depth):
        along = (Segment(f"layers.{layer}", program.width),)
        axes[f"layers.{layer}.weight", 0] = axes[f"layers.{layer}.bias", 0] = along
        axes[f"layers.{layer + 1}.weight", 1] = along
    return PermutationSpec({f"layers.{layer}": program.width for layer in range(program.depth)}, axes)


def in_order(
    network: Params, spec: PermutationSpec, power: float | None = None
) -> tuple[ParamStack, CanonicalOrder]:
    """A stack of the network in its canonical order."""
    found = canonical_permutation(network, spec, "lexicographic" if power is None else "power", power=power)
    index = {group: order.unsqueeze(0) for group, order in found.permutation.items()}
    permute.validate(index, spec, 1)
    return permute.apply(stack([network]), index, spec), found


def assert_canonical(
    network: Params, spec: PermutationSpec, seed: int, power: float | None = None
) -> CanonicalOrder:
    """A network and a permuted copy have one order, or are both found ambiguous in as many units."""
    copy = permute.apply(stack([network]), random_permutation(spec, 1, seed), spec)
    expected, found = in_order(network, spec, power)
    actual, again = in_order(row(copy, 0), spec, power)
    assert found.ambiguous_units == again.ambiguous_units
    if not found.ambiguous_units:
        assert all(torch.equal(expected[name], actual[name]) for name in network)
    return found


def difficult(case: int) -> tuple[Params, PermutationSpec]:
    """An MLP of depth 1 to 8 whose units are hard to tell apart, in a way that the case's number chooses."""
    stream = torch.Generator().manual_seed(case)

    def draw(high: int) -> int:
        return int(torch.randint(high, (1,), generator=stream))

    program = MLPProgram(
        num_inputs=1 + draw(4), width=2 + draw(5), depth=1 + case % 8, num_classes=1 + draw(3)
    )
    spec = mlp_spec(program)
    num_values = (2, 3, 50)[draw(3)]  # weights of few values tie often
    network = {
        name: torch.randint(num_values, tensor.shape, generator=stream).float() - 1.0
        for name, tensor in program.module.state_dict().items()
    }
    for _ in range(1 + draw(4)):
        layer, (first, second) = draw(program.depth), torch.randperm(program.width, generator=stream)[:2]
        weight, bias = network[f"layers.{layer}.weight"], network[f"layers.{layer}.bias"]
        above = network[f"layers.{layer + 1}.weight"]
        match draw(6):
            case 0:  # a clone
                weight[first], bias[first], above[:, first] = weight[second], bias[second], above[:, second]
            case 1:  # a permutation point: what goes in is equal, what comes out is not
                weight[first], bias[first] = weight[second], bias[second]
            case 2:  # dead units
                above[:, first] = above[:, second] = -0.0
            case 3:  # a dead layer
                above.zero_()
            case 4:  # a network without biases
                for name, tensor in network.items():
                    tensor.mul_(0.0 if name.endswith("bias") else 1.0)
            case 5:  # units that are only told apart by whom they are tied to
                weight.copy_(torch.eye(*weight.shape))
                bias.zero_()
    return network, spec


@pytest.mark.parametrize(
    ("power", "cases"),
    [
        (None, range(200)),
        pytest.param(None, range(200, 600), marks=pytest.mark.slow),
        (1.5, range(100)),
    ],
)
def test_difficult_networks_have_one_order(power: float | None, cases: range) -> None:
    """Six hundred cases, depth 1 to 8: clones, dead units, no biases, permutation points, few values."""
    assert 0 == sum(assert_canonical(*difficult(case), case, power).ambiguous_units for case in cases)


@pytest.mark.parametrize("name", PROGRAMS)
def test_every_architecture_has_one_order(name: str) -> None:
    """Convolutions, residual streams, flattened blocks, norms with statistics, layers called twice."""
    program = PROGRAMS[name]
    spec = derive_permutation_spec(program.module, program.prepare(torch.zeros(2, *program.shape)))
    made = networks(program, range(3))
    for index in range(3):
        assert 0 == assert_canonical(row(made, index), spec, index).ambiguous_units
        rounded = {key: tensor.round() for key, tensor in row(made, index).items()}
        assert 0 == assert_canonical(rounded, spec, index).ambiguous_units


def test_a_layer_from_a_group_to_itself_and_to_another_twice() -> None:
    """A group on both axes of a tensor, on one axis twice, in blocks, and three groups in one tensor."""
    a, b, c = Segment("a", 4), Segment("b", 3, 2), Segment("c", 2)
    spec = PermutationSpec(
        {"a": 4, "b": 3, "c": 2},
        {
            ("recurrent", 0): (a,),
            ("recurrent", 1): (a,),
            ("twice", 0): (b,),
            ("twice", 1): (a, Segment(None, 1), a),
            ("three", 0): (c,),
            ("three", 1): (b,),
            ("three", 2): (a,),
        },
    )
    shapes = {"recurrent": (4, 4), "twice": (6, 9), "three": (2, 6, 4)}
    for case in range(60):
        values = random_stack(shapes, 1, case)
        few = {name: (tensor[0] * (0.3 + case % 3)).round() for name, tensor in values.items()}
        assert 0 == assert_canonical(few, spec, case).ambiguous_units


def cycles(*lengths: int) -> tuple[Params, PermutationSpec]:
    """Two hidden layers joined in rings: every unit has two neighbors, and the lengths alone differ."""
    width = sum(lengths)
    program = MLPProgram(num_inputs=1, width=width, depth=2, num_classes=1)
    network = {name: torch.ones(tensor.shape) for name, tensor in program.module.state_dict().items()}
    joint = torch.zeros(width, width)
    start = 0
    for length in lengths:
        for k in range(length):
            joint[start + k, start + k] = joint[start + k, start + (k + 1) % length] = 1.0
        start += length
    network["layers.1.weight"] = joint
    return network, mlp_spec(program)


def test_units_that_refinement_cannot_tell_apart_are_tried() -> None:
    """Rings of different lengths look alike from every unit; trials put them in one order all the same."""
    for seed in range(2):
        assert 0 == assert_canonical(*cycles(3, 4, 3), seed).ambiguous_units


def test_too_much_symmetry_is_flagged_in_every_copy(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many trials are allowed, they suffice for all copies or for none, of which all say so."""
    flagged = []
    for trials in (2, 4, 6, 8, 10, 12, 20):
        monkeypatch.setattr(canonical, "MAX_TRIALS", trials)
        flagged.append(assert_canonical(*cycles(3, 3), trials).ambiguous_units)
    assert {0, 12} == set(flagged)


def test_many_clones_cost_no_trials() -> None:
    """Units that can be exchanged without a trace stand in any order, however many they are."""
    program = MLPProgram(num_inputs=3, width=200, depth=2, num_classes=2)
    network = {name: torch.zeros(tensor.shape) for name, tensor in program.module.state_dict().items()}
    assert 0 == assert_canonical(network, mlp_spec(program), 0).ambiguous_units


def test_units_stand_in_the_order_of_their_outgoing_weights() -> None:
    """At every depth, columns compare as tuples, rows taken in the order of the layer above."""
    program = MLPProgram(num_inputs=3, width=9, depth=3, num_classes=2)
    few = {
        name: t[0].round()
        for name, t in random_stack(
            {name: tuple(t.shape) for name, t in program.module.state_dict().items()}, 1, 5
        ).items()
    }
    ordered, _ = in_order(few, mlp_spec(program))
    for layer in range(3):
        columns = ordered[f"layers.{layer + 1}.weight"][0].mT.tolist()
        assert sorted(columns) == columns


def test_the_power_key_orders_by_the_sum() -> None:
    """The sums of outgoing weights times 1, p, p^2, ... ascend, at every depth."""
    program = MLPProgram(num_inputs=3, width=9, depth=3, num_classes=4)
    network = program.initialize(0)
    ordered, _ = in_order(network, mlp_spec(program), power=1.25)
    for layer in range(3):
        columns = ordered[f"layers.{layer + 1}.weight"][0].mT.double()
        sums = (columns * 1.25 ** torch.arange(columns.shape[1])).sum(1)
        assert bool((sums.diff() > 0).all())


def test_huge_powers_and_weights_do_not_overflow() -> None:
    """Powers up to 1e30 ** 11 and the largest weights of double precision leave a canonical order."""
    program = MLPProgram(num_inputs=2, width=12, depth=2, num_classes=12)
    network: dict[str, Tensor] = {
        name: tensor.double() * 1.7e308 * 3.4 for name, tensor in program.initialize(0).items()
    }
    network = {name: tensor.clamp(-1.7e308, 1.7e308) for name, tensor in network.items()}
    assert 0 == assert_canonical(network, mlp_spec(program), 0, power=1e30).ambiguous_units


def test_the_order_keeps_the_function() -> None:
    """A network in canonical order computes what it did."""
    program = MLPProgram(num_inputs=5, width=8, depth=4, num_classes=3)
    network, spec = program.initialize(0), mlp_spec(program)
    order = {group: index[None] for group, index in canonical_permutation(network, spec).permutation.items()}
    inputs = torch.randn(16, 5, generator=torch.Generator().manual_seed(0))
    assert check_function_preserved(program, stack([network]), order, spec, inputs) < 1e-4


@pytest.mark.parametrize(("key", "power"), [("power", None), ("lexicographic", 2.0), ("power", 1.0)])
def test_keys_and_powers_go_together(key: str, power: float | None) -> None:
    """A power without its key, a key without its power, and a power that tells nothing apart."""
    program = MLPProgram(num_inputs=1, width=2, depth=1, num_classes=1)
    with pytest.raises(ValueError, match="power"):
        canonical_permutation(program.initialize(0), mlp_spec(program), key, power=power)  # type: ignore[arg-type]
