"""What every alignment method owes its callers."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from digits_mlps import digits, trained

from workers.alignment.align import AlignmentResult, Examples, align
from workers.alignment.methods import METHODS, Method, SimulatedAnnealing
from workers.params import ParamStack, rows
from workers.permutation import permute
from workers.permutation.check import check_function_preserved
from workers.permutation.derive import derive_permutation_spec

PROGRAM, NETWORKS = trained(width=6, depth=2, num_networks=6, epochs=2)
SPEC = derive_permutation_spec(PROGRAM.module)
INPUTS, LABELS = digits()
EXAMPLES = Examples(PROGRAM, INPUTS[:200], LABELS[:200])
SEARCHES = {
    "brute_force",
    "straight_through",
    "sinkhorn",
    "activation_matching",
    "functional_difference",
    "cycle_consistent",
    "merge_many",
    "weight_matching",
    "simulated_annealing",
}


def pairs(of: slice = slice(None)) -> list[ParamStack]:
    """Three pairs of networks, or some of them."""
    return [rows(NETWORKS, torch.arange(6)[start::2][of]) for start in (0, 1)]


def run(method: Method, members: list[ParamStack], names: list[str]) -> AlignmentResult:
    """The alignment of some networks under the shared spec and objective."""
    return align(method, members, SPEC, names=names, examples=EXAMPLES)


READY = (
    "identity",
    "random",
    "weight_matching",
    "simulated_annealing",
    "cycle_consistent",
    "merge_many",
    "node_sort",
    "activation_matching",
    "functional_difference",
    "straight_through",
    "sinkhorn",
    "brute_force",
)


@pytest.fixture(params=READY)
def method(request: pytest.FixtureRequest) -> Method:
    """Every method that the project knows, with few steps where it has them."""
    kind = METHODS[request.param]
    match request.param:
        case "brute_force":
            return kind(max_evaluations=60)
        case "cycle_consistent":
            return kind(max_iterations=20)
        case "simulated_annealing":
            return kind(steps=60)
        case "straight_through":
            return kind(steps=5)
        case "sinkhorn":
            return kind(steps=20)
    return kind()


def test_permutations_are_valid_and_preserve_the_function(method: Method) -> None:
    """Each member gets an int64 permutation of every group; member 0 stays; functions are kept."""
    members = pairs()
    result = run(method, members, ["p", "q", "r"])
    assert len(members) == len(result.permutations)
    for params, permutation in zip(members, result.permutations, strict=True):
        assert set(SPEC.groups) == set(permutation)
        permute.validate(permutation, SPEC, 3)
        check_function_preserved(PROGRAM, params, permutation, SPEC, INPUTS[:20])
    assert all(torch.equal(permute.identity(SPEC, 3)[g], result.permutations[0][g]) for g in SPEC.groups)


def test_a_result_depends_on_its_name_and_not_on_its_batch(method: Method) -> None:
    """A pair aligned alone, later, gets what it got in a batch, in objective and permutation, bit for bit."""
    batch = run(method, pairs(), ["p", "q", "r"])
    alone = run(method, pairs(slice(1, 2)), ["q"])
    for group in SPEC.groups:
        assert batch.permutations[1][group][1].tolist() == alone.permutations[1][group][0].tolist()
    for field in ("objective_start", "objective_end", "num_evaluations"):
        assert torch.equal(getattr(batch, field)[1:2].nan_to_num(-1), getattr(alone, field).nan_to_num(-1))
    assert (batch.outcome[1], batch.details[1]) == (alone.outcome[0], alone.details[0])


def test_inputs_are_unchanged(method: Method) -> None:
    """No weight, example or label is written to."""
    members = pairs()
    before = [{name: tensor.clone() for name, tensor in params.items()} for params in members]
    inputs, labels = EXAMPLES.inputs.clone(), EXAMPLES.labels.clone()
    run(method, members, ["p", "q", "r"])
    for params, copy in zip(members, before, strict=True):
        assert all(torch.equal(copy[name], params[name]) for name in params)
    assert torch.equal(inputs, EXAMPLES.inputs)
    assert torch.equal(labels, EXAMPLES.labels)


def test_the_global_generator_is_left_alone(method: Method) -> None:
    """Every draw comes from a stream of the pair."""
    state = torch.random.get_rng_state()
    run(method, pairs(), ["p", "q", "r"])
    assert torch.equal(state, torch.random.get_rng_state())


def test_records_have_one_entry_per_pair(method: Method) -> None:
    """Objectives are named and float64, counts and seconds are not negative, details are plain data."""
    result = run(method, pairs(), ["p", "q", "r"])
    assert torch.float64 == result.objective_start.dtype == result.objective_end.dtype
    for field in ("objective_start", "objective_end", "num_evaluations", "seconds", "outcome", "details"):
        assert len(getattr(result, field)) == 3
    assert bool((result.num_evaluations >= 0).all())
    assert bool((result.seconds >= 0).all())
    assert (method.method in SEARCHES) == bool(result.objective_start.isfinite().all())
    assert (method.method in SEARCHES) == (result.objective != "none")


def test_weights_that_are_not_finite_are_an_outcome(method: Method) -> None:
    """A diverged member leaves its pair unsearched at the identity, and the other pairs as they were."""
    members = pairs()
    members[1]["layers.1.bias"][1, 0] = torch.inf
    result = run(method, members, ["p", "q", "r"])
    whole = run(method, pairs(), ["p", "q", "r"])
    for group in SPEC.groups:
        assert torch.equal(whole.permutations[1][group][[0, 2]], result.permutations[1][group][[0, 2]])
    if method.method in SEARCHES:
        assert "non_finite" == result.outcome[1]
        assert all(list(range(6)) == result.permutations[1][group][1].tolist() for group in SPEC.groups)
        assert bool(result.objective_end[1].isnan())


def test_three_networks_are_aligned_at_once(method: Method) -> None:
    """Every method takes three networks; those that compare two say how far their pairs contradict."""
    three = [rows(NETWORKS, [k]) for k in range(3)]
    if isinstance(method, SimulatedAnnealing):
        method = replace(method, objective="average_error")
    found = run(method, three, ["p"])
    assert 3 == len(found.permutations)
    in_one_frame = method.method in ("cycle_consistent", "merge_many")
    assert (in_one_frame or not method.joins_all) == ("cycle_error" in found.details[0])


def test_rows_and_names_must_match(method: Method) -> None:
    """As many names as pairs, at least two members."""
    with pytest.raises(ValueError, match="2 names, rows \\[3, 3\\]"):
        run(method, pairs(), ["p", "q"])
    with pytest.raises(ValueError, match="at least 2 members, not 1"):
        run(method, pairs()[:1], ["p", "q", "r"])
