"""Searches by gradients: straight_through and sinkhorn."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from digits_mlps import digits, trained
from small_convolutions import CLASSES, PROGRAMS, SHAPE, examples, networks
from torch import Tensor
from torch.nn import functional

from workers.alignment.align import Examples, align
from workers.alignment.methods import Sinkhorn, StraightThrough, WeightMatching
from workers.alignment.midpoint_gradients import MidpointLoss
from workers.alignment.outcome import SENSES
from workers.alignment.soft_permutations import matrices_of, soft_apply, soft_gradient
from workers.params import ParamStack, interpolated, rows
from workers.permutation import permute
from workers.permutation.derive import derive_permutation_spec
from workers.permutation.spec import PermutationSpec
from workers.seeding import generator

Gradient = StraightThrough | Sinkhorn
METHODS: list[Gradient] = [
    StraightThrough(steps=10, batch_size=100),
    Sinkhorn(steps=50),
    Sinkhorn(steps=50, objective="midpoint_loss", batch_size=100),
]
IDS = ["straight_through", "sinkhorn-weights", "sinkhorn-loss"]


def on_digits(width: int, depth: int, num: int = 4) -> tuple[ParamStack, PermutationSpec, Examples]:
    """Networks trained on digits, their spec, and examples."""
    program, params = trained(width, depth, num, 5)
    inputs, labels = digits()
    return params, derive_permutation_spec(program.module), Examples(program, inputs[:600], labels[:600])


def objective_of(
    method: Gradient,
    first: ParamStack,
    second: ParamStack,
    permutation: dict[str, Tensor],
    spec: PermutationSpec,
    on: Examples,
) -> float:
    """The objective of a permutation by its definition, for networks without batch norm."""
    permuted = permute.apply(second, permutation, spec)
    if isinstance(method, Sinkhorn) and method.objective == "weights":
        named = sorted({name for name, _ in spec.axes})
        return sum(float((first[name].double() * permuted[name].double()).sum()) for name in named)
    logits = on.program.logits(interpolated(first, permuted, 0.5), on.inputs[:])
    return float(functional.cross_entropy(logits.double(), on.labels.unsqueeze(0)))


@pytest.mark.parametrize("method", [StraightThrough(steps=5), Sinkhorn(steps=60)], ids=IDS[:2])
@pytest.mark.parametrize(("width", "depth"), [(16, 2), (8, 3)])
def test_planted_permutations_are_recovered(method: Gradient, width: int, depth: int) -> None:
    """In 6 of 6 trials, a permuted copy of a trained network becomes the network, bit for bit."""
    params, spec, on = on_digits(width, depth)
    first = rows(params, [0] * 6)
    drawn = [permute.random(spec, "test", "gradients", trial) for trial in range(6)]
    moved = {group: torch.stack([one[group] for one in drawn]) for group in spec.groups}
    second = permute.apply(first, moved, spec)
    found = align(method, [first, second], spec, names=[str(k) for k in range(6)], examples=on)
    back = permute.apply(second, found.permutations[1], spec)
    assert all(torch.equal(first[name], back[name]) for name in back)


@pytest.mark.parametrize("method", METHODS, ids=IDS)
def test_trained_networks_come_closer(method: Gradient) -> None:
    """Objectives at start and end are the definition's, and the end is far better."""
    params, spec, on = on_digits(16, 2)
    first, second = rows(params, [0]), rows(params, [1])
    found = align(method, [first, second], spec, names=["p"], examples=on)
    identity = permute.identity(spec, 1)
    start = objective_of(method, first, second, identity, spec, on)
    end = objective_of(method, first, second, found.permutations[1], spec, on)
    assert start == pytest.approx(float(found.objective_start), rel=1e-5)
    assert end == pytest.approx(float(found.objective_end), rel=1e-5)
    assert end > 3 * start if found.objective == "weight_inner_product" else end < start / 2
    assert ["steps_done"] == found.outcome


def test_sinkhorn_on_weights_takes_no_examples() -> None:
    """Without examples it finds what it finds beside them; on the loss, they are asked for."""
    params, spec, on = on_digits(7, 2)
    members = [rows(params, [0]), rows(params, [1])]
    with_them, without = (
        align(Sinkhorn(steps=20), members, spec, names=["p"], examples=given) for given in (on, None)
    )
    assert with_them.objective_end.equal(without.objective_end)
    with pytest.raises(ValueError, match="sinkhorn looks at what networks compute: give it examples"):
        align(Sinkhorn(objective="midpoint_loss"), members, spec, names=["p"])


