"""Permutation paths of 24 pairs as one stack, against the same paths one by one.

The toy of Brea et al. 2019, figure 2: five ReLU, 1,000 points; eight pairs of each of three teachers. Both
sides find the same paths to the last digit, which is checked; they take turns, and times are medians.
"""

from __future__ import annotations

import time
from dataclasses import replace
from itertools import combinations
from statistics import median
from typing import Any

import torch

from workers.device import threads
from workers.permutation_points.random_teachers import teacher_network, teacher_points, teacher_shape
from workers.permutation_points.runner import Students, find_whole_paths
from workers.permutation_points.specs import PermutationPathSpec, RandomTeacher
from workers.permutation_points.whole_paths import WholePath

NUM_THREADS = 2
NUM_PATHS = 24
REPEATS = 3
TARGET = 4.0

TEACHERS = [RandomTeacher(seed=seed) for seed in range(3)]
PAIRS = list(combinations(range(5), 2))[: NUM_PATHS // len(TEACHERS)]
SPEC = PermutationPathSpec(
    loss="squared",
    layer=1,
    num_steps=20,
    smallest=1e-4,
    output_weights="held",
    gradient_norm=1e-6,
    max_evaluations=100,
)


def rows() -> list[dict[str, Any]]:
    """Seconds of 24 paths, as a stack and one by one."""
    specs = [replace(SPEC, teacher=teacher, pair=pair) for teacher in TEACHERS for pair in PAIRS]
    times: dict[str, list[float]] = {"stack": [], "alone": []}
    with threads(NUM_THREADS):
        _found(specs[:2])
        for _ in range(REPEATS):
            start = time.perf_counter()
            together = _found(specs)
            times["stack"].append(time.perf_counter() - start)
            start = time.perf_counter()
            alone = [_found([spec])[0] for spec in specs]
            times["alone"].append(time.perf_counter() - start)
            assert [path.losses for path in together] == [path.losses for path in alone]
    ours, baseline = median(times["stack"]), median(times["alone"])
    return [
        {
            "name": f"{NUM_PATHS} permutation paths, five ReLU, 1,000 points",
            "ours": ours,
            "baseline": baseline,
            "ratio": baseline / ours,
            "target": TARGET,
            "unit": "s",
        }
    ]


def _found(specs: list[PermutationPathSpec]) -> list[WholePath]:
    """The paths of some specs as one stack."""
    teachers = [spec.teacher for spec in specs if spec.teacher is not None]
    networks = torch.stack([teacher_network(teacher) for teacher in teachers])
    students = Students.of(specs[0], teacher_shape(teachers[0]), networks, teacher_points(teachers[0]))
    return find_whole_paths(students, specs)
