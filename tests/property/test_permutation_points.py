"""Permutation points of small networks: what the definitions promise, and where the paper errs."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from workers.permutation_points.dense import (
    Activation,
    DenseShape,
    flattened,
    outputs,
    unflattened,
    with_ones,
)
from workers.permutation_points.duplication import (
    critical_shares,
    duplicated,
    equal_loss_directions,
    equalized,
    merged,
)
from workers.permutation_points.equal_loss import equal_loss_path
from workers.permutation_points.hessian import hessian, mean_loss, spectrum
from workers.permutation_points.losses import Loss
from workers.permutation_points.polish import minimized, polished
from workers.permutation_points.zero_modes import antisymmetric_block

ACTIVATIONS: list[Activation] = ["relu", "tanh", "softplus"]


def drawn(*size: int, seed: int = 0) -> Tensor:
    """Standard normal numbers, float64."""
    return torch.randn(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)


def imitation(shape: DenseShape, teachers: DenseShape, num: int, num_examples: int, seed: int) -> Loss:
    """Squared loss of networks that imitate larger random ones on normal inputs."""
    inputs = with_ones(drawn(num_examples, shape.sizes[0], seed=seed))
    return Loss(shape, inputs, outputs(teachers, drawn(num, teachers.num_parameters, seed=seed + 1), inputs))


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("kind", ["squared", "scaled", "cross_entropy"])
def test_gradients_are_those_of_autograd(activation: Activation, kind: str) -> None:
    """Values and gradients agree with autograd to 1e-12, over several parts of the examples too."""
    shape = DenseShape((3, 5, 4, 3), activation)
    inputs, flat = with_ones(drawn(700, 3)), drawn(2, shape.num_parameters, seed=1)
    if kind == "cross_entropy":
        loss = Loss(shape, inputs, torch.arange(700) % 3)
    else:
        scale = torch.tensor([2.0, 5.0], dtype=torch.float64) if kind == "scaled" else None
        loss = Loss(shape, inputs, drawn(2, 3, 700, seed=2), scale)
    values, gradients = loss(flat)
    for k in range(2):
        at = flat[k].clone().requires_grad_()
        alone = loss.of_rows(torch.tensor([k]))
        expected = mean_loss(alone, at)
        (slope,) = torch.autograd.grad(expected, at)
        torch.testing.assert_close(values[k], expected.detach(), rtol=1e-12, atol=0)
        torch.testing.assert_close(gradients[k], slope, rtol=1e-11, atol=1e-13)


def test_errors_are_shares_of_mistakes() -> None:
    """The largest output decides, over several parts of the examples."""
    shape = DenseShape((3, 5, 4), "relu")
    inputs, flat, labels = (
        with_ones(drawn(700, 3)),
        drawn(3, shape.num_parameters, seed=1),
        torch.arange(700) % 4,
    )
    expected = (outputs(shape, flat, inputs).argmax(1) != labels).double().mean(1)
    torch.testing.assert_close(Loss(shape, inputs, labels).errors(flat, labels), expected, rtol=1e-12, atol=0)


def test_vectors_and_state_dicts_are_the_same_networks() -> None:
    """A stack becomes vectors and comes back bit for bit; outputs are those of torch's layers."""
    shape = DenseShape((3, 5, 4, 2), "tanh")
    flat, inputs = drawn(2, shape.num_parameters), drawn(7, 3, seed=1)
    params = unflattened(shape, flat)
    assert torch.equal(flat, flattened(params))
    hidden = inputs
    for k in range(3):
        hidden = torch.nn.functional.linear(
            hidden, params[f"layers.{k}.weight"][1], params[f"layers.{k}.bias"][1]
        )
        hidden = torch.tanh(hidden) if k < 2 else hidden
    torch.testing.assert_close(outputs(shape, flat, with_ones(inputs))[1].T, hidden, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("activation", ACTIVATIONS)
@pytest.mark.parametrize("layer", [1, 2])
def test_copies_compute_the_same(activation: Activation, layer: int) -> None:
    """Second-order points, of equal or other shares, compute what the smaller network does."""
    shape = DenseShape((3, 4, 4, 2), activation)
    flat, inputs = drawn(3, shape.num_parameters), with_ones(drawn(20, 3, seed=1))
    sources = [0, 1, 2, 3, 0, 0]
    shares = torch.tensor([0.2, 1, 1, 1, -0.5, 1.3], dtype=torch.float64)
    for chosen in (None, shares):
        larger, found = duplicated(shape, flat, layer, sources, chosen)
        torch.testing.assert_close(
            outputs(larger, found, inputs), outputs(shape, flat, inputs), rtol=1e-12, atol=1e-12
        )
    smaller, back = merged(larger, found, layer, 0, 5)
    torch.testing.assert_close(
        outputs(smaller, back, inputs), outputs(shape, flat, inputs), rtol=1e-12, atol=1e-12
    )
    shared = equalized(larger, found, layer, 0, 4)
    torch.testing.assert_close(
        outputs(larger, shared, inputs), outputs(shape, flat, inputs), rtol=1e-12, atol=1e-12
    )


def test_equal_loss_subspace_has_the_dimension_of_the_paper() -> None:
    """K n_{k+1} independent directions, along which no output changes (proposition 2 ii)."""
    shape = DenseShape((3, 4, 5, 2), "tanh")
    sources = [0, 1, 2, 3, 0, 0, 2]
    larger, found = duplicated(shape, drawn(1, shape.num_parameters), 1, sources)
    directions = equal_loss_directions(larger, 1, sources)
    assert 3 * 5 == int(torch.linalg.matrix_rank(directions))
    inputs = with_ones(drawn(20, 3, seed=1))
    moved = found + 3 * drawn(4, 15, seed=2) @ directions
    torch.testing.assert_close(
        outputs(larger, moved, inputs),
        outputs(larger, found, inputs).expand(4, -1, -1),
        rtol=1e-11,
        atol=1e-11,
    )


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_any_order_of_a_layer_is_reached_at_equal_outputs(activation: Activation, seed: int) -> None:
    """All outputs stay within 1e-10 at 1,000 points of the way to a random permutation of 16 neurons."""
    small = DenseShape((4, 15, 3, 2), activation)
    shape, point = duplicated(small, drawn(1, small.num_parameters, seed=seed), 1, [*range(15), seed])
    order = torch.randperm(16, generator=torch.Generator().manual_seed(seed)).tolist()
    path = equal_loss_path(shape, point[0], 1, (seed, 15), order)
    times = torch.linspace(0, 1, 1000, dtype=torch.float64)
    points, inputs = path.at(times), with_ones(drawn(50, 4, seed=9))
    assert torch.equal(point[0], points[0])
    permuted = [matrix.clone() for matrix in shape.layers(point)]
    permuted[0] = permuted[0][:, order]
    permuted[1][:, :, :16] = permuted[1][:, :, order]
    assert torch.equal(torch.cat([part.flatten() for part in permuted]), points[-1])
    off = outputs(shape, points, inputs) - outputs(shape, point, inputs)
    assert float(off.abs().max()) < 1e-10
    steps = (points[1:] - points[:-1]).norm(dim=1)
    assert float(steps.max()) < 1.001 * path.length / 999


@pytest.mark.slow
@pytest.mark.parametrize("num_outputs", [1, 3])
def test_zero_modes_and_saddle_index_are_those_of_the_block(num_outputs: int) -> None:
    """Points made of polished minima, of 20 teachers: one zero mode is added, and the index is predicted.

    The prediction is the nullity of the antisymmetric block, which is 1 for any number of outputs;
    proposition 1 (ii) says 3 for three outputs. Minima with weights above 15 are on their way to infinity,
    and their Hessians vanish along it; they are left out.
    """
    small, teacher = DenseShape((2, 4, num_outputs), "tanh"), DenseShape((2, 5, num_outputs), "tanh")
    loss = imitation(small, teacher, 40, 120, seed=20 + num_outputs)
    found = polished(loss, minimized(loss, drawn(40, small.num_parameters, seed=5), 1e-8, 600))
    regular = (found.gradient_norms < 1e-10) & (found.points.abs().amax(1) < 15)
    rows = regular.nonzero().flatten().tolist()
    assert len(rows) >= 20
    for k in rows[:22]:
        alone, point = loss.of_rows(torch.tensor([k])), found.points[k]
        larger, copied = duplicated(small, point.unsqueeze(0), 1, [0, 1, 2, 3, k % 4])
        above = Loss(larger, loss.inputs, alone.targets)
        before, after = spectrum(alone, point), spectrum(above, copied[0])
        block = antisymmetric_block(alone, point, 1, k % 4)
        assert float(above(copied)[1].norm()) < 1e-9
        assert 1 == block.num_zero
        assert before.num_zero + block.num_zero == after.num_zero
        assert before.num_negative + block.num_negative == after.num_negative


def test_a_point_is_critical_only_if_the_smaller_network_is() -> None:
    """A permutation point made of a network that is no minimum has the gradient that network has."""
    small = DenseShape((2, 4, 3), "tanh")
    loss = imitation(small, DenseShape((2, 5, 3), "tanh"), 1, 100, seed=1)
    point = drawn(1, small.num_parameters, seed=2)
    larger, copied = duplicated(small, point, 1, [0, 1, 2, 3, 0])
    assert float(Loss(larger, loss.inputs, loss.targets)(copied)[1].norm()) > 1e-2


def test_equal_loss_is_not_criticality() -> None:
    """Off the line of shares the loss stays and the gradient does not: proposition 1 (ii) fails so."""
    small = DenseShape((2, 4, 3), "tanh")
    loss = imitation(small, DenseShape((2, 5, 3), "tanh"), 4, 100, seed=3)
    found = polished(loss, minimized(loss, drawn(4, small.num_parameters, seed=4), 1e-8, 600))
    k = int((found.gradient_norms < 1e-10).nonzero()[0])
    larger, copied = duplicated(small, found.points[k : k + 1], 1, [0, 1, 2, 3, 0])
    above = Loss(larger, loss.inputs, loss.targets[k : k + 1])
    on_line = copied + 0.7 * critical_shares(larger, copied[0], 1, [0, 1, 2, 3, 0])
    off_line = copied + equal_loss_directions(larger, 1, [0, 1, 2, 3, 0])[:1]
    for point in (copied, on_line, off_line):
        torch.testing.assert_close(above(point)[0], found.losses[k : k + 1], rtol=1e-10, atol=0)
    assert float(above(on_line)[1].norm()) < 1e-9
    assert float(above(off_line)[1].norm()) > 1e-4


@pytest.mark.parametrize("activation", ["tanh", "softplus"])
def test_hessian_is_that_of_finite_differences(activation: Activation) -> None:
    """Second derivatives agree with differences of gradients."""
    shape = DenseShape((2, 3, 2, 2), activation)
    loss = imitation(shape, shape, 1, 50, seed=6)
    point = drawn(1, shape.num_parameters, seed=7)
    steps = 1e-5 * torch.eye(shape.num_parameters, dtype=torch.float64)
    rows = [(loss(point + step)[1] - loss(point - step)[1])[0] / 2e-5 for step in steps]
    torch.testing.assert_close(hessian(loss, point[0]), torch.stack(rows), rtol=1e-6, atol=1e-7)


def test_lowest_eigenvalues_of_a_large_network_are_those_of_the_whole(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """The Lanczos method finds what the full decomposition does."""
    shape = DenseShape((4, 8, 3), "tanh")
    loss = imitation(shape, shape, 1, 60, seed=8)
    point = drawn(shape.num_parameters, seed=9)
    whole = spectrum(loss, point)
    monkeypatch.setattr("workers.permutation_points.hessian.LARGEST_FULL", 10)
    part = spectrum(loss, point, num_lowest=6)
    assert not part.is_whole
    torch.testing.assert_close(part.values, whole.values[:6], rtol=1e-6, atol=1e-9)


@pytest.mark.parametrize(
    ("layer", "neurons"), [(0, (0, 1)), (3, (0, 1)), (1, (0, 5)), (2, (1, 1)), (1, (-1, 0))]
)
def test_layers_and_neurons_that_cannot_be_merged_are_refused(layer: int, neurons: tuple[int, int]) -> None:
    """Inputs, outputs, neurons that are not there, and a neuron with itself."""
    with pytest.raises(ValueError, match="layer"):
        DenseShape((3, 5, 4, 2)).require_hidden(layer, *neurons)


def test_a_hessian_needs_second_derivatives() -> None:
    """ReLU and float32 are refused."""
    shape = DenseShape((2, 3, 1), "relu")
    loss = imitation(shape, shape, 1, 10, seed=0)
    with pytest.raises(ValueError, match="second derivatives"):
        spectrum(loss, drawn(shape.num_parameters))
    smooth = DenseShape((2, 3, 1), "tanh")
    with pytest.raises(ValueError, match="float64"):
        spectrum(imitation(smooth, smooth, 1, 10, seed=0), drawn(smooth.num_parameters).float())


def test_paths_of_equal_loss_begin_at_permutation_points() -> None:
    """Two neurons that are not one, and what is no order of the layer, are refused."""
    shape = DenseShape((2, 3, 1), "tanh")
    point = drawn(shape.num_parameters)
    with pytest.raises(ValueError, match="not one"):
        equal_loss_path(shape, point, 1, (0, 1), [1, 0, 2])
    with pytest.raises(ValueError, match="order"):
        equal_loss_path(shape, point, 1, (0, 1), [1, 1, 2])


def test_every_pair_of_a_layer_has_its_own_way() -> None:
    """All orders of three neurons are reached from every pair that is one."""
    small = DenseShape((2, 2, 1), "tanh")
    shape, point = duplicated(small, drawn(1, small.num_parameters), 1, [0, 1, 0])
    for pair in ((0, 2), (2, 0)):
        for order in ([0, 1, 2], [2, 1, 0], [1, 0, 2], [1, 2, 0], [0, 2, 1], [2, 0, 1]):
            end = equal_loss_path(shape, point[0], 1, pair, order).corners[-1]
            assert torch.equal(shape.layers(point)[0][0, order], shape.layers(end.unsqueeze(0))[0][0])
