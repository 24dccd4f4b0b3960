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
from workers.permutation.drawn import NUM_DRAWS, Inputs, inputs_to_try, weights_of_draw
from workers.permutation.operations import tensors_in
from workers.permutation.spec import PermutationSpec
from workers.permutation.stand_in import first_line, named_state, stand_in
from workers.seeding import with_global_seed

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
    example_input: Tensor | tuple[Tensor | None, ...] | None = None,
    tolerance: float = TOLERANCE[torch.float64],
) -> float:
    """Worst relative deviation of the module's outputs when every group of the spec is permuted.

    Weights are drawn at random in float64, norms and their statistics included, and so are inputs; the
    module runs in eval mode. What is drawn depends on nothing but the spec.

    Args:
        module: On any device, ``meta`` included; unchanged.
        spec: The spec to be checked.
        example_input: As in ``derive_permutation_spec``.
        tolerance: Deviations are measured entry by entry, as fractions of what is usual in a tensor.

    Raises:
        ValueError: If the outputs differ, naming the groups that alone make them differ; or if they are
            not finite or always the same, so that nothing can be told from them.
    """
    kind = type(module).__name__
    spec.validate({name: tuple(tensor.shape) for name, tensor in named_state(module).items()})
    copied, state, weights, inputs = _revealing(module, example_inputs(module, example_input))
    reference = _outputs(copied, inputs, state, weights)
    everything = {
        group: _moving(index).unsqueeze(0) for group, index in permute.random(spec, "check_spec").items()
    }

    def deviation(permutation: Mapping[str, Tensor]) -> float:
        others = _outputs(copied, inputs, state, permute.apply(weights, permutation, spec))
        if [one.shape for one in reference] != [one.shape for one in others]:
            return math.inf
        return max(map(_deviation, reference, others))

    worst = deviation(everything)
    if not worst <= tolerance:
        guilty = [group for group in spec.groups if not deviation({group: everything[group]}) <= tolerance]
        raise ValueError(
            f"a permuted network must compute the same function: {kind} differs by {worst:.3g} of its "
            f"outputs, allowed is {tolerance:.3g}; in its permutation spec, "
            f"group {', '.join(guilty or spec.groups)} is wrong"
        )
    return worst


def _revealing(
    module: nn.Module, examples: Inputs
) -> tuple[nn.Module, dict[str, Tensor], ParamStack, Inputs]:
    """A copy, its state, random values for it, and inputs for which its outputs then say something.

    Raises:
        ValueError: If it fails on the example, or no draw gives outputs that are finite and vary.
    """
    kind = type(module).__name__
    any_finite = False
    for draw in range(NUM_DRAWS):
        copied, state = stand_in(module, weights_of_draw(draw))
        copied.double()
        weights = {
            name: tensor.detach().clone().unsqueeze(0)
            for name, tensor in state.items()
            if tensor.layout == torch.strided
        }
        best: tuple[float, Inputs] | None = None
        error: Exception | None = None
        for inputs in inputs_to_try(module, examples):
            try:
                outputs = _outputs(copied, inputs, state, weights)
            except Exception as raised:  # it may not take such inputs
                error = raised
                continue
            if not outputs:
                raise ValueError(
                    f"the permutation spec of {kind} cannot be checked: its forward pass returns no "
                    "tensor, nor lists, dicts or dataclasses of any"
                )
            finite = torch.cat([one.isfinite() for one in outputs]).double()
            any_finite = any_finite or bool(finite.any())
            share = float(finite.mean())
            if any(map(_varies, outputs)) and (best is None or share > best[0]):
                best = share, inputs
                if share == 1:
                    break
        if best is not None:
            return copied, state, weights, best[1]
        if error is not None and not any_finite:
            raise ValueError(f"{kind} fails on the example input: {first_line(error)}") from error
    why = "are the same whatever its inputs are" if any_finite else "are not finite"
    raise ValueError(
        f"the permutation spec of {kind} cannot be checked: its outputs for random weights {why}"
    )


def _varies(output: Float64[Tensor, " F"]) -> bool:
    """Whether an output has finite entries that differ, or one alone that is not zero."""
    finite = output[output.isfinite()]
    return bool((finite != (0.0 if len(output) == 1 else finite[:1])).any())


def _deviation(output: Float64[Tensor, " F"], other: Float64[Tensor, " F"]) -> float:
    """Largest difference of two entries, as a fraction of the entry, or of a usual one if that is larger.

    A usual entry is the median of all values that occur, so that what masks entries counts once.
    Entries that are finite in neither say nothing; one that is finite in one of them says it all.
    """
    neither = ~output.isfinite() & ~other.isfinite()
    sizes = output[output.isfinite() & (output != 0)].abs().unique()
    usual = sizes.median() if len(sizes) else torch.tensor(1.0, dtype=torch.float64)
    deviation = (output - other).abs() / output.abs().clamp_min(usual)
    deviation = deviation.where(output.isfinite() & other.isfinite(), torch.inf)
    return float(deviation.where(~neither, 0.0).amax()) if len(output) else 0.0


def _moving(index: Int64[Tensor, " W"]) -> Int64[Tensor, " W"]:
    """The permutation itself, or a step around if it moves nothing, as every second one of two units does."""
    moves = not torch.equal(index, torch.arange(len(index)))
    return index if moves else index.roll(1)


def _outputs(
    module: nn.Module, inputs: Inputs, state: Mapping[str, Tensor], weights: ParamStack
) -> list[Float64[Tensor, " F"]]:
    """All outputs in double precision for these values of its state, each in a row; complex ones as pairs."""
    for name, tensor in weights.items():
        state[name].data.copy_(tensor[0])

    def run() -> Any:
        with torch.no_grad(), DoublePrecision():  # type: ignore[no-untyped-call]
            return module(*(None if tensor is None else tensor.clone() for tensor in inputs))

    # what draws in eval mode shall draw the same each time
    outputs = tensors_in(with_global_seed(0, run))
    reals = (torch.view_as_real(one.resolve_conj()) if one.is_complex() else one for one in outputs)
    return [one.flatten().double() for one in reals]
