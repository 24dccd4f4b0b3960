"""Paths from a network to itself with the neurons of a layer in another order."""

from __future__ import annotations

from functools import cache
from itertools import combinations, pairwise, permutations

import pytest
import torch
from torch import Tensor

from workers.permutation_points import (
    DenseShape,
    DistanceSchedule,
    Loss,
    MergingPath,
    find_paths,
    lowest_barrier,
    outputs,
    path_to_permuted_self,
    with_ones,
)
from workers.permutation_points.merging import Merging
from workers.permutation_points.permuted_self import in_order, losses_between, swapped
from workers.permutation_points.whole_paths import whole_path

SHAPE = DenseShape((2, 4, 3, 1), "tanh")


@cache
def paths() -> tuple[Loss, Tensor, list[MergingPath]]:
    """The teacher, its loss, and the paths of all pairs of its first layer."""
    draws = torch.Generator().manual_seed(3)
    inputs = with_ones(torch.randn(60, 2, generator=draws, dtype=torch.float64))
    teacher = torch.randn(1, SHAPE.num_parameters, generator=draws, dtype=torch.float64)
    pairs = list(combinations(range(4), 2))
    loss = Loss(SHAPE, inputs, outputs(SHAPE, teacher, inputs).expand(len(pairs), -1, -1).contiguous())
    schedule = DistanceSchedule(num_steps=8, gradient_norm=1e-4, max_evaluations=60)
    starts = teacher.expand(len(pairs), -1).contiguous()
    return loss.of_rows(torch.tensor([0])), teacher, find_paths(loss, starts, 1, pairs, schedule)


def test_every_order_is_reached_through_one_permutation_point() -> None:
    """Continuous, from the teacher to its permuted self; equal outputs across; the way up mirrors that down.

    No corner is higher than the path of the pair.
    """
    loss, teacher, found = paths()
    path, height = lowest_barrier(found)
    times = torch.linspace(0, 1, 1501, dtype=torch.float64)
    for order in list(permutations(range(4)))[::5]:
        way = path_to_permuted_self(SHAPE, path, order)
        points = way.at(times)
        torch.testing.assert_close(points[0], teacher[0], rtol=1e-12, atol=1e-12)
        torch.testing.assert_close(points[-1], in_order(SHAPE, teacher, 1, order)[0], rtol=1e-12, atol=1e-12)
        lengths = [part.length for part in (way.down, way.across, way.up)]
        assert lengths[0] == pytest.approx(lengths[2], rel=1e-12)
        steps = (points[1:] - points[:-1]).norm(dim=1)
        assert float(steps.max()) <= 1.001 * max(lengths) / 500
        across = outputs(SHAPE, way.across.at(times), loss.inputs)
        assert float((across - across[:1]).abs().max()) < 1e-10
        corners = torch.cat([way.down.corners, way.across.corners, way.up.corners])
        targets = loss.targets.expand(len(corners), -1, -1)
        losses, _ = Loss(SHAPE, loss.inputs, targets)(corners)
        assert float(losses.max()) == pytest.approx(height + path.losses[0], rel=1e-9)


def test_losses_between_are_those_of_the_straight_pieces() -> None:
    """Against one evaluation after another, of both losses; more points find no less."""
    loss, _, found = paths()
    networks = torch.stack(found[2].networks)
    shares = torch.linspace(0, 1, 5, dtype=torch.float64)[1:-1].tolist()
    of_classes = Loss(SHAPE, loss.inputs, torch.zeros(60, dtype=torch.int64))
    scaled = Loss(SHAPE, loss.inputs, loss.targets, torch.tensor([3.0], dtype=torch.float64))
    for one in (loss, of_classes, scaled):
        expected = [
            max(float(one(torch.lerp(a, b, share).unsqueeze(0))[0]) for share in shares)
            for a, b in pairwise(networks)
        ]
        torch.testing.assert_close(
            losses_between(one, networks, 3), torch.tensor(expected, dtype=torch.float64), rtol=1e-9, atol=0
        )
    assert bool((losses_between(loss, networks, 7) >= losses_between(loss, networks, 3)).all())


def test_the_lowest_barrier_is_that_of_one_path() -> None:
    """The least of the heights above the start, and the first of equal ones."""
    _, _, found = paths()
    path, height = lowest_barrier(found)
    assert min(max(one.losses) - one.losses[0] for one in found) == height
    assert path in found
    same = [MergingPath(1, pair, losses=[1.0, 3.0]) for pair in ((2, 3), (0, 1))]
    assert ((0, 1), 2.0) == (lowest_barrier(same)[0].pair, lowest_barrier(same)[1])
    with pytest.raises(ValueError, match="no paths"):
        lowest_barrier([])


def test_swapped_neurons_compute_the_same() -> None:
    """Two neurons change places, in a hidden layer of a deep network; twice is never."""
    draws = torch.Generator().manual_seed(0)
    flat = torch.randn(2, SHAPE.num_parameters, generator=draws, dtype=torch.float64)
    inputs = with_ones(torch.randn(9, 2, generator=draws, dtype=torch.float64))
    for layer, pair in ((1, (0, 3)), (2, (2, 1))):
        other = swapped(SHAPE, flat, layer, pair)
        assert not torch.equal(flat, other)
        torch.testing.assert_close(
            outputs(SHAPE, other, inputs), outputs(SHAPE, flat, inputs), rtol=1e-12, atol=1e-12
        )
        assert torch.equal(flat, swapped(SHAPE, other, layer, pair))


def test_paths_that_have_not_met_and_times_outside_are_refused() -> None:
    """A path must have come to distance 0; times are from 0 to 1."""
    _, _, found = paths()
    with pytest.raises(ValueError, match="no permutation point"):
        path_to_permuted_self(SHAPE, MergingPath(1, (0, 1), distances=[1.0]), [0, 1, 2, 3])
    way = path_to_permuted_self(SHAPE, found[0], [3, 2, 1, 0])
    with pytest.raises(ValueError, match="between 0 and 1"):
        way.at(torch.tensor([1.5]))
    with pytest.raises(ValueError, match="order"):
        path_to_permuted_self(SHAPE, found[0], [0, 1, 2])


def test_losses_entered_are_those_of_the_last_minimum_at_the_next_distance() -> None:
    """All but the distance as it was. Nothing that minimization finds there is higher."""
    loss, teacher, found = paths()
    for path in found[:3]:
        merging = Merging.of(loss, 1, [path.pair])
        assert len(path.losses) == len(path.entered)
        assert path.entered[0] == pytest.approx(float(loss(teacher)[0]), abs=1e-25)
        for k in range(1, len(path.losses) - 1):
            before, distance = path.networks[k - 1].unsqueeze(0), torch.tensor([path.distances[k]])
            moved = merging.networks(merging.variables(before), distance.double())
            assert path.entered[k] == pytest.approx(float(loss(moved)[0]), rel=1e-6)
        assert all(at <= entered + 1e-18 for at, entered in zip(path.losses, path.entered, strict=True))
        whole = whole_path(loss, path)
        assert whole.barrier <= (whole.barrier_entered or 0)
    schedule = DistanceSchedule(num_steps=3, multipliers=(1e-3, 1.0), max_evaluations=20)
    (penalized,) = find_paths(loss, teacher, 1, [(0, 1)], schedule)
    assert whole_path(loss, penalized).barrier_entered is None