def test_straight_through_never_ends_above_weight_matching() -> None:
    """Its first permutation is that of weight matching, which is judged by the midpoint's loss."""
    params, spec, on = on_digits(16, 2)
    members = [rows(params, [0, 2]), rows(params, [1, 3])]
    method = StraightThrough(steps=10, batch_size=100)
    found = align(method, members, spec, names=["p", "q"], examples=on)
    matched = align(WeightMatching(), members, spec, names=["p", "q"])
    for k in range(2):
        first, second = (rows(member, [k]) for member in members)
        permutation = {group: index[k : k + 1] for group, index in matched.permutations[1].items()}
        bound = objective_of(method, first, second, permutation, spec, on)
        assert float(found.objective_end[k]) <= bound * (1 + 1e-6)


def test_the_loss_itself_is_a_better_guide_than_the_weights() -> None:
    """Sinkhorn on the midpoint's loss ends at a lower loss than on the weights, in the mean of two pairs."""
    params, spec, on = on_digits(16, 2)
    members = [rows(params, [0, 2]), rows(params, [1, 3])]
    ends = []
    for objective in ("weights", "midpoint_loss"):
        method = Sinkhorn(steps=150, objective=objective, batch_size=200)
        found = align(method, members, spec, names=["p", "q"], examples=on)
        losses = [
            MidpointLoss(rows(members[0], [k]), on, 100, 1e9).on_all(
                permute.apply(
                    rows(members[1], [k]), {g: i[k : k + 1] for g, i in found.permutations[1].items()}, spec
                )
            )
            for k in range(2)
        ]
        ends.append(sum(losses))
    assert ends[1] < ends[0]


@pytest.mark.parametrize("method", METHODS, ids=IDS)
def test_a_result_does_not_depend_on_the_batch(method: Gradient) -> None:
    """A pair alone gets what it gets beside others, bit for bit, its trace included."""
    params, spec, on = on_digits(7, 2)
    both = align(method, [rows(params, [0, 2]), rows(params, [1, 3])], spec, names=["p", "q"], examples=on)
    alone = align(method, [rows(params, [2]), rows(params, [3])], spec, names=["q"], examples=on)
    assert both.objective_end[1] == alone.objective_end[0]
    assert both.traces[1][0].objective == alone.traces[0][0].objective
    assert all(torch.equal(both.permutations[1][g][1], alone.permutations[1][g][0]) for g in spec.groups)


@pytest.mark.parametrize("method", METHODS, ids=IDS)
@pytest.mark.parametrize("bound", [{"max_evaluations": 5}, {"max_seconds": 1e-6}])
def test_a_budget_that_is_used_up_is_the_outcome(method: Gradient, bound: dict[str, float]) -> None:
    """The best until then is returned, no worse than the identity; at most two evaluations go beyond."""
    params, spec, on = on_digits(16, 2)
    found = align(
        replace(method, **bound), [rows(params, [0]), rows(params, [1])], spec, names=["p"], examples=on
    )
    assert list(bound) == found.outcome
    assert int(found.num_evaluations) <= 7
    sense = 1 if found.objective == "weight_inner_product" else -1
    assert sense * float(found.objective_end) >= sense * float(found.objective_start)


@pytest.mark.parametrize("method", METHODS, ids=IDS)
def test_traces_run_forward_and_end_at_the_result(method: Gradient) -> None:
    """Evaluations and seconds ascend; the best never gets worse, and the last one is the result."""
    params, spec, on = on_digits(16, 2)
    found = align(method, [rows(params, [0]), rows(params, [1])], spec, names=["p"], examples=on)
    (trace,) = found.traces[0]
    sense = 1 if found.objective == "weight_inner_product" else -1
    best = [sense * value for value in trace.best]
    assert sorted(best) == best
    assert sorted(trace.evaluations) == list(trace.evaluations)
    assert sorted(trace.seconds) == list(trace.seconds)
    assert trace.best[-1] == float(found.objective_end)
    assert trace.objective[0] == float(found.objective_start)


