"""Paths along which two neurons become one."""

from __future__ import annotations

from itertools import combinations

import pytest
import torch
from torch import Tensor

from workers.permutation_points.dense import Activation, DenseShape, outputs, with_ones
from workers.permutation_points.duplication import merged
from workers.permutation_points.kinds import path_kind
from workers.permutation_points.losses import Loss
from workers.permutation_points.merging import Merging
from workers.permutation_points.pairs import nearest_kink, ranked_pairs
from workers.permutation_points.paths import DistanceSchedule, MergingPath, find_paths

SHAPE = DenseShape((2, 4, 2), "tanh")
PAIRS = list(combinations(range(4), 2))
QUICK = DistanceSchedule(num_steps=6, gradient_norm=1e-5, max_evaluations=120)


def student(activation: Activation, num: int, layers: tuple[int, ...] = (2, 4, 2)) -> tuple[Loss, Tensor]:
    """Students that stand at their one teacher, and their loss."""
    shape = DenseShape(layers, activation)
    draws = torch.Generator().manual_seed(3)
    inputs = with_ones(torch.randn(60, 2, generator=draws, dtype=torch.float64))
    teacher = torch.randn(1, shape.num_parameters, generator=draws, dtype=torch.float64)
    targets = outputs(shape, teacher, inputs).expand(num, -1, -1).contiguous()
    return Loss(shape, inputs, targets), teacher.expand(num, -1).contiguous()


def paths_of(activation: Activation, pairs: list[tuple[int, int]]) -> list[MergingPath]:
    """The paths of these pairs in one stack."""
    loss, starts = student(activation, len(pairs))
    return find_paths(loss, starts, 1, pairs, QUICK)


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_a_path_is_the_same_alone_and_in_company(activation: Activation) -> None:
    """Bit for bit, though paths of a stack come to their distances at different times."""
    together = paths_of(activation, PAIRS)
    assert 1 < len({sum(path.num_evaluations) for path in together})
    for pair in (PAIRS[0], PAIRS[4]):
        (alone,) = paths_of(activation, [pair])
        beside = together[PAIRS.index(pair)]
        assert alone.losses == beside.losses
        assert alone.outcomes == beside.outcomes
        assert torch.equal(torch.stack(alone.networks), torch.stack(beside.networks))


def test_a_path_leads_from_the_teacher_to_one_neuron() -> None:
    """First the teacher, without loss; distances as the schedule says; last a smaller network."""
    loss, starts = student("tanh", len(PAIRS))
    for pair, path in zip(PAIRS, find_paths(loss, starts, 1, PAIRS, QUICK), strict=True):
        assert path.losses[0] < 1e-25
        torch.testing.assert_close(path.networks[0], starts[0], rtol=1e-12, atol=1e-12)
        shares = torch.tensor(path.distances) / path.distances[0]
        torch.testing.assert_close(shares, QUICK.shares().float(), rtol=1e-5, atol=0)
        end = path.networks[-1].unsqueeze(0)
        neurons = SHAPE.layers(end)[0][0]
        assert torch.equal(neurons[pair[0]], neurons[pair[1]])
        smaller, flat = merged(SHAPE, end, 1, *pair)
        (of_merged, _), alone = Loss(smaller, loss.inputs, loss.targets[:1])(flat), path.losses[-1]
        torch.testing.assert_close(
            of_merged, torch.tensor([alone], dtype=torch.float64), rtol=1e-10, atol=1e-14
        )


def test_what_has_converged_has_no_gradient_along_the_constraint() -> None:
    """By weights as well: what is left of the gradient would change the distance."""
    loss, starts = student("tanh", 1)
    schedule = DistanceSchedule(num_steps=4, smallest=0.3, gradient_norm=1e-8, max_evaluations=800)
    (path,) = find_paths(loss, starts, 1, [(0, 1)], schedule)
    merging = Merging.of(loss, 1, [(0, 1)])
    assert ["converged"] * 5 == path.outcomes
    for network in path.networks[:-1]:
        flat = network.unsqueeze(0)
        left = merging.along_constraint(flat, loss(flat)[1])
        assert float(left.norm()) < 1e-7
    assert max(path.losses) > 1e-6


