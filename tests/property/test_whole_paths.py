"""Whole paths: from a network through a permutation point to itself with two neurons interchanged."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from itertools import combinations
from typing import Literal

import pytest
import torch
from torch import Tensor

from workers.permutation_points.dense import outputs
from workers.permutation_points.losses import Loss
from workers.permutation_points.merging import Merging
from workers.permutation_points.pairs import silent_neurons
from workers.permutation_points.random_teachers import teacher_network, teacher_points, teacher_shape
from workers.permutation_points.routes import Penalizing
from workers.permutation_points.runner import Students, find_whole_paths, pair_of
from workers.permutation_points.specs import PermutationPathSpec, RandomTeacher
from workers.permutation_points.whole_paths import WholePath

TEACHER = RandomTeacher(hidden=(4,), outputs=2, activation="tanh", num_points=60, seed=3)
PAIRS = tuple(combinations(range(4), 2))
HELD = PermutationPathSpec(
    teacher=TEACHER,
    loss="squared",
    layer=1,
    pair=(0, 1),
    num_steps=6,
    smallest=1e-3,
    output_weights="held",
    gradient_norm=1e-5,
    max_evaluations=80,
)
FREE = replace(HELD, output_weights="free")
PENALIZED = replace(HELD, variant="penalized", smallest=None, output_weights=None, multipliers=(1e-4, 1e2))
SPECS = {"held": HELD, "free": FREE, "penalized": PENALIZED}


def students(specs: list[PermutationPathSpec]) -> Students:
    """Students that stand at the teachers of the specs."""
    teachers = [spec.teacher for spec in specs if spec.teacher is not None]
    networks = torch.stack([teacher_network(teacher) for teacher in teachers])
    return Students.of(specs[0], teacher_shape(teachers[0]), networks, teacher_points(teachers[0]))


def of_pairs(spec: PermutationPathSpec) -> list[PermutationPathSpec]:
    """The same asked of all pairs."""
    return [replace(spec, pair=pair) for pair in PAIRS]


@cache
def found(name: str) -> tuple[Students, list[WholePath]]:
    """The paths of all pairs in one stack."""
    specs = of_pairs(SPECS[name])
    return students(specs), find_whole_paths(students(specs), specs)


@pytest.mark.parametrize("name", SPECS)
def test_a_whole_path_is_the_same_alone_and_in_company(name: str) -> None:
    """Every list bit for bit, whatever is minimized."""
    spec = of_pairs(SPECS[name])[4]
    (alone,) = find_whole_paths(students([spec]), [spec])
    beside = found(name)[1][4]
    assert {**vars(alone), "point": None} == {**vars(beside), "point": None}
    assert torch.equal(alone.point, beside.point)


@pytest.mark.parametrize("name", SPECS)
def test_a_whole_path_ends_with_two_neurons_interchanged(name: str) -> None:
    """t rises from 0 to 1; losses of the way back are those of the way there; both ends are the teacher."""
    for path in found(name)[1]:
        assert [0.0, 0.5, 1.0] == [path.times[0], path.times[path.num_before - 1], path.times[-1]]
        assert path.times == sorted(set(path.times))
        assert len(path.times) == len(path.losses) == len(path.distances) == 2 * (6 + 2) - 1
        torch.testing.assert_close(path.losses, path.losses[::-1], rtol=1e-9, atol=1e-20)
        assert max(path.losses[0], path.losses[-1]) < 1e-20
        assert path.barrier_between >= path.barrier > 0


@pytest.mark.parametrize("name", SPECS)
def test_output_weights_become_equal_at_constant_outputs(name: str) -> None:
    """From t = 1/4 to 1/2 the distance is 0, outputs stay, and the output weights meet."""
    of, paths = found(name)
    shape, inputs = of.loss.shape, of.loss.inputs
    for pair, path in zip(PAIRS, paths, strict=True):
        quarter, middle = path.num_before - 2, path.num_before - 1
        assert [0.25, 0.5] == path.times[quarter : middle + 1]
        assert [0.0, 0.0] == path.distances[quarter : middle + 1]
        assert path.output_distances[middle] == 0.0 < path.output_distances[quarter]
        apart = outputs(shape, at_quarter(of, path, pair), inputs)
        torch.testing.assert_close(apart, outputs(shape, path.point.unsqueeze(0), inputs), rtol=0, atol=1e-8)
        assert path.losses[middle] == pytest.approx(path.losses[quarter], rel=1e-6)


def at_quarter(of: Students, path: WholePath, pair: tuple[int, int]) -> Tensor:
    """The permutation point with output weights as far apart as they are at t = 1/4."""
    shape, flat = of.loss.shape, path.point.unsqueeze(0).clone()
    half = path.output_distances[path.num_before - 2] / 2
    first, second = (shape.outgoing(1, index) for index in pair)
    flat[:, first][:, 0] -= half
    flat[:, second][:, 0] += half
    return flat


def test_held_output_weights_keep_their_length_until_neurons_are_one() -> None:
    """Together as long as at the start, at every distance above 0."""
    spec = replace(HELD, pair=(1, 2))
    of = students([spec])
    merging = Merging.of(of.loss, 1, [(1, 2)]).holding(of.starts)
    networks = merging.networks(merging.variables(of.starts) * 1.3, torch.tensor([0.2], dtype=torch.float64))
    for flat in (of.starts, networks):
        length = torch.cat([flat[:, of.loss.shape.outgoing(1, index)] for index in (1, 2)], dim=1).norm()
        assert float(merging.held) == pytest.approx(float(length), rel=1e-12)
    assert float(merging.distances(networks)) == pytest.approx(0.2, rel=1e-12)


def test_gradients_of_routes_are_those_of_differences() -> None:
    """By u and v of held output weights; by weights under a penalty, and by c and s at its last stage."""
    spec = replace(HELD, pair=(1, 2))
    of = students([spec])
    merging = Merging.of(of.loss, 1, [(1, 2)])
    held = merging.holding(of.starts)
    at = torch.tensor([0.3], dtype=torch.float64)
    penalty = Penalizing(merging, torch.tensor([0.0, 0.7], dtype=torch.float64))
    cases = [(lambda point: held.constrained(point, at), held.variables(of.starts) * 1.1)]
    for stage in (1, 2):
        now = torch.tensor([stage])
        start = of.starts * 1.1 if stage == 1 else merging.at_zero(of.starts * 1.1)
        cases.append((lambda point, now=now: penalty.evaluate(point, now), start))
    for evaluate, point in cases:
        _, gradient = evaluate(point)
        steps = 1e-6 * torch.eye(point.shape[1], dtype=torch.float64)
        slopes = [(evaluate(point + step)[0] - evaluate(point - step)[0]) / 2e-6 for step in steps]
        torch.testing.assert_close(gradient[0], torch.cat(slopes), rtol=1e-5, atol=1e-7)


def test_with_relu_the_distance_alone_constrains_nothing() -> None:
    """Both neurons smaller, their output weights larger: no loss at a ten-thousandth of the distance."""
    teacher = replace(TEACHER, activation="relu")
    of = students([replace(HELD, teacher=teacher)])
    shape, near = of.loss.shape, of.starts.clone()
    for index in (0, 1):
        near[:, shape.neuron(1, index)] *= 1e-4
        near[:, shape.outgoing(1, index)] *= 1e4
    merging = Merging.of(of.loss, 1, [(0, 1)])
    assert float(merging.distances(near)) == pytest.approx(1e-4 * float(merging.distances(of.starts)))
    assert float(of.loss(near)[0]) < 1e-20


def test_relative_loss_is_that_of_the_paper() -> None:
    """The mean over examples of |f - y|^2, divided by the mean of y^2 over examples and outputs."""
    of = students([replace(HELD, loss="relative_squared")])
    changed = of.starts * 1.2
    teacher = outputs(of.loss.shape, of.starts, of.loss.inputs)[0]
    now = outputs(of.loss.shape, changed, of.loss.inputs)[0]
    expected = (now - teacher).square().sum(0).mean() / teacher.square().mean()
    torch.testing.assert_close(of.loss(changed)[0], expected.reshape(1), rtol=1e-12, atol=0)


def test_own_loss_is_cross_entropy_by_labels() -> None:
    """With labels: errors are told as well, and the barrier is above the minimum at the first distance."""
    spec = replace(HELD, loss="cross_entropy", num_examples=40)
    shape, points = teacher_shape(TEACHER), teacher_points(TEACHER)
    labels = (points.sum(1) > 0).long()
    of = Students.of(spec, shape, teacher_network(TEACHER).unsqueeze(0), points, labels)
    assert 40 == of.loss.inputs.shape[1]
    (path,) = find_whole_paths(of, [spec])
    assert path.errors is not None
    assert path.losses[0] < float(of.loss(of.starts)[0])
    expected = Loss(shape, of.loss.inputs, labels[:40]).errors(path.point.unsqueeze(0), labels[:40])
    assert float(expected) == path.errors[path.num_before - 1]


def test_a_rule_chooses_the_pair_of_its_rank() -> None:
    """The two parameter vectors with the largest cosine are of rank 0; beyond the last rank there is none."""
    spec = replace(HELD, pair=None, rule="cosine", rank=0)
    of = students([spec])
    vectors = torch.nn.functional.normalize(of.loss.shape.layers(of.starts)[0][0], dim=1)
    chosen = pair_of(spec, of)
    cosines = {pair: float(vectors[pair[0]] @ vectors[pair[1]]) for pair in PAIRS}
    assert max(cosines, key=lambda pair: cosines[pair]) == chosen
    with pytest.raises(ValueError, match="6 pairs of neurons, none of rank 6"):
        pair_of(replace(spec, rank=6), of)


@pytest.mark.parametrize("rule", ["cosine", "distance"])
def test_a_rule_takes_silent_neurons_last(rule: Literal["cosine", "distance"]) -> None:
    """Neurons 0 and 1 are one, and 0 on all examples: every pair with them comes after that of 2 and 3."""
    relu = replace(TEACHER, activation="relu")
    spec = replace(HELD, teacher=relu, pair=None, rule=rule, rank=0)
    shape, start, points = teacher_shape(relu), teacher_network(relu), teacher_points(relu)
    weights = shape.layers(start.unsqueeze(0))[0][0]
    weights[:2], weights[2:, 2] = torch.tensor([0.0, 0.0, -1.0], dtype=torch.float64), 1.0
    of = Students.of(spec, shape, start.unsqueeze(0), points)
    assert frozenset({0, 1}) == silent_neurons(of.loss, of.starts, 1)
    assert (2, 3) == pair_of(spec, of)
    assert (0, 1) == pair_of(replace(spec, rank=1), of)
    tanh = Students.of(spec, replace(shape, activation="tanh"), start.unsqueeze(0), points)
    assert (0, 1) == pair_of(spec, tanh)
