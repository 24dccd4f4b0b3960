"""Weight matching on trained networks: planted permutations, restarts, stop reasons."""

from __future__ import annotations

import pytest
import torch
from digits_mlps import trained

from workers.alignment.align import align
from workers.alignment.methods import WeightMatching
from workers.params import rows
from workers.permutation import permute
from workers.permutation.derive import derive_permutation_spec

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
    assert bool((many.objective_end > one.objective_end).any())
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
    """Where no step gains a whole |A| |B|, the identity is kept."""
    program, networks = trained(16, 3, num_networks=6, epochs=2)
    spec = derive_permutation_spec(program.module)
    members = [rows(networks, [0]), rows(networks, [3])]
    found = align(WeightMatching(tolerance=1.0, restarts=1), members, spec, names=["p"])
    assert torch.equal(found.objective_start, found.objective_end)
    assert all(torch.equal(permute.identity(spec, 1)[g], found.permutations[1][g]) for g in spec.groups)