@pytest.mark.parametrize("distance", [0.7, 1e-3])
def test_gradients_by_the_variables_are_those_of_differences(distance: float) -> None:
    """Of the constrained loss by c, e, s and q, and of the penalized loss by weights."""
    loss, starts = student("softplus", 1, (2, 4, 3, 2))
    merging = Merging.of(loss, 1, [(1, 3)])
    at = torch.tensor([distance], dtype=torch.float64)
    variables = merging.variables(starts) * 1.1
    for evaluate, point in ((merging.constrained, variables), (merging.penalized, starts * 1.1)):
        _, gradient = evaluate(point, at)
        steps = 1e-6 * torch.eye(point.shape[1], dtype=torch.float64)
        slopes = [(evaluate(point + s, at)[0] - evaluate(point - s, at)[0]) / 2e-6 for s in steps]
        torch.testing.assert_close(gradient[0], torch.cat(slopes), rtol=1e-5, atol=1e-7)


def test_variables_and_weights_are_the_same_networks() -> None:
    """At its own distance a network comes back from its variables."""
    loss, starts = student("tanh", 2)
    merging = Merging.of(loss, 1, [(0, 1), (3, 2)])
    back = merging.networks(merging.variables(starts), merging.distances(starts))
    torch.testing.assert_close(back, starts, rtol=1e-12, atol=1e-13)


def test_neurons_that_are_one_are_not_merged() -> None:
    """Nothing is left to do where the distance is 0."""
    loss, starts = student("tanh", 1)
    SHAPE.layers(starts)[0][0, 1] = SHAPE.layers(starts)[0][0, 0]
    with pytest.raises(ValueError, match="one already"):
        find_paths(loss, starts, 1, [(0, 1)], QUICK)


@pytest.mark.parametrize(
    ("losses", "kind"),
    [
        ([0, 1, 2, 3], "monotone"),
        ([0, 1, 1, 1], "monotone"),
        ([0, 2, 1, 3], "intermediate_saddle"),
        ([0, 4, 1, 3], "intermediate_saddle"),
        ([0, 2, 3, 1], "minimum"),
        ([0, 2, 1, 1], "minimum"),
        ([0, 1, 1 - 1e-12, 1], "monotone"),
        ([0, 1, 0.995, 0.992], "monotone"),
        ([0, 1, 0.995, 0.989, 0.98], "minimum"),
        ([0, 1, 0.98, 0.985, 0.989, 0.995], "intermediate_saddle"),
        ([0, 1, 0.98, 0.985], "minimum"),
        ([2, 2], "monotone"),
    ],
)
def test_kinds_of_paths_are_those_of_figure_5(losses: list[float], kind: str) -> None:
    """Never falling; fallen and risen again; falling towards the permutation point; a hundredth is flat."""
    assert kind == path_kind([float(loss) for loss in losses])


def test_pairs_are_ranked_by_likeness() -> None:
    """The nearest by angle, and the nearest by distance, come first; all pairs come."""
    shape = DenseShape((2, 3, 1), "relu")
    flat = torch.zeros(shape.num_parameters, dtype=torch.float64)
    shape.layers(flat.unsqueeze(0))[0][0] = torch.tensor([[1.0, 0, 0], [5, 0.1, 0], [0.9, 0.9, 0]])
    assert (0, 1) == ranked_pairs(shape, flat, 1, "cosine")[0]
    assert [(0, 2), (0, 1), (1, 2)] == ranked_pairs(shape, flat, 1, "distance")


def test_nearest_kink_is_where_a_neuron_turns() -> None:
    """One ReLU, pre-activation 3 x + 4, a reading of length sqrt(x^2 + 1): 4 at x = 0, less at x = 10."""
    shape = DenseShape((1, 1, 1), "relu")
    flat = torch.tensor([[3.0, 4.0, 1.0, 0.0]], dtype=torch.float64)
    inputs = with_ones(torch.tensor([[0.0], [10.0]], dtype=torch.float64))
    torch.testing.assert_close(
        nearest_kink(shape, flat, inputs), torch.tensor([34 / 101**0.5], dtype=torch.float64)
    )
