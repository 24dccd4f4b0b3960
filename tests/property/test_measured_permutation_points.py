"""What is measured at permutation points, against what the reduced network predicts."""

from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest
import torch
from torch import Tensor

from workers.permutation_points import (
    DenseShape,
    Loss,
    PermutationPoint,
    PermutationPointsSpec,
    duplicated,
    outputs,
    permutation_points,
    verdicts,
    with_ones,
)
from workers.permutation_points.contrasts import contrasts, measured_contrasts
from workers.permutation_points.dense import Activation
from workers.permutation_points.hessian import hessian
from workers.permutation_points.polish import minimized, polished
from workers.permutation_points.statements import NEAR


def drawn(*size: int, seed: int = 0) -> Tensor:
    """Standard normal numbers, float64."""
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def imitation(shape: DenseShape, num: int, seed: int, num_examples: int = 120) -> Loss:
    """Squared loss of networks that imitate ones with a neuron more in layer 1, on normal inputs."""
    teachers = shape.with_width(1, shape.sizes[1] + 1)
    inputs = with_ones(drawn(num_examples, shape.sizes[0], seed=seed))
    return Loss(shape, inputs, outputs(teachers, drawn(num, teachers.num_parameters, seed=seed + 1), inputs))


@cache
def ends(shape: DenseShape, num: int, seed: int) -> tuple[Loss, Tensor, Tensor]:
    """Losses of larger networks, and networks at d = 0 of theirs whose neurons 1 and the last are one.

    They are made of minima of the smaller networks, as far as 600 evaluations lead. Last, which of these have
    a regular minimum nearby: no weight above 15, which would be on its way to infinity.
    """
    loss = imitation(shape, num, seed)
    near = minimized(loss, drawn(num, shape.num_parameters, seed=5), 1e-7, 600)
    clean = polished(loss, near)
    regular = (clean.gradient_norms < 1e-10) & (clean.points.abs().amax(1) < 15)
    sources = [*range(shape.sizes[1]), 1]
    larger, copied = duplicated(shape, near, 1, sources)
    return Loss(larger, loss.inputs, loss.targets), copied, regular.nonzero().flatten()


def measured(loss: Loss, copied: Tensor, k: int, spec: PermutationPointsSpec) -> list[PermutationPoint]:
    """The points of network k."""
    pair = (1, loss.shape.sizes[1] - 1)
    return permutation_points(loss.of_rows(torch.tensor([k])), copied[k], 1, pair, spec, f"network {k}")


@pytest.mark.parametrize(
    ("num_outputs", "num"),
    [
        (1, 3),
        (3, 3),
        pytest.param(1, 20, marks=pytest.mark.slow),
        pytest.param(3, 20, marks=pytest.mark.slow),
    ],
)
def test_points_are_critical_and_have_the_predicted_modes(num_outputs: int, num: int) -> None:
    """With tanh, of every teacher with a regular minimum: critical, zero modes and index as predicted.

    One output: all statements of the paper hold. Three: one zero mode and not three, and the subspace of
    equal loss is critical along one line alone.
    """
    loss, copied, regular = ends(DenseShape((2, 4, num_outputs), "tanh"), 2 * num, 20 + num_outputs)
    assert len(regular) >= num
    for k in regular[:num].tolist():
        (point,) = measured(loss, copied, k, PermutationPointsSpec())
        assert point.polished_gradient_norm is not None
        assert point.polished_gradient_norm < 1e-10
        assert point.point_gradient_norm is not None
        assert point.point_gradient_norm < 1e-9
        assert point.critical
        assert 1 == point.num_zero_added == point.num_zero_predicted
        assert num_outputs == point.num_zero_paper == point.subspace_dimension
        assert point.num_negative_predicted == point.num_negative_added
        assert point.contrast_deviation is not None
        assert point.contrast_deviation < 1e-10
        assert point.line_gradient_norm is not None
        assert point.line_gradient_norm < 1e-9
        assert point.plateau_gradient_norm == pytest.approx(point.plateau_gradient_predicted, abs=1e-9)
        found = verdicts(point)
        assert found["proposition_1_i"]
        assert found["proposition_1_ii_equal_loss"]
        assert found["proposition_1_iii"]
        assert verdicts(replace(point, polish_distance=NEAR))["lemma_1"] == (point.num_negative_reduced == 0)
        assert (
            (num_outputs == 1) == found["proposition_1_ii_zero_modes"] == found["proposition_1_ii_critical"]
        )


