"""Weight matching on trained networks: planted permutations, restarts, stop reasons."""

from __future__ import annotations

from itertools import permutations

import pytest
import torch
from digits_mlps import trained
from small_convolutions import PROGRAMS, examples
from small_convolutions import networks as networks_of

from workers.alignment.align import align
from workers.alignment.methods import WeightMatching
from workers.architectures.mlp import MLPProgram
from workers.params import rows
from workers.permutation import permute
from workers.permutation.derive import derive_permutation_spec
from workers.seeding import generator

WIDTHS = (2, 4, 8, 16, 64)


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_planted_permutations_are_recovered(depth: int) -> None:
    """The default method undoes a random permutation of a trained MLP in 25 of 25 trials, bit for bit."""
    recovered = 0
    for width in WIDTHS:
        program, networks = trained(width, depth, num_networks=5, epochs=3)
        spec = derive_permutation_spec(program.module)
        draws = [permute.random(spec, "planted", width, depth, k) for k in range(5)]
        planted = {group: torch.stack([draw[group] for draw in draws]) for group in spec.groups}
        moved = permute.apply(networks, planted, spec)
        found = align(WeightMatching(), [networks, moved], spec, names=[str(k) for k in range(5)])
        back = permute.apply(moved, found.permutations[1], spec)
        recovered += sum(all(torch.equal(networks[n][k], back[n][k]) for n in networks) for k in range(5))
        assert ["converged"] * 5 == found.outcome
    assert 25 == recovered


def test_restarts_keep_the_best_descent() -> None:
    """More descents never end lower, are counted, and where one is exact it is the only one."""
    program, networks = trained(16, 3, num_networks=6, epochs=2)
    spec = derive_permutation_spec(program.module)
    members = [rows(networks, [0, 1, 2]), rows(networks, [3, 4, 5])]
    names = ["p", "q", "r"]
    one = align(WeightMatching(restarts=1), members, spec, names=names)
    many = align(WeightMatching(restarts=8), members, spec, names=names)
    assert bool((many.objective_end >= one.objective_end).all())
    assert bool((many.num_evaluations > one.num_evaluations).all())
    assert [8, 8, 8] == [details["restarts"] for details in many.details]
    shallow, few = trained(8, 1, num_networks=2, epochs=1)
    exact = align(
        WeightMatching(restarts=8),
        [rows(few, [0]), rows(few, [1])],
        derive_permutation_spec(shallow.module),
        names=["p"],
    )
    assert (1, True) == (exact.details[0]["restarts"], exact.details[0]["exact"])


def test_a_descent_cut_short_says_so() -> None:
    """With a single sweep a deep pair is not settled: the outcome is max_sweeps."""
    program, networks = trained(16, 3, num_networks=6, epochs=2)
    members = [rows(networks, [0]), rows(networks, [3])]
    found = align(
        WeightMatching(max_sweeps=1, restarts=1),
        members,
        derive_permutation_spec(program.module),
        names=["p"],
    )
    assert (["max_sweeps"], 1) == (found.outcome, found.details[0]["sweeps"])


def test_a_coarse_tolerance_stops_earlier() -> None:
    """Where no step gains a whole |A| |B|, the start is kept after a single sweep."""
    program, networks = trained(16, 3, num_networks=6, epochs=2)
    spec = derive_permutation_spec(program.module)
    members = [rows(networks, [0]), rows(networks, [3])]
    found = align(WeightMatching(tolerance=1.0, restarts=1), members, spec, names=["p"])
    assert (["converged"], 1) == (found.outcome, found.details[0]["sweeps"])
    assert 1 == len(set(found.traces[0][0].objective))


def test_an_order_is_that_of_the_layers_or_its_reverse() -> None:
    """All orders converge; forward and backward draw nothing, so that names do not matter."""
    program, networks = trained(16, 3, num_networks=6, epochs=2)
    spec = derive_permutation_spec(program.module)
    members = [rows(networks, [0, 1, 2]), rows(networks, [3, 4, 5])]
    found = {
        (order, names): align(WeightMatching(order=order, restarts=1), members, spec, names=list(names))
        for order in ("random", "forward", "backward")
        for names in ("pqr", "xyz")
    }
    assert all(["converged"] * 3 == result.outcome for result in found.values())
    for order in ("forward", "backward"):
        a, b = found[order, "pqr"], found[order, "xyz"]
        assert all(torch.equal(index, b.permutations[1][g]) for g, index in a.permutations[1].items())
        assert torch.equal(a.num_evaluations, b.num_evaluations)
    there, back = (found[order, "pqr"].permutations[1] for order in ("forward", "backward"))
    assert any(not torch.equal(index, back[group]) for group, index in there.items())


