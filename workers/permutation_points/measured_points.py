"""Measuring permutation points: the one that a path leads to, and those of higher order beside it."""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from workers.permutation_points.contrasts import (
    blocks_of,
    measured_contrasts,
    predicted_contrasts,
    steepest_plateau,
)
from workers.permutation_points.counts import partitions
from workers.permutation_points.dense import SMOOTH, DenseShape, outputs
from workers.permutation_points.duplication import (
    critical_shares,
    duplicated,
    equal_loss_directions,
    merged,
)
from workers.permutation_points.equal_loss import equal_loss_path
from workers.permutation_points.hessian import ZERO, Spectrum, spectrum
from workers.permutation_points.losses import Loss
from workers.permutation_points.pairs import nearest_kink
from workers.permutation_points.point import PermutationPoint
from workers.permutation_points.point_specs import PermutationPointsSpec
from workers.permutation_points.polish import minimized, polished
from workers.permutation_points.statements import CRITICAL, POLISHED
from workers.seeding import generator

_WATCHED_EXAMPLES = 1000
"""Examples whose outputs are watched where a path or a subspace should leave them as they are."""
_PATH_POINTS, _SUBSPACE_POINTS = 1000, 20
_MINIMIZED_TO, _MOST_EVALUATIONS = 1e-8, 2000
"""Quasi-Newton steps come first; Newton's alone lead to any critical point nearby."""


def permutation_points(
    loss: Loss,
    network: Float[Tensor, " D"],
    layer: int,
    pair: tuple[int, int],
    spec: PermutationPointsSpec,
    name: str,
) -> list[PermutationPoint]:
    """The permutation point at the end of a path, then those of higher orders that the spec asks for.

    Args:
        loss: For this network alone.
        network: The end of a path: neurons l and m of the layer have one parameter vector.
        layer: The hidden layer, from 1.
        pair: l and m.
        spec: What to measure.
        name: Names the stream of random orders and random points of equal loss.

    Raises:
        ValueError: If l and m have different parameter vectors, or second derivatives are asked of an
            activation that has none.
    """
    loss, flat = in_double(loss), network.double().unsqueeze(0)
    shape, (kept, moved) = loss.shape, pair
    shape.require_hidden(layer, kept, moved)
    if not torch.equal(flat[0, shape.neuron(layer, kept)], flat[0, shape.neuron(layer, moved)]):
        raise ValueError(
            f"neurons {kept} and {moved} of layer {layer} are not one: this is no permutation point"
        )
    if spec.hessian and shape.activation not in SMOOTH:
        raise ValueError(
            f"second derivatives need an activation that has them ({', '.join(sorted(SMOOTH))}), not "
            f"{shape.activation}; ask for hessian: false"
        )
    smaller, found = merged(shape, flat, layer, kept, moved)
    reduced = Loss(smaller, loss.inputs, loss.targets, loss.scale)
    one = kept - (moved < kept)
    sources = [one if neuron == moved else neuron - (neuron > moved) for neuron in range(shape.sizes[layer])]
    watched = loss.inputs[:, :_WATCHED_EXAMPLES]
    before = outputs(shape, flat, watched)
    base: dict[str, Any] = {"reduced_gradient_norm": float(reduced(found)[1].norm())}
    end, low = found, None
    if spec.hessian:
        near = minimized(reduced, found, _MINIMIZED_TO, _MOST_EVALUATIONS)
        clean = polished(reduced, near)
        end, low = clean.points, spectrum(reduced, clean.points[0], spec.lowest)
        base |= {
            "polished_loss": float(clean.losses[0]),
            "polished_gradient_norm": float(clean.gradient_norms[0]),
            "polish_distance": float((end - found).norm()),
        }
    points = []
    for order in range(1, spec.order + 1):
        for surplus in partitions(order, smaller.sizes[layer]):
            above = sources if order == 1 else _repeated(smaller.sizes[layer], one, surplus)
            draws = generator("permutation_point", name, order, *surplus)
            larger, point = duplicated(smaller, found, layer, above)
            whole = Loss(larger, loss.inputs, loss.targets, loss.scale)
            losses, gradients = whole(point)
            measured = base | {
                "order": order,
                "copies": tuple(part + 1 for part in surplus),
                "loss": float(losses[0]),
                "gradient_norm": float(gradients.norm()),
                "copy_deviation": float((outputs(larger, point, watched) - before).abs().max()),
                "nearest_kink": float(nearest_kink(larger, point, loss.inputs)[0])
                if shape.activation == "relu"
                else None,
                "num_zero_paper": order * larger.sizes[layer + 1],
            }
            measured |= _subspace(larger, point, layer, above, watched, draws)
            if order == 1 and spec.equal_loss:
                measured |= _way_of_equal_loss(larger, point[0], layer, pair, watched, draws)
            if low is not None:
                polished_point = duplicated(smaller, end, layer, above)[1][0]
                measured |= _gradients(
                    reduced, end[0], whole, polished_point, layer, above, measured["polished_gradient_norm"]
                )
                measured |= _curvatures(reduced, end[0], low, whole, polished_point, layer, above, spec)
            points.append(PermutationPoint(**measured))
    return points


