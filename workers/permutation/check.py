"""Whether a permuted network still computes the same function."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import torch
from jaxtyping import Float64, Int64
from torch import Tensor, nn

from workers.architectures.program import StackedProgram
from workers.device import tf32
from workers.params import ParamStack
from workers.permutation import permute
from workers.permutation.derive import example_inputs
from workers.permutation.double import DoublePrecision
from workers.permutation.operations import tensors_in
from workers.permutation.spec import PermutationSpec
from workers.permutation.stand_in import named_state, stand_in, values_of
from workers.seeding import generator, with_global_seed

TOLERANCE = {torch.float64: 1e-10, torch.float32: 1e-4}
"""Relative deviations above these mean a wrong spec: rounding stays some hundred times below."""


def relative_deviation(logits: Tensor, others: Tensor) -> Float64[Tensor, " N"]:
    """Largest difference between two sets of logits, as a fraction of the largest logit, per network.

    A network whose logits are not finite computes no function to preserve: 0 for it.
    """
    first, second = logits.flatten(1).double(), others.flatten(1).double()
    scale = first.abs().amax(dim=1).clamp_min(torch.finfo(torch.float64).tiny)
    deviation = (first - second).abs().amax(dim=1) / scale
    return torch.where(first.isfinite().all(dim=1), deviation, 0.0).cpu()


def check_function_preserved(
    program: StackedProgram,
    params: ParamStack,
    permutation: Mapping[str, Tensor],
    spec: PermutationSpec,
    inputs: Tensor,
    tolerance: float | None = None,
) -> float:
    """Worst relative deviation of the permuted networks' logits; ValueError if it exceeds the tolerance.

    Args:
        program: The forward pass.
        params: A stack; unchanged.
        permutation: Indices of shape (N, W); absent groups stay.
        spec: The spec to be checked.
        inputs: Some prepared inputs; a few dozen examples are enough.
        tolerance: Default by the precision of the logits: ``TOLERANCE``.
    """
    with torch.no_grad(), tf32(False):
        logits = program.logits(params, inputs)
        permuted = program.logits(permute.apply(params, permutation, spec), inputs)
    deviation = relative_deviation(logits, permuted)
    allowed = TOLERANCE[logits.dtype] if tolerance is None else tolerance
    worst = int(deviation.argmax())
    # written so that a NaN, a permuted network that broke, is refused too
    if not float(deviation[worst]) <= allowed:
        raise ValueError(
            f"a permuted network must compute the same function: network {worst} of {len(deviation)} differs "
            f"by {float(deviation[worst]):.3g} of its largest logit, allowed is {allowed:.3g}; the "
            f"permutation spec (groups {', '.join(spec.groups)}) does not fit this architecture"
        )
    return float(deviation[worst])


def check_spec(
    module: nn.Module,
    spec: PermutationSpec,
    example_input: Tensor | tuple[Tensor, ...] | None = None,
    tolerance: float = TOLERANCE[torch.float64],
) -> float:
    """Worst relative deviation of the module's outputs when every group of the spec is permuted.

    Weights are drawn at random in float64, norms and their statistics included, and so are inputs; the
    module runs in eval mode. What is drawn depends on nothing but the spec.

    Args:
        module: On any device, ``meta`` included; unchanged.
        spec: The spec to be checked.
        example_input: As in ``derive_permutation_spec``.
        tolerance: Deviations are measured as a fraction of the largest output.

    Raises:
        ValueError: If the outputs differ, naming the groups that alone make them differ; or if they are
            not finite, so that nothing can be told from them.
    """
    kind = type(module).__name__
    spec.validate({name: tuple(tensor.shape) for name, tensor in named_state(module).items()})
    copied, state = stand_in(module, _draw)
    copied.double()
    inputs = tuple(_random_input(tensor, k) for k, tensor in enumerate(example_inputs(module, example_input)))
    weights = {name: tensor.detach().clone().unsqueeze(0) for name, tensor in state.items()}
    reference = _outputs(copied, inputs)
    if not reference.isfinite().all():
        raise ValueError(
            f"the permutation spec of {kind} cannot be checked: its outputs for random weights are not finite"
        )
    everything = {
        group: _moving(index).unsqueeze(0) for group, index in permute.random(spec, "check_spec").items()
    }

    def deviation(permutation: Mapping[str, Tensor]) -> float:
        for name, tensor in permute.apply(weights, permutation, spec).items():
            state[name].data.copy_(tensor[0])
        return float(relative_deviation(reference, _outputs(copied, inputs)))

    worst = deviation(everything)
    if not worst <= tolerance:
        guilty = [group for group in spec.groups if not deviation({group: everything[group]}) <= tolerance]
        raise ValueError(
            f"a permuted network must compute the same function: {kind} differs by {worst:.3g} of its "
            f"largest output, allowed is {tolerance:.3g}; in its permutation spec, "
            f"group {', '.join(guilty or spec.groups)} is wrong"
        )
    return worst


def _moving(index: Int64[Tensor, " W"]) -> Int64[Tensor, " W"]:
    """The permutation itself, or a step around if it moves nothing, as every second one of two units does."""
    moves = not torch.equal(index, torch.arange(len(index)))
    return index if moves else index.roll(1)


def _draw(name: str | None, tensor: Tensor) -> Tensor:
    """Random values in place of a tensor's own: weights of unit gain, all else about 1, masks as they are."""
    if name is None or not tensor.is_floating_point():
        return values_of(tensor).double() if tensor.is_floating_point() else values_of(tensor)
    stream = generator("check_spec", name)
    if isinstance(tensor, nn.Parameter) and tensor.ndim > 1:
        fan_in = max(1, tensor.numel() // tensor.shape[0])
        return torch.randn(tensor.shape, generator=stream, dtype=torch.float64) / math.sqrt(fan_in)
    if not isinstance(tensor, nn.Parameter) and not values_of(tensor).isfinite().all():
        return values_of(tensor).double()
    return 0.5 + torch.rand(tensor.shape, generator=stream, dtype=torch.float64)


def _random_input(example: Tensor, number: int) -> Tensor:
    """An input of the example's shape; whole numbers stay as they are."""
    if not example.is_floating_point():
        return values_of(example)
    stream = generator("check_spec", "input", number)
    return torch.randn(example.shape, generator=stream, dtype=torch.float64)


def _outputs(module: nn.Module, inputs: tuple[Tensor, ...]) -> Tensor:
    """All floating-point outputs in a row, as a stack of one."""

    def run() -> Any:
        with torch.no_grad(), DoublePrecision():  # type: ignore[no-untyped-call]
            return module(*(tensor.clone() for tensor in inputs))

    # what draws in eval mode shall draw the same each time
    outputs = with_global_seed(0, run)
    found: list[Tensor] = [tensor.flatten().double() for tensor in tensors_in(outputs)]
    return torch.cat(found).unsqueeze(0)