def test_a_point_that_polishing_led_away_says_nothing_of_the_end_of_its_path() -> None:
    """A critical point far from where the path ended: lemma 1 is not tested, proposition 1 (i) is."""
    loss, copied, regular = ends(DenseShape((2, 4, 1), "tanh"), 6, 21)
    (point,) = measured(loss, copied, int(regular[0]), PermutationPointsSpec())
    assert "lemma_1" in verdicts(replace(point, polish_distance=NEAR))
    away = verdicts(replace(point, polish_distance=2 * NEAR))
    assert "lemma_1" not in away
    assert away["proposition_1_i"]


def test_a_wide_next_layer_adds_more_zero_modes() -> None:
    """Two inputs and a bias, six outputs: M has rank 3, so 6 - 2 - 1 = 3 zero modes, not 1 and not 6."""
    loss, copied, regular = ends(DenseShape((2, 3, 6), "tanh"), 6, 41)
    assert len(regular) >= 2
    for k in regular[:2].tolist():
        (point,) = measured(loss, copied, k, PermutationPointsSpec())
        assert point.critical
        assert 3 == point.num_zero_added == point.num_zero_predicted
        assert 6 == point.num_zero_paper == point.subspace_dimension


def test_higher_orders_add_one_zero_mode_for_every_copy() -> None:
    """Orders 1 to 3 with two outputs: K zero modes, not 2 K, for every way to share the copies."""
    loss, copied, regular = ends(DenseShape((2, 4, 2), "tanh"), 4, 31)
    points = measured(loss, copied, int(regular[0]), PermutationPointsSpec(order=3))
    assert [(2,), (3,), (2, 2), (4,), (3, 2), (2, 2, 2)] == [point.copies for point in points]
    for point in points:
        assert sum(point.copies) - len(point.copies) == point.order
        assert point.critical
        assert point.order == point.num_zero_added == point.num_zero_predicted
        assert 2 * point.order == point.num_zero_paper == point.subspace_dimension
        assert point.num_negative_predicted == point.num_negative_added
        assert point.subspace_deviation < 1e-12
        assert point.loss == pytest.approx(points[0].loss, rel=1e-10)
    assert {"proposition_2_i": True, "proposition_2_ii": True, "lemma_3_critical": False} == verdicts(
        points[-1]
    )


@pytest.mark.parametrize("layer", [1, 2])
@pytest.mark.parametrize("kind", ["squared", "cross_entropy"])
def test_contrasts_are_an_invariant_part_of_the_hessian(layer: int, kind: str) -> None:
    """In deep networks too, critical or not: no contrast is mixed with what is none.

    The point made of any network will do, of three copies of one neuron and two of another.
    """
    small = DenseShape((3, 3, 4, 3), "softplus")
    inputs = with_ones(drawn(40, 3))
    targets = torch.arange(40) % 3 if kind == "cross_entropy" else drawn(1, 3, 40, seed=2)
    sources = [*range(small.sizes[layer]), 1, 1, 0]
    larger, copied = duplicated(small, drawn(1, small.num_parameters, seed=1), layer, sources)
    loss = Loss(larger, inputs, targets)
    directions = contrasts(larger, layer, sources)
    assert 3 * (small.sizes[layer - 1] + 1 + small.sizes[layer + 1]) == len(directions)
    eye = torch.eye(len(directions), dtype=torch.float64)
    torch.testing.assert_close(directions @ directions.T, eye, rtol=0, atol=1e-14)
    images = hessian(loss, copied[0]) @ directions.T
    inside = directions.T @ (directions @ images)
    torch.testing.assert_close(inside, images, rtol=0, atol=1e-12)
    expected = torch.linalg.eigvalsh(directions @ images)
    found = measured_contrasts(loss, copied[0], layer, sources)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)