@pytest.mark.parametrize("max_evaluations", [1, 2, 3, 4, 7, 20])
def test_a_budget_of_assignments_is_kept(max_evaluations: int) -> None:
    """No assignment more is solved; the outcome says so; what is returned is not below the identity."""
    program, networks = trained(16, 3, num_networks=6, epochs=2)
    members = [rows(networks, [0]), rows(networks, [3])]
    found = align(
        WeightMatching(restarts=5, max_evaluations=max_evaluations),
        members,
        derive_permutation_spec(program.module),
        names=["p"],
    )
    assert (["max_evaluations"], max_evaluations) == (found.outcome, int(found.num_evaluations))
    assert bool((found.objective_end >= found.objective_start).all())


def test_a_budget_of_seconds_ends_the_search() -> None:
    """With next to no time the identity is returned, or what little was found."""
    program, networks = trained(16, 3, num_networks=6, epochs=2)
    members = [rows(networks, [0]), rows(networks, [3])]
    spec = derive_permutation_spec(program.module)
    found = align(WeightMatching(max_seconds=1e-9), members, spec, names=["p"])
    assert (["max_seconds"], 0) == (found.outcome, int(found.num_evaluations))
    assert torch.equal(found.objective_start, found.objective_end)


def test_traces_never_fall_and_end_at_the_objective() -> None:
    """One trace per descent; the best of their last points is the result, recomputed from the weights."""
    program, networks = trained(16, 3, num_networks=6, epochs=2)
    spec = derive_permutation_spec(program.module)
    members = [rows(networks, [0]), rows(networks, [3])]
    found = align(WeightMatching(restarts=4), members, spec, names=["p"])
    traces = found.traces[0]
    assert [0, 1, 2, 3] == [trace.chain for trace in traces]
    for trace in traces:
        objective = torch.tensor(trace.objective, dtype=torch.float64)
        assert bool((objective.diff() >= -1e-9).all())
        assert len(trace.objective) == len(trace.seconds) == len(trace.evaluations) == len(trace.best)
    assert float(found.objective_end) == max(trace.objective[-1] for trace in traces)
    assert int(found.num_evaluations) == traces[-1].evaluations[-1]
    moved = permute.apply(members[1], found.permutations[1], spec)
    inner = sum(
        float((members[0][n].double() * moved[n].double()).sum()) for n in moved if n != "layers.3.bias"
    )
    assert inner == pytest.approx(float(found.objective_end), rel=1e-12)


def test_a_network_is_never_led_away_from_itself() -> None:
    """Where the identity is best, one descent returns it."""
    program, networks = trained(16, 3, num_networks=6, epochs=2)
    spec = derive_permutation_spec(program.module)
    close = {n: t + 1e-3 * torch.randn(t.shape, generator=generator("close", n)) for n, t in networks.items()}
    found = align(WeightMatching(restarts=1), [networks, close], spec, names=list("abcdef"))
    assert all(torch.equal(permute.identity(spec, 6)[g], found.permutations[1][g]) for g in spec.groups)


@pytest.mark.parametrize("units", [1, 2, 6])
def test_one_group_is_matched_as_by_enumeration(units: int) -> None:
    """Of all permutations of a single hidden layer none has a larger inner product."""
    program = MLPProgram(num_inputs=5, width=units, depth=1, num_classes=3)
    spec = derive_permutation_spec(program.module)
    first, second = ({n: t.unsqueeze(0).double() for n, t in program.initialize(k).items()} for k in (0, 1))
    found = align(WeightMatching(), [first, second], spec, names=["p"])
    values = []
    for order in permutations(range(units)):
        moved = permute.apply(second, {"layers.0": torch.tensor([order])}, spec)
        values.append(sum(float((first[n] * moved[n]).sum()) for n in moved if n != "layers.1.bias"))
    assert float(found.objective_end) == pytest.approx(max(values), rel=1e-12)
    assert ["converged"] == found.outcome
    assert bool(found.details[0]["exact"])


def test_norms_enter_as_other_parameters_and_statistics_do_not() -> None:
    """The objective is the inner product of all that is permuted but buffers, each entry counted once."""
    program = PROGRAMS["residual"]
    first, second = networks_of(program, range(2)), networks_of(program, range(2, 4))
    spec = derive_permutation_spec(program.module, examples(2))
    found = align(WeightMatching(), [first, second], spec, names=["p", "q"])
    moved = permute.apply(second, found.permutations[1], spec)
    permuted = {name for name, _ in spec.axes} - program.buffers
    assert {"stem_norm.weight", "outer_norm.bias"} <= permuted
    inner = sum((first[n] * moved[n]).flatten(1).sum(1) for n in sorted(permuted))
    torch.testing.assert_close(inner, found.objective_end, rtol=1e-12, atol=0)
    # a weight of batch norm that tells units apart by itself decides, as any other would
    for params, order in ((first, [0, 1, 2, 3, 4]), (second, [4, 2, 0, 1, 3])):
        params["inner_norm.weight"] = 100.0 * torch.tensor(order).double().expand(2, -1)
    found = align(WeightMatching(), [first, second], spec, names=["p", "q"])
    assert [[2, 3, 1, 4, 0]] * 2 == found.permutations[1]["inner"].tolist()
