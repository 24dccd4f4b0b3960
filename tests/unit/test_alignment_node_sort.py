"""Node sort: undoes exact permutations, and brings networks that were trained apart no nearer to speak of."""

from __future__ import annotations

import pytest
import torch
from digits_mlps import trained

from workers.alignment.align import align
from workers.alignment.methods import NodeSort
from workers.params import ParamStack, rows
from workers.permutation import canonical, permute
from workers.permutation.derive import derive_permutation_spec


@pytest.mark.parametrize("method", [NodeSort(), NodeSort(key="power", power=1.2)])
def test_permuted_copies_are_recovered(method: NodeSort) -> None:
    """A hundred of a hundred permuted copies of a trained network fall on it, every weight where it was."""
    program, networks = trained(width=16, depth=3, num_networks=1, epochs=2)
    spec = derive_permutation_spec(program.module)
    originals = rows(networks, [0] * 100)
    planted = [permute.random(spec, "test", "node_sort", copy) for copy in range(100)]
    planting = {group: torch.stack([one[group] for one in planted]) for group in spec.groups}
    copies = permute.apply(originals, planting, spec)

    found = align(method, [originals, copies], spec, names=[str(copy) for copy in range(100)])

    expected = permute.invert(planting)
    assert all(torch.equal(expected[group], found.permutations[1][group]) for group in spec.groups)
    assert ["sorted"] * 100 == found.outcome
    assert {"ambiguous_units": [0, 0]} == found.details[0]


def test_every_member_takes_the_places_of_the_first() -> None:
    """Of three networks, two of them permuted copies, both fall on the first, which stays."""
    program, networks = trained(width=8, depth=2, num_networks=1, epochs=2)
    spec = derive_permutation_spec(program.module)
    members = [networks]
    for seed in range(2):
        drawn = permute.random(spec, "test", "node_sort", seed)
        members.append(permute.apply(networks, {g: index[None] for g, index in drawn.items()}, spec))

    found = align(NodeSort(), members, spec, names=["three"])

    for member, permutation in zip(members, found.permutations, strict=True):
        moved = permute.apply(member, permutation, spec)
        assert all(torch.equal(networks[name], moved[name]) for name in networks)


def test_networks_that_cannot_be_put_in_order_are_flagged(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where ties are left, the outcome says so, and counts the units of each member."""
    monkeypatch.setattr(canonical, "MAX_TRIALS", 1)
    program, networks = trained(width=4, depth=2, num_networks=1, epochs=0)
    spec = derive_permutation_spec(program.module)
    alike = {name: torch.ones_like(tensor) for name, tensor in networks.items()}
    alike["layers.1.weight"] = torch.eye(4)[None]

    found = align(NodeSort(), [networks, alike], spec, names=["alike"])

    assert ["ambiguous"] == found.outcome
    assert {"ambiguous_units": [0, 8]} == found.details[0]
    permute.validate(found.permutations[1], spec, 1)


def test_networks_trained_apart_come_hardly_nearer() -> None:
    """Sorting takes less than a tenth off the distance of the first layers, as in Sorensen's table 1."""
    program, networks = trained(width=64, depth=1, num_networks=6, epochs=4)
    spec = derive_permutation_spec(program.module)
    first, second = rows(networks, [0, 2, 4]), rows(networks, [1, 3, 5])

    found = align(NodeSort(), [first, second], spec, names=["p", "q", "r"])

    before = _distance(first, second)
    after = _distance(first, permute.apply(second, found.permutations[1], spec))
    assert 0.9 * before < after < 1.1 * before


def _distance(first: ParamStack, second: ParamStack) -> float:
    """Between the weights of the first layers, mean over the pairs."""
    name = "layers.0.weight"
    return float((first[name] - second[name]).flatten(1).norm(dim=1).mean())