def test_modes_of_large_networks_are_counted_among_their_contrasts(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where only the lowest eigenvalues are found, what copies add is the same as from whole spectra."""
    loss, copied, regular = ends(DenseShape((2, 4, 2), "tanh"), 4, 31)
    k = int(regular[0])
    (whole,) = measured(loss, copied, k, PermutationPointsSpec())
    monkeypatch.setattr("workers.permutation_points.hessian.LARGEST_FULL", 10)
    monkeypatch.setattr("workers.permutation_points.polish.LARGEST_FULL", 10)
    (part,) = measured(loss, copied, k, PermutationPointsSpec(lowest=8))
    assert whole.is_whole
    assert not part.is_whole
    assert part.critical
    assert part.num_zero is None
    assert part.num_zero_reduced is None
    assert whole.num_zero_added == part.num_zero_added
    assert whole.num_negative_added == part.num_negative_added
    assert whole.num_negative == part.num_negative
    assert 8 == len(part.lowest_curvatures)
    assert whole.lowest_curvatures[:8] == pytest.approx(part.lowest_curvatures, rel=1e-5, abs=1e-9)


def test_lanczos_that_does_not_converge_tells_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without eigenvalues the saddle index is not told; what copies add is, from the contrasts."""
    loss, copied, regular = ends(DenseShape((2, 4, 2), "tanh"), 4, 31)
    monkeypatch.setattr("workers.permutation_points.hessian.LARGEST_FULL", 10)
    monkeypatch.setattr("workers.permutation_points.hessian._MOST_RESTARTS", 1)
    monkeypatch.setattr("workers.permutation_points.hessian._SUBSPACE", 0)
    (point,) = measured(loss, copied, int(regular[0]), PermutationPointsSpec(lowest=5))
    assert len(point.lowest_curvatures) < 5
    assert point.num_negative is None or point.lowest_curvatures
    assert point.num_negative_added == point.num_negative_predicted


def test_lanczos_counts_nothing_where_all_it_found_fall(monkeypatch: pytest.MonkeyPatch) -> None:
    """The saddle index is told only if an eigenvalue that is not negative was found too."""
    loss, copied, regular = ends(DenseShape((2, 4, 2), "tanh"), 4, 31)
    monkeypatch.setattr("workers.permutation_points.hessian.LARGEST_FULL", 10)
    (point,) = measured(loss, copied, int(regular[0]), PermutationPointsSpec(lowest=1))
    assert point.num_negative is None
    assert point.num_negative_added is not None
    assert point.num_negative_added >= 1


@pytest.mark.parametrize("activation", ["relu", "tanh"])
def test_without_second_derivatives_there_are_losses_and_paths(activation: Activation) -> None:
    """hessian: false: loss and gradient, the next kink of ReLU, and all orders at equal outputs."""
    shape = DenseShape((2, 4, 2), activation)
    loss, copied = imitation(shape, 1, 3), drawn(1, shape.num_parameters, seed=4)
    larger, network = duplicated(shape, copied, 1, [0, 1, 2, 3, 1])
    (point,) = measured(
        Loss(larger, loss.inputs, loss.targets), network, 0, PermutationPointsSpec(hessian=False)
    )
    assert point.loss == pytest.approx(float(loss(copied)[0]), rel=1e-12)
    assert point.reduced_gradient_norm == pytest.approx(float(loss(copied)[1].norm()), rel=1e-12)
    assert (activation == "relu") == (point.nearest_kink is not None)
    assert point.critical is None
    assert point.num_zero_added is None
    assert point.equal_loss_deviation is not None
    assert point.equal_loss_deviation < 1e-10
    assert {"proposition_1_ii_equal_loss": True, "proposition_1_iii": True} == verdicts(point)


def test_a_point_that_cannot_be_polished_is_not_called_critical(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the gradient of the reduced network stays, nothing is said about criticality or zero modes."""
    shape = DenseShape((2, 4, 2), "tanh")
    loss, copied = imitation(shape, 1, 3), drawn(1, shape.num_parameters, seed=4)
    larger, network = duplicated(shape, copied, 1, [0, 1, 2, 3, 1])
    monkeypatch.setattr("workers.permutation_points.measured_points._MOST_EVALUATIONS", 1)
    monkeypatch.setattr("workers.permutation_points.polish._NEWTON_STEPS", 0)
    (point,) = measured(Loss(larger, loss.inputs, loss.targets), network, 0, PermutationPointsSpec())
    assert point.polished_gradient_norm is not None
    assert point.polished_gradient_norm > 1e-6
    assert point.critical is None
    assert {"proposition_1_ii_equal_loss", "proposition_1_iii"} == set(verdicts(point))


def test_points_that_are_none_are_refused() -> None:
    """Two neurons that differ, and second derivatives of ReLU."""
    shape = DenseShape((2, 4, 1), "relu")
    loss, network = imitation(shape, 1, 3), drawn(1, shape.num_parameters)
    with pytest.raises(ValueError, match="not one"):
        permutation_points(loss, network[0], 1, (0, 1), PermutationPointsSpec(hessian=False), "")
    larger, copied = duplicated(shape, network, 1, [0, 1, 2, 3, 1])
    above = Loss(larger, loss.inputs, loss.targets)
    with pytest.raises(ValueError, match="hessian: false"):
        permutation_points(above, copied[0], 1, (1, 4), PermutationPointsSpec(), "")
