"""REPAIR of multilayer perceptrons: the pass of ``workers.interpolation.repair``, many networks at once.

The pre-activations of the first layer are linear in the weights, so their products are formed for the
endpoints alone, and serve all alphas.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

from workers.architectures.mlp import MLPProgram
from workers.device import map_on_threads
from workers.evaluation import CHUNK_FLOATS
from workers.interpolation.moments import Affine, Moments, affine_to, average, mixed, moments
from workers.params import ParamStack, concatenate, num_networks

LayerMoments = list[Moments]
"""Of every hidden layer, units (P, W)."""


def repaired_mlps(
    program: MLPProgram, params_a: ParamStack, params_b: ParamStack, batches: Sequence[Tensor]
) -> Callable[[Sequence[float]], ParamStack]:
    """For some alphas the corrected networks, the pairs of each together."""
    num_pairs = num_networks(params_a)
    largest = max(len(batch) for batch in batches)
    at_once = max(1, CHUNK_FLOATS // (2 * program.width * largest))
    chunks = [slice(start, start + at_once) for start in range(0, num_pairs, at_once)]

    def states(alphas: Sequence[float]) -> ParamStack:
        def correct(pairs: slice) -> list[ParamStack]:
            a, b = ({name: p[pairs] for name, p in params.items()} for params in (params_a, params_b))
            return _repaired(program, a, b, alphas, batches)

        parts = map_on_threads(correct, chunks)
        return concatenate([concatenate(of_alpha) for of_alpha in zip(*parts, strict=True)])

    return states


def _repaired(
    program: MLPProgram, a: ParamStack, b: ParamStack, alphas: Sequence[float], batches: Sequence[Tensor]
) -> list[ParamStack]:
    """One stack of pairs for each alpha, by one thread."""
    inner = [alpha for alpha in alphas if alpha not in (0.0, 1.0)]
    thetas = {alpha: _theta(a, b, alpha) for alpha in inner}
    aligned = {alpha: program.aligned(params) for alpha, params in thetas.items()}
    aligned_a, aligned_b = program.aligned(a), program.aligned(b)
    own: dict[float, list[LayerMoments]] = {alpha: [] for alpha in inner}
    of_a: list[LayerMoments] = []
    of_b: list[LayerMoments] = []
    for inputs in batches if inner else ():
        first_a, first_b = (program.first_preactivation(params, inputs) for params in (aligned_a, aligned_b))
        of_a.append(list(_pass(program, aligned_a, first_a.clone(), None)))
        of_b.append(list(_pass(program, aligned_b, first_b.clone(), None)))
        for alpha in inner:
            wanted = [mixed(x, y, alpha) for x, y in zip(of_a[-1], of_b[-1], strict=True)]
            between = torch.lerp(first_a, first_b, alpha)
            own[alpha].append(list(_pass(program, aligned[alpha], between, wanted)))
    corrected = {}
    for alpha in inner:
        affines = [
            affine_to(mixed(average(x), average(y), alpha), average(z))
            for x, y, z in zip(_by_layer(of_a), _by_layer(of_b), _by_layer(own[alpha]), strict=True)
        ]
        corrected[alpha] = _folded(program, thetas[alpha], affines)
    return [a if alpha == 0.0 else b if alpha == 1.0 else corrected[alpha] for alpha in alphas]


def _theta(a: ParamStack, b: ParamStack, alpha: float) -> ParamStack:
    """The networks at alpha."""
    return {name: torch.lerp(a[name], b[name], alpha) for name in a}


def _by_layer(batches: list[LayerMoments]) -> list[tuple[Moments, ...]]:
    """For each layer its moments on all batches."""
    return list(zip(*batches, strict=True))


def _pass(
    program: MLPProgram, params: ParamStack, preactivation: Tensor, wanted: LayerMoments | None
) -> Iterator[Moments]:
    """The moments of every hidden layer, each set to those wanted before the next one sees it.

    Args:
        program: The architecture.
        params: The networks, aligned.
        preactivation: Of the first layer; overwritten.
        wanted: Moments of the same batch; without them nothing is corrected.
    """
    hidden = preactivation
    for layer in range(program.depth):
        if layer > 0:
            weight, bias = params[f"layers.{layer}.weight"], params[f"layers.{layer}.bias"]
            hidden = torch.baddbmm(bias.unsqueeze(-1), weight, hidden.relu_())
        found = moments(hidden, [0, 1])
        if wanted is not None:
            affine = affine_to(wanted[layer], found)
            scale, shift = (part.to(hidden.dtype).unsqueeze(-1) for part in (affine.scale, affine.shift))
            hidden = torch.addcmul(shift, hidden, scale)
        yield found


def _folded(program: MLPProgram, params: ParamStack, affines: Sequence[Affine]) -> ParamStack:
    """The networks with a scale and a shift of every hidden unit in their weights and biases."""
    folded = dict(params)
    for layer, affine in enumerate(affines):
        scale, shift = (part[:, : program.width] for part in (affine.scale, affine.shift))
        weight, bias = params[f"layers.{layer}.weight"], params[f"layers.{layer}.bias"]
        folded[f"layers.{layer}.weight"] = (weight * scale.unsqueeze(-1)).to(weight.dtype)
        folded[f"layers.{layer}.bias"] = (bias * scale + shift).to(bias.dtype)
    return folded
