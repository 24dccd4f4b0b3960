"""What is expected of curvatures before any step: the Gauss-Newton matrix, layer by layer."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor

from workers.permutation_points import kronecker as kronecker_module
from workers.permutation_points.curvature import Limited, curvature_of
from workers.permutation_points.dense import DenseShape, outputs, with_ones
from workers.permutation_points.kronecker import Bends, Kronecker, kronecker
from workers.permutation_points.losses import Loss
from workers.permutation_points.merging import Merging
from workers.permutation_points.merging_slopes import slopes

SHAPE = DenseShape((3, 4, 5, 2), "tanh")
NUM = 3


def students(labels: bool, num_examples: int = 40) -> tuple[Loss, Tensor]:
    """Three networks and their loss, by labels or by the outputs of other networks."""
    draws = torch.Generator().manual_seed(5)
    inputs = with_ones(torch.randn(num_examples, 3, generator=draws, dtype=torch.float64))
    networks = torch.randn(NUM, SHAPE.num_parameters, generator=draws, dtype=torch.float64)
    if labels:
        return Loss(SHAPE, inputs, torch.randint(2, (num_examples,), generator=draws)), networks
    scale = torch.tensor([1.0, 2.0, 3.0], dtype=torch.float64)
    return Loss(SHAPE, inputs, outputs(SHAPE, networks.flip(0), inputs), scale), networks


def plain(num: int) -> tuple[list[Tensor], list[Tensor]]:
    """Variables that are the matrices themselves."""
    rows, columns = (
        [torch.eye(sizes[side], dtype=torch.float64).repeat(num, 1, 1) for sizes in SHAPE.layer_shapes]
        for side in (0, 1)
    )
    return rows, columns


def expected_of(loss: Loss, networks: Tensor) -> Kronecker:
    return kronecker(loss, networks, Bends.of(loss), *plain(len(networks)))


@pytest.mark.parametrize("labels", [False, True])
def test_on_one_example_the_product_of_means_is_the_gauss_newton_matrix(
    labels: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Times (J^T H J + damping) of a layer, by differentiation, the inverse gives back any vector."""
    monkeypatch.setattr(kronecker_module, "DAMPING", 1e-3)
    loss, networks = students(labels, num_examples=1)
    found = expected_of(loss, networks)
    for n in range(NUM):
        alone, flat = loss.of_rows(torch.tensor([n])), networks[n]
        jacobian = torch.func.jacrev(lambda at: outputs(SHAPE, at[None], loss.inputs)[0, :, 0])(flat)
        if labels:
            shares = torch.softmax(outputs(SHAPE, flat[None], loss.inputs)[0, :, 0], 0)
            bent = torch.diag(shares) - shares[:, None] * shares
        else:
            assert alone.scale is not None
            bent = torch.eye(2, dtype=torch.float64) * 2 / alone.scale
        whole = jacobian.T @ bent @ jacobian
        damping = 1e-3 * whole.trace() / SHAPE.num_parameters
        for k in range(SHAPE.num_layers):
            vector = torch.zeros(NUM, SHAPE.num_parameters, dtype=torch.float64)
            start, stop = SHAPE.offsets[k], SHAPE.offsets[k + 1]
            probe = torch.linspace(-1, 1, stop - start, dtype=torch.float64)
            block = whole[start:stop, start:stop] + damping * torch.eye(stop - start, dtype=torch.float64)
            vector[n, start:stop] = block @ probe
            torch.testing.assert_close(found.times(vector)[n, start:stop], probe, rtol=1e-7, atol=1e-8)


def test_a_network_has_the_same_curvature_alone_and_in_company() -> None:
    """Bit for bit, made with the others or put in the place of one of them."""
    loss, networks = students(labels=False)
    together = expected_of(loss, networks)
    index = torch.tensor([1])
    alone = expected_of(loss.of_rows(index), networks[index])
    vectors = torch.randn(NUM, SHAPE.num_parameters, generator=torch.Generator().manual_seed(1)).double()
    assert torch.equal(together.times(vectors)[1:2], alone.times(vectors[1:2]))
    assert torch.equal(together.rows(index).times(vectors[1:2]), alone.times(vectors[1:2]))
    other = expected_of(loss, networks * 1.5)
    other.renew(index, alone)
    assert torch.equal(other.times(vectors)[1:2], alone.times(vectors[1:2]))
    assert not torch.equal(other.times(vectors)[0], together.times(vectors)[0])


def test_a_network_that_diverged_stops_no_other() -> None:
    """Outputs without bound: the others have the curvature that they have alone, and all of it is finite."""
    loss, networks = students(labels=False)
    networks[1, -10:] = 1e200
    vectors = torch.ones_like(networks)
    found = expected_of(
        Loss(SHAPE, loss.inputs, loss.targets, torch.tensor([1.0, 0.0, 3.0]).double()), networks
    )
    assert found.times(vectors).isfinite().all()
    alone = expected_of(loss.of_rows(torch.tensor([0])), networks[:1])
    assert torch.equal(alone.times(vectors[:1]), found.times(vectors)[:1])


@pytest.mark.parametrize("held", [False, True])
@pytest.mark.parametrize("distance", [0.0, 0.4])
def test_variables_change_a_layer_as_their_slopes_say(held: bool, distance: float) -> None:
    """The matrices change by S dV T^T, for every change that turns no vector's length."""
    loss, networks = students(labels=False)
    relu = Loss(DenseShape(SHAPE.sizes, "relu"), loss.inputs, loss.targets, loss.scale)
    merging = Merging.of(relu, 2, [(0, 3), (4, 1), (2, 3)])
    merging = merging.holding(networks) if held else merging
    at = torch.full((NUM,), distance, dtype=torch.float64)
    variables = 1.2 * merging.variables(networks)
    rows, columns = slopes(merging, variables, at)
    change = torch.randn(variables.shape, generator=torch.Generator().manual_seed(2)).double()
    change = merging.by_variables(
        variables, at, merging.networks(variables, at) + change
    )  # along all lengths
    step = 1e-6
    ahead, behind = (merging.networks(variables + sign * step * change, at) for sign in (1, -1))
    measured = SHAPE.layers((ahead - behind) / (2 * step))
    for k, part in enumerate(SHAPE.layers(change)):
        torch.testing.assert_close(measured[k], rows[k] @ part @ columns[k].mT, rtol=1e-6, atol=1e-6)


def test_what_is_expected_stands_in_for_what_was_not_learned() -> None:
    """A long vector's curvature begins from it, and after one step its secant equation holds."""
    size = 300
    curvature = curvature_of(torch.zeros(1, size, dtype=torch.float64))
    assert isinstance(curvature, Limited)
    shape = DenseShape((28, 10, 1), "tanh")
    flat = torch.linspace(-1, 1, shape.num_parameters, dtype=torch.float64).unsqueeze(0)
    inputs = with_ones(torch.randn(20, 28, generator=torch.Generator().manual_seed(0)).double())
    loss = Loss(shape, inputs, outputs(shape, flat, inputs))
    merging = Merging.of(loss, 1, [(0, 1)])
    curvature = curvature_of(flat)
    expected = kronecker(loss, flat, Bends.of(loss), *slopes(merging, merging.variables(flat), torch.ones(1)))
    curvature.begin_from(torch.tensor([0]), expected)
    vectors = torch.ones_like(flat)
    torch.testing.assert_close(curvature.times(vectors), expected.times(vectors))
    moves, turns = flat, 2 * flat + 0.1
    curvature.learn(torch.tensor([True]), moves, turns)
    torch.testing.assert_close(curvature.times(turns), moves, rtol=1e-9, atol=1e-12)
