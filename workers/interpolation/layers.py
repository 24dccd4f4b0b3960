"""Layers of a network, for curves along which some of them move and the others stay.

Source: Adilova et al. 2023, Layer-wise linear mode connectivity.
"""

from __future__ import annotations

from typing import Literal

from jaxtyping import Float64
from torch import Tensor

from workers.architectures.program import StackedProgram
from workers.interpolation.barriers import height_above
from workers.params import ParamStack

LayerGroups = Literal["each", "cumulative"]
"""Which layers move together: one alone, or one with all before it."""


def layers_of(program: StackedProgram) -> dict[str, frozenset[str]]:
    """The layers of an architecture, in the order of its state dict, with the names of their tensors.

    A layer is a module that holds parameters or statistics itself; a norm is one of its own. What the
    outermost module holds, such as a class token, is a layer by its own name. Tied tensors belong to the
    first layer that has them. Tensors of whole numbers do not move, and belong to none.
    """
    seen: set[int] = set()
    layers: dict[str, set[str]] = {}
    for name, tensor in program.module.state_dict(keep_vars=True).items():
        if id(tensor) not in seen and tensor.is_floating_point():
            layers.setdefault(name.rpartition(".")[0] or name, set()).add(name)
        seen.add(id(tensor))
    return {layer: frozenset(names) for layer, names in layers.items()}


def layer_names(program: StackedProgram) -> tuple[str, ...]:
    """The names of the layers, in the order of the state dict."""
    return tuple(layers_of(program))


def moving_sets(program: StackedProgram, groups: LayerGroups) -> dict[str, frozenset[str]]:
    """For each layer the names of the tensors that move: its own, or with those of all layers before it.

    The last of ``cumulative`` is the whole network.
    """
    layers = layers_of(program)
    if groups == "each":
        return layers
    moving: dict[str, frozenset[str]] = {}
    so_far: frozenset[str] = frozenset()
    for layer, names in layers.items():
        so_far |= names
        moving[layer] = so_far
    return moving


def moved(params_a: ParamStack, params_b: ParamStack, moving: frozenset[str]) -> ParamStack:
    """The first networks with some of the second ones' tensors, as views.

    Raises:
        ValueError: If the networks lack one of the tensors.
    """
    unknown = sorted(moving - params_a.keys())
    if unknown:
        raise ValueError(
            f"moving names tensors that the networks lack: {', '.join(unknown)}; "
            f"there are {', '.join(params_a)}"
        )
    return {name: (params_b if name in moving else params_a)[name] for name in params_a}


def layer_barrier(
    curves: Float64[Tensor, "P A"],
    ends: Float64[Tensor, "P 2"],
    alphas: Float64[Tensor, " A"],
) -> Float64[Tensor, " P"]:
    """Height of the loss, or of the error, above the straight line between two whole networks.

    Along the curve only some layers go from A's to B's. For each pair, the maximum over the grid of

        L(alpha) - [(1 - alpha) * L(A) + alpha * L(B)]

    At 0 the curve is A's, so the result is not negative. At 1 it is not B's, unless all layers
    move; then this is ``barrier``.

    Args:
        curves: Mean loss or error at each alpha, all on the same examples.
        ends: The same of the networks A and B.
        alphas: Strictly increasing, first 0.0 and last 1.0 exactly.

    Returns:
        One barrier per pair, in the units of the curves; NaN where any figure of that pair is not finite.

    Raises:
        ValueError: If ``alphas`` is not strictly increasing from 0 to 1.

    Source:
        Adilova et al. 2023, whose layers move from one network's to the other's in this way.
    """
    return height_above(curves, ends, alphas).amax(dim=-1)
