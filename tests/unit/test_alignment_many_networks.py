"""Searches that join n networks: cycle_consistent and merge_many."""

from __future__ import annotations

import time
from itertools import combinations, permutations, product
from threading import Barrier, Lock

import pytest
import torch
from digits_mlps import trained
from small_convolutions import PROGRAMS, SHAPE, networks

from workers.alignment import pairs
from workers.alignment.align import AlignmentResult, align
from workers.alignment.batch import Batch, Finding
from workers.alignment.frame_problem import needed_bytes
from workers.alignment.methods import CycleConsistent, MergeMany, WeightMatching
from workers.architectures.mlp import MLPProgram
from workers.device import threads
from workers.params import ParamStack, rows, stack
from workers.permutation import permute
from workers.permutation.derive import derive_permutation_spec
from workers.permutation.spec import PermutationSpec

METHODS = [CycleConsistent(), MergeMany()]
IDS = [method.method for method in METHODS]
Joint = CycleConsistent | MergeMany


def copies(of: ParamStack, spec: PermutationSpec, num: int, trial: int) -> list[ParamStack]:
    """A network and permuted copies of it."""
    drawn = [permute.random(spec, "test", "copies", trial, k) for k in range(1, num)]
    moved = [permute.apply(of, {g: i.unsqueeze(0) for g, i in one.items()}, spec) for one in drawn]
    return [of, *moved]


def sum_over_pairs(members: list[ParamStack], found: AlignmentResult, spec: PermutationSpec) -> float:
    """The objective by the definition: inner products of permuted networks, pair by pair."""
    named = sorted({name for name, _ in spec.axes} - spec.buffers)
    placed = [
        permute.apply({name: member[name].double() for name in named}, permutation, spec)
        for member, permutation in zip(members, found.permutations, strict=True)
    ]
    pairs = combinations(placed, 2)
    return sum(float((one[name] * other[name]).sum()) for one, other in pairs for name in named)


@pytest.mark.parametrize("method", [CycleConsistent(restarts=2), MergeMany()], ids=IDS)
@pytest.mark.parametrize(("width", "depth"), [(16, 2), (8, 3), (3, 6)])
def test_planted_permutations_of_three_networks_are_recovered(method: Joint, width: int, depth: int) -> None:
    """In 10 of 10 trials per shape, a trained network and two permuted copies of it are one again."""
    program, trained_networks = trained(width, depth, 1, 5)
    spec = derive_permutation_spec(program.module)
    recovered = 0
    for trial in range(10):
        members = copies(trained_networks, spec, 3, trial)
        found = align(method, members, spec, names=[str(trial)])
        placed = [permute.apply(m, p, spec) for m, p in zip(members, found.permutations, strict=True)]
        recovered += all(torch.equal(members[0][name], p[name]) for p in placed for name in p)
    assert 10 == recovered


@pytest.mark.parametrize("method", METHODS, ids=IDS)
@pytest.mark.parametrize("num", [2, 3, 4])
def test_trained_networks_come_closer(method: Joint, num: int) -> None:
    """The stored objective is the definition's, well above that of the identity; the outcome says why."""
    program, trained_networks = trained(16, 2, 4, 5)
    spec = derive_permutation_spec(program.module)
    members = [rows(trained_networks, [k]) for k in range(num)]
    found = align(method, members, spec, names=["p"])
    assert "weight_inner_product" == found.objective
    assert sum_over_pairs(members, found, spec) == pytest.approx(float(found.objective_end), rel=1e-12)
    assert float(found.objective_end) > 3 * float(found.objective_start) > 0
    assert found.outcome[0] in ("converged", "max_sweeps")
    assert (num > 2) == ("cycle_error" in found.details[0])
    assert [0.0] == [found.details[0].get("cycle_error", 0.0)]


@pytest.mark.parametrize("method", METHODS, ids=IDS)
def test_tiny_networks_reach_the_best_there_is(method: Joint) -> None:
    """Three networks of four units each: no pair of permutations beats what is found, in 9 of 10 draws."""
    program = MLPProgram(num_inputs=3, width=4, depth=1, num_classes=2)
    spec = derive_permutation_spec(program.module)
    reached = 0
    for draw in range(10):
        members = [stack([program.initialize(10 * draw + k)]) for k in range(3)]
        features = [
            torch.cat([m["layers.0.weight"][0], m["layers.0.bias"].mT, m["layers.1.weight"][0].mT], dim=1)
            for m in members
        ]
        a, b, c = (one.double() for one in features)
        orders = [list(order) for order in permutations(range(4))]
        best = max(
            float((a * b[j]).sum() + (a * c[k]).sum() + (b[j] * c[k]).sum())
            for j, k in product(orders, orders)
        )
        found = float(align(method, members, spec, names=["p"]).objective_end)
        assert found <= best * (1 + 1e-12)
        reached += found >= best * (1 - 1e-12)
    assert reached >= 9


def test_of_two_networks_merge_many_is_weight_matching() -> None:
    """The same permutations and objective, from the same streams."""
    program, trained_networks = trained(16, 2, 4, 5)
    spec = derive_permutation_spec(program.module)
    members = [rows(trained_networks, [0, 2]), rows(trained_networks, [1, 3])]
    merged = align(MergeMany(), members, spec, names=["p", "q"])
    matched = align(WeightMatching(), members, spec, names=["p", "q"])
    assert torch.allclose(matched.objective_end, merged.objective_end, rtol=1e-12)
    for group in spec.groups:
        assert torch.equal(matched.permutations[1][group], merged.permutations[1][group])