def in_double(loss: Loss) -> Loss:
    """The same loss in float64."""
    targets = loss.targets.double() if loss.targets.is_floating_point() else loss.targets
    scale = None if loss.scale is None else loss.scale.double()
    return Loss(loss.shape, loss.inputs.double(), targets, scale)


def _repeated(width: int, first: int, surplus: tuple[int, ...]) -> list[int]:
    """Sources of a larger layer: the merged neuron has the most copies, the next ones the others."""
    copies = [(first + k) % width for k, part in enumerate(surplus) for _ in range(part)]
    return [*range(width), *copies]


def _subspace(
    shape: DenseShape,
    point: Float64[Tensor, "1 D"],
    layer: int,
    sources: list[int],
    watched: Tensor,
    draws: torch.Generator,
) -> dict[str, Any]:
    """The directions of equal loss: how many are independent, and what outputs do there."""
    directions = equal_loss_directions(shape, layer, sources)
    coefficients = torch.randn(_SUBSPACE_POINTS, len(directions), generator=draws, dtype=torch.float64)
    expected = outputs(shape, point, watched)
    off = outputs(shape, point + coefficients @ directions, watched) - expected
    return {
        "subspace_dimension": int(torch.linalg.matrix_rank(directions)),
        "subspace_deviation": float(off.abs().max() / expected.abs().max().clamp(min=1)),
    }


def _way_of_equal_loss(
    shape: DenseShape,
    point: Float64[Tensor, " D"],
    layer: int,
    pair: tuple[int, int],
    watched: Tensor,
    draws: torch.Generator,
) -> dict[str, Any]:
    """A random order of the layer, reached along a path of equal loss."""
    permutation = torch.randperm(shape.sizes[layer], generator=draws).tolist()
    path = equal_loss_path(shape, point, layer, pair, permutation)
    expected = outputs(shape, point.unsqueeze(0), watched)
    times = torch.linspace(0, 1, _PATH_POINTS, dtype=torch.float64)
    off = max(
        float((outputs(shape, path.at(part), watched) - expected).abs().max())
        for part in torch.split(times, 20)
    )
    return {
        "equal_loss_deviation": off / max(1.0, float(expected.abs().max())),
        "equal_loss_length": path.length,
    }


def _gradients(
    reduced: Loss,
    end: Float64[Tensor, " D"],
    whole: Loss,
    point: Float64[Tensor, " larger"],
    layer: int,
    sources: list[int],
    left: float,
) -> dict[str, Any]:
    """Gradients at the point, along the shares of its copies, and off that line at equal loss."""
    blocks = blocks_of(reduced, end, layer, sources)
    steepest, growth = steepest_plateau(whole.shape, layer, sources, blocks)
    shares = critical_shares(whole.shape, point, layer, sources).sum(0)
    at_point, on_line, off_line = whole_gradients(whole, [point, point + shares / 2, point + steepest])
    return {
        "point_gradient_norm": at_point,
        "critical": at_point <= CRITICAL if left <= POLISHED else None,
        "line_gradient_norm": on_line,
        "plateau_gradient_norm": off_line,
        "plateau_gradient_predicted": growth,
    }


def whole_gradients(loss: Loss, points: list[Float64[Tensor, " D"]]) -> list[float]:
    """Lengths of the gradients of one loss at several points."""
    return [float(loss(point.unsqueeze(0))[1].norm()) for point in points]


def _curvatures(
    reduced: Loss,
    end: Float64[Tensor, " D"],
    low: Spectrum,
    whole: Loss,
    point: Float64[Tensor, " larger"],
    layer: int,
    sources: list[int],
    spec: PermutationPointsSpec,
) -> dict[str, Any]:
    """Second derivatives at the point, measured, and what the reduced network predicts of them."""
    high = spectrum(whole, point, spec.lowest)
    measured = measured_contrasts(whole, point, layer, sources)
    predicted = predicted_contrasts(blocks_of(reduced, end, layer, sources), sources)
    flat = ZERO * high.largest
    both = low.is_whole and high.is_whole
    falls, falls_reduced = _falling(high), _falling(low)
    return {
        "num_zero": high.num_zero if high.is_whole else None,
        "num_zero_reduced": low.num_zero if low.is_whole else None,
        "num_zero_added": high.num_zero - low.num_zero if both else int((measured.abs() <= flat).sum()),
        "num_zero_predicted": int((predicted.abs() <= flat).sum()),
        "num_negative": falls,
        "num_negative_reduced": falls_reduced,
        "num_negative_added": high.num_negative - low.num_negative if both else int((measured < -flat).sum()),
        "num_negative_predicted": int((predicted < -flat).sum()),
        "contrast_deviation": float((measured - predicted).abs().max() / high.largest),
        "is_whole": high.is_whole,
        "largest_curvature": high.largest,
        "lowest_curvatures": tuple(high.values[: spec.lowest].tolist()),
    }


def _falling(found: Spectrum) -> int | None:
    """The saddle index; None where more directions may fall than were found."""
    return None if not found.is_whole and found.num_negative == len(found.values) else found.num_negative
