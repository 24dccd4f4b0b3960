"""Paths of networks whose vectors are too long for whole matrices, merged in their second hidden layer."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from workers.permutation_points import curvature
from workers.permutation_points.dense import DenseShape, outputs, with_ones
from workers.permutation_points.losses import Loss
from workers.permutation_points.merging import Merging
from workers.permutation_points.paths import DistanceSchedule, MergingPath, find_paths

SHAPE = DenseShape((20, 8, 8, 2), "relu")
PAIRS = [(0, 1), (2, 5), (6, 3)]
SCHEDULE = DistanceSchedule(
    num_steps=4, smallest=1e-2, gradient_norm=1e-7, max_evaluations=25, output_weights="held"
)


def student(num: int) -> tuple[Loss, Tensor]:
    """Students that stand at their one teacher; inputs have a large mean, and differ in size."""
    draws = torch.Generator().manual_seed(4)
    spread = torch.logspace(-2, 0, 20, dtype=torch.float64)
    points = 2 + spread * torch.randn(80, 20, generator=draws, dtype=torch.float64)
    teacher = torch.randn(1, SHAPE.num_parameters, generator=draws, dtype=torch.float64) / 3
    SHAPE.layers(teacher)[1][:, :, -1] += 0.5
    targets = outputs(SHAPE, teacher, with_ones(points)).expand(num, -1, -1).contiguous()
    return Loss(SHAPE, with_ones(points), targets), teacher.expand(num, -1).contiguous()


def paths_of(pairs: list[tuple[int, int]]) -> list[MergingPath]:
    """The paths of these pairs in one stack."""
    return find_paths(*student(len(pairs)), 2, pairs, SCHEDULE)


def test_a_long_path_is_the_same_alone_and_in_company() -> None:
    """Bit for bit, with curvatures that are expected of every layer."""
    assert curvature.LARGEST_DENSE < SHAPE.num_parameters
    together = paths_of(PAIRS)
    for pair, beside in zip(PAIRS, together, strict=True):
        (alone,) = paths_of([pair])
        assert alone.losses == beside.losses
        assert torch.equal(torch.stack(alone.networks), torch.stack(beside.networks))


def test_expected_curvature_leads_lower_in_as_many_evaluations(monkeypatch: pytest.MonkeyPatch) -> None:
    """The minima of the path together are below half of those found without it."""
    with_it = sum(sum(path.losses) for path in paths_of(PAIRS))
    monkeypatch.setattr(curvature.Limited, "begin_from", lambda *_: None)
    assert with_it < sum(sum(path.losses) for path in paths_of(PAIRS)) / 2


def test_held_layers_below_keep_their_lengths() -> None:
    """Of every parameter vector of the first layer, at every distance above 0 and at 0."""
    lengths = SHAPE.layers(student(1)[1])[0].norm(dim=2)[0]
    for path in paths_of(PAIRS):
        for network in path.networks:
            now = SHAPE.layers(network.unsqueeze(0))[0].norm(dim=2)[0]
            torch.testing.assert_close(now, lengths, rtol=1e-12, atol=0)


def test_a_louder_layer_below_makes_a_distance_count_more() -> None:
    """Twice the first layer, half of what the second reads: the same outputs at half the distance."""
    loss, starts = student(1)
    near = starts.clone()
    SHAPE.layers(near)[0].mul_(2)
    SHAPE.layers(near)[1][:, :, :-1] /= 2
    merging = Merging.of(loss, 2, [(0, 1)])
    assert float(loss(near)[0]) < 1e-25
    biases = [float(SHAPE.layers(starts)[1][0, neuron, -1]) for neuron in (0, 1)]
    whole = float(merging.distances(starts)) ** 2
    bias = (biases[0] - biases[1]) ** 2
    assert float(merging.distances(near)) ** 2 == pytest.approx((whole - bias) / 4 + bias)


@pytest.mark.parametrize("distance", [0.3, 0.0])
def test_gradients_with_held_layers_below_are_those_of_differences(distance: float) -> None:
    """By the directions of the first layer as by all else."""
    loss, starts = student(1)
    held = Merging.of(loss, 2, [(2, 5)]).holding(starts)
    at = torch.tensor([distance], dtype=torch.float64)
    point = held.variables(starts) * 1.1
    _, gradient = held.constrained(point, at)
    steps = 1e-7 * torch.eye(point.shape[1], dtype=torch.float64)
    slopes = [(held.constrained(point + s, at)[0] - held.constrained(point - s, at)[0]) / 2e-7 for s in steps]
    torch.testing.assert_close(gradient[0], torch.cat(slopes), rtol=1e-4, atol=1e-6)


def test_smooth_networks_keep_no_lengths_below() -> None:
    """There a length is no unit: it decides what the neurons compute."""
    loss, starts = student(1)
    smooth = Loss(DenseShape(SHAPE.sizes, "tanh"), loss.inputs, loss.targets)
    assert () == Merging.of(smooth, 2, [(0, 1)]).holding(starts).lengths


def test_a_neuron_without_weights_below_stays_one() -> None:
    """As in a pruned network: its gradient is 0, that of all others a number."""
    loss, starts = student(1)
    SHAPE.layers(starts)[0][:, 3] = 0
    held = Merging.of(loss, 2, [(0, 1)]).holding(starts)
    variables = held.variables(starts)
    value, gradient = held.constrained(variables, torch.tensor([0.2], dtype=torch.float64))
    assert bool(value.isfinite().all())
    assert bool(gradient.isfinite().all())
    assert not bool(SHAPE.layers(gradient)[0][:, 3].any())