def test_one_frame_for_two_networks_is_no_worse_than_weight_matching() -> None:
    """Within a hundredth of five descents, on pairs of trained networks."""
    program, trained_networks = trained(16, 2, 4, 5)
    spec = derive_permutation_spec(program.module)
    members = [rows(trained_networks, [0, 2]), rows(trained_networks, [1, 3])]
    framed = align(CycleConsistent(), members, spec, names=["p", "q"])
    matched = align(WeightMatching(), members, spec, names=["p", "q"])
    assert bool((framed.objective_end > 0.99 * matched.objective_end).all())


@pytest.mark.parametrize("method", METHODS, ids=IDS)
def test_a_result_does_not_depend_on_the_batch(method: Joint) -> None:
    """Three networks alone get what they get beside others, bit for bit, traces included."""
    program, trained_networks = trained(6, 2, 6, 2)
    spec = derive_permutation_spec(program.module)
    members = [rows(trained_networks, [k, k + 1]) for k in (0, 2, 4)]
    both = align(method, members, spec, names=["p", "q"])
    alone = align(method, [rows(member, [1]) for member in members], spec, names=["q"])
    assert both.objective_end[1] == alone.objective_end[0]
    assert [t.objective for t in both.traces[1]] == [t.objective for t in alone.traces[0]]
    for one, other in zip(both.permutations, alone.permutations, strict=True):
        assert all(torch.equal(one[group][1], other[group][0]) for group in spec.groups)


@pytest.mark.parametrize("method", METHODS, ids=IDS)
@pytest.mark.parametrize("name", ["plain", "residual", "shared"])
def test_convolutions_and_residual_streams(method: Joint, name: str) -> None:
    """Copies of a network with several axes per group, one group on both axes of a layer included."""
    program = PROGRAMS[name]
    spec = derive_permutation_spec(program.module, program.prepare(torch.zeros(2, *SHAPE)))
    members = copies(networks(program, range(1)), spec, 3, 0)
    found = align(method, members, spec, names=["p"])
    for member, permutation in zip(members, found.permutations, strict=True):
        permute.validate(permutation, spec, 1)
        assert set(spec.groups) == set(permutation), member.keys()
    assert sum_over_pairs(members, found, spec) == pytest.approx(float(found.objective_end), rel=1e-9)
    assert float(found.objective_end) >= float(found.objective_start)


@pytest.mark.parametrize(
    ("method", "outcome"),
    [
        (CycleConsistent(max_evaluations=1), "max_evaluations"),
        (MergeMany(max_evaluations=1), "max_evaluations"),
        (CycleConsistent(max_seconds=1e-6), "max_seconds"),
        (MergeMany(max_seconds=1e-6), "max_seconds"),
    ],
)
def test_a_budget_that_is_used_up_is_the_outcome(method: Joint, outcome: str) -> None:
    """What was found until then is returned, no worse than the identity."""
    program, trained_networks = trained(16, 2, 4, 5)
    spec = derive_permutation_spec(program.module)
    members = [rows(trained_networks, [k]) for k in range(3)]
    found = align(method, members, spec, names=["p"])
    whole = align(type(method)(), members, spec, names=["p"])
    assert [outcome] == found.outcome
    assert int(found.num_evaluations) < int(whole.num_evaluations)
    assert float(found.objective_start) <= float(found.objective_end) <= float(whole.objective_end)


@pytest.mark.parametrize("method", METHODS, ids=IDS)
def test_traces_run_forward_and_their_best_never_falls(method: Joint) -> None:
    """Evaluations and seconds ascend, and the last best of the best chain is the result's objective."""
    program, trained_networks = trained(16, 2, 4, 5)
    spec = derive_permutation_spec(program.module)
    members = [rows(trained_networks, [k]) for k in range(3)]
    found = align(method, members, spec, names=["p"])
    for trace in found.traces[0]:
        for values in (trace.evaluations, trace.seconds, trace.best):
            assert sorted(values) == list(values)
        assert len(trace.objective) == len(trace.evaluations) > 1
    assert max(t.best[-1] for t in found.traces[0]) == pytest.approx(float(found.objective_end), rel=1e-12)
    assert int(found.num_evaluations) == max(t.evaluations[-1] for t in found.traces[0])


@pytest.mark.parametrize(("room", "expected"), [(0.5, 1), (1.5, 1), (2.5, 2), (9.0, 3)])
def test_as_many_groups_are_searched_at_once_as_memory_has_room_for(room: float, expected: int) -> None:
    """One at least, and no more than torch has threads; with the same result."""
    program, params = trained(8, 2, 2, 5)
    spec = derive_permutation_spec(program.module)
    members = [rows(params, [k] * 6) for k in range(2)]
    one = needed_bytes(members, spec)
    batch = Batch(members, spec, [str(k) for k in range(6)], max_bytes=room * one)
    running, most = 0, 0
    lock, together = Lock(), Barrier(expected, timeout=200)

    def search(index: int) -> Finding:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        together.wait()  # as many as that are at work at once, however long each takes to start
        time.sleep(0.02)  # for one too many
        with lock:
            running -= 1
        return Finding([], float(index), 0.0, 0, 0.0, "", {})

    with threads(3):
        found = pairs.groups_side_by_side(search, batch, one)
    assert expected == most
    assert [float(k) for k in range(6)] == [finding.objective_start for finding in found]