@pytest.mark.parametrize("method", METHODS, ids=IDS)
@pytest.mark.parametrize("name", ["plain", "residual", "shared"])
def test_convolutions_batch_norm_and_residual_streams(method: Gradient, name: str) -> None:
    """Permutations of every group of a small module are found, and its loss is no worse than at the start."""
    program = PROGRAMS[name]
    spec = derive_permutation_spec(program.module, program.prepare(torch.zeros(2, *SHAPE)))
    labels = torch.randint(CLASSES, (40,), generator=generator("test", "labels"))
    on = Examples(program, program.prepare(examples(40)), labels)
    members = [networks(program, range(1)), networks(program, range(1, 2))]
    before = [{key: tensor.clone() for key, tensor in member.items()} for member in members]
    small = replace(method, steps=8, batch_size=16)
    found = align(small, members, spec, names=["p"], examples=on)
    permute.validate(found.permutations[1], spec, 1)
    assert set(spec.groups) == set(found.permutations[1])
    looks_at_loss = found.objective != "weight_inner_product"
    assert looks_at_loss == method.needs_examples
    assert (looks_at_loss and bool(program.statistics)) == (found.objective == "midpoint_loss_reset_bn")
    assert (-1 if looks_at_loss else 1) == SENSES[found.objective]
    sense = 1 if found.objective == "weight_inner_product" else -1
    assert sense * float(found.objective_end) >= sense * float(found.objective_start)
    for member, copy in zip(members, before, strict=True):
        assert all(torch.equal(copy[key], member[key]) for key in member)


def test_a_minibatch_in_parts_is_a_minibatch() -> None:
    """A bound of memory changes loss and gradient by rounding alone, without batch norm."""
    params, _, on = on_digits(16, 2)
    first, second = rows(params, [0]), rows(params, [1])
    chosen = torch.arange(100)
    whole = MidpointLoss(first, on, 100, 1e9).gradient(second, chosen)
    parts = MidpointLoss(first, on, 100, 1e4).gradient(second, chosen)
    assert whole[0] == pytest.approx(parts[0], rel=1e-5)
    assert all(torch.allclose(whole[1][name], parts[1][name], rtol=1e-4, atol=1e-7) for name in second)


def test_the_gradient_of_a_midpoint_is_that_of_its_loss() -> None:
    """Against automatic differentiation through interpolation, soft permutation and forward pass."""
    params, spec, on = on_digits(6, 2)
    first, second = ({k: t.double() for k, t in rows(params, [j]).items()} for j in (0, 1))
    on = replace(on, inputs=on.inputs[:50].double(), labels=on.labels[:50])
    soft = {g: (m + 1) / (m.shape[1] + 1) for g, m in matrices_of(permute.identity(spec, 1)).items()}
    leaves = {group: matrix.clone().requires_grad_() for group, matrix in soft.items()}
    logits = on.program.logits(interpolated(first, soft_apply(second, leaves, spec), 0.5), on.inputs)
    loss = functional.cross_entropy(logits, on.labels.unsqueeze(0))
    expected = torch.autograd.grad(loss, list(leaves.values()))
    value, outer = MidpointLoss(first, on, 50, 1e9).gradient(soft_apply(second, soft, spec), torch.arange(50))
    actual = soft_gradient(second, outer, soft, spec)
    assert float(loss.detach()) == pytest.approx(value, rel=1e-12)
    for wanted, group in zip(expected, leaves, strict=True):
        assert torch.allclose(wanted, actual[group], rtol=1e-9, atol=1e-12)


def test_minibatches_visit_all_examples_before_any_again() -> None:
    """Each epoch is a new order; a batch larger than the data is all of it."""
    params, _, on = on_digits(6, 2)
    found = MidpointLoss(rows(params, [0]), on, 200, 1e9).minibatches("p", "test")
    epochs = [torch.cat([next(found) for _ in range(3)]) for _ in range(2)]
    assert all(list(range(600)) == epoch.sort().values.tolist() for epoch in epochs)
    assert not torch.equal(*epochs)
    assert 600 == len(next(MidpointLoss(rows(params, [0]), on, 10_000, 1e9).minibatches("p", "test")))


@pytest.mark.parametrize("method", [METHODS[0], METHODS[2]], ids=[IDS[0], IDS[2]])
def test_a_loss_that_overflows_is_an_outcome(method: Gradient) -> None:
    """Finite weights whose midpoint has no finite loss: the identity is kept, the other pair is searched."""
    params, spec, on = on_digits(7, 2)
    members = [rows(params, [0, 2]), rows(params, [1, 3])]
    for member in members:
        member["layers.1.weight"][0] = 1e30
        member["layers.2.weight"][0] = 1e30
    found = align(method, members, spec, names=["p", "q"], examples=on)
    assert ["non_finite", "steps_done"] == found.outcome
    assert bool(found.objective_end[0].isnan())
    assert all(list(range(7)) == found.permutations[1][g][0].tolist() for g in spec.groups)
