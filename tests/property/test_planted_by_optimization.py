"""Planted permutations and methods that come near them by descent: gradients, and Frank-Wolfe."""

from __future__ import annotations

import pytest
import torch
from digits_mlps import digits, trained

from workers.alignment.align import Examples, align
from workers.alignment.methods import CycleConsistent, Method, Sinkhorn, StraightThrough
from workers.params import rows
from workers.permutation import permute
from workers.permutation.derive import derive_permutation_spec


@pytest.mark.slow
@pytest.mark.parametrize(
    ("method", "num_trials"),
    [(Sinkhorn(steps=60), 100), (StraightThrough(steps=5), 100), (CycleConsistent(), 20)],
    ids=["sinkhorn", "straight_through", "cycle_consistent"],
)
def test_planted_permutations_are_recovered_by_descent(method: Method, num_trials: int) -> None:
    """In at least 95 of 100 trials a permuted copy of a trained MLP becomes the MLP, bit for bit.

    Frank-Wolfe takes half a second each, and has 20 trials.
    """
    program, networks = trained(16, 2, 4, 5)
    spec = derive_permutation_spec(program.module)
    inputs, labels = digits()
    first = rows(networks, [trial % 4 for trial in range(num_trials)])
    drawn = [permute.random(spec, "test", "descent", trial) for trial in range(num_trials)]
    moved = {group: torch.stack([one[group] for one in drawn]) for group in spec.groups}
    second = permute.apply(first, moved, spec)
    names = [str(trial) for trial in range(num_trials)]
    on = Examples(program, inputs[:600], labels[:600])
    found = align(method, [first, second], spec, names=names, examples=on)
    back = permute.apply(second, found.permutations[1], spec)
    recovered = sum(
        all(torch.equal(first[name][trial], back[name][trial]) for name in back)
        for trial in range(num_trials)
    )
    assert recovered >= 0.95 * num_trials
