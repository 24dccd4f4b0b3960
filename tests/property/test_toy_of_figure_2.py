"""The toy of figure 2 in Brea et al. 2019: which pairs of neurons end at one loss, over random teachers."""

from __future__ import annotations

from itertools import combinations, pairwise

import pytest
import torch

from workers.permutation_points.random_teachers import teacher_network, teacher_points, teacher_shape
from workers.permutation_points.runner import Students, find_whole_paths
from workers.permutation_points.specs import PermutationPathSpec, RandomTeacher

PAIRS = tuple(combinations(range(5), 2))
SAME, OTHER, NONE = 1e-3, 0.05, 1e-8


def point_losses(seeds: range) -> list[list[float]]:
    """Of every teacher, the losses where two neurons are one, of the ten pairs, ascending."""
    specs = [
        PermutationPathSpec(
            teacher=RandomTeacher(seed=seed),
            loss="squared",
            layer=1,
            pair=pair,
            num_steps=8,
            smallest=1e-2,
            output_weights="held",
            gradient_norm=1e-6,
            max_evaluations=120,
        )
        for seed in seeds
        for pair in PAIRS
    ]
    teachers = [spec.teacher for spec in specs if spec.teacher is not None]
    networks = torch.stack([teacher_network(teacher) for teacher in teachers])
    students = Students.of(specs[0], teacher_shape(teachers[0]), networks, teacher_points(teachers[0]))
    found = [path.losses[path.num_before - 1] for path in find_whole_paths(students, specs)]
    return [sorted(found[start : start + 10]) for start in range(0, len(found), 10)]


@pytest.mark.slow
def test_some_pairs_reach_one_loss_and_others_another_one() -> None:
    """Of 26 random teachers at least 20: two pairs that agree above 0, and two that differ by a twentieth."""
    found = point_losses(range(26))
    same = [any(NONE < b and b - a <= SAME * b for a, b in pairwise(losses)) for losses in found]
    other = [any(NONE < b and b - a > OTHER * b for a, b in pairwise(losses)) for losses in found]
    assert 20 <= sum(one and two for one, two in zip(same, other, strict=True))
