"""Whether a permuted network still computes the same function."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float64
from torch import Tensor

from workers.architectures.program import StackedProgram
from workers.params import ParamStack
from workers.permutation import permute
from workers.permutation.spec import PermutationSpec

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
