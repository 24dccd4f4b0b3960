"""What holds the ends of a line apart."""

from __future__ import annotations

from typing import NamedTuple

import torch
from jaxtyping import Float, Float64
from torch import Tensor


class Pull(NamedTuple):
    """Factors of the regularizer's gradient, per line: at a it is across * b + first * a, at b likewise."""

    across: Float[Tensor, "N 1"]
    first: Float[Tensor, "N 1"]
    second: Float[Tensor, "N 1"]

    def to(self, like: Tensor) -> Pull:
        """The same, of a tensor's type and on its device."""
        return Pull(*(factor.to(like) for factor in self))


def pull(
    products: Float64[Tensor, "3 N"], strengths: Float64[Tensor, " N"], powers: Float64[Tensor, " N"]
) -> Pull:
    """The gradient of strength * c ** power, where c = <a, b> / (|a| |b|) is the cosine of the ends.

    With s = strength * power * c ** (power - 1), the gradient at a is

        s / (|a| |b|) * b - s * c / |a|^2 * a

    and that at b likewise. Where an end is zero, c has no gradient, and there is no pull.

    Args:
        products: <a, b>, <a, a> and <b, b> of every line.
        strengths: Per line.
        powers: 1 or 2 per line.

    Source:
        Wortsman et al. 2021, equation 3, where the power is 2.
    """
    across, of_first, of_second = products
    norms = (of_first * of_second).sqrt()
    lies = norms > 0
    norms = torch.where(lies, norms, 1.0)
    cosine = across / norms
    slope = torch.where(lies, strengths * powers * cosine ** (powers - 1), 0.0)
    return Pull(
        (slope / norms).unsqueeze(1),
        (-slope * cosine / torch.where(lies, of_first, 1.0)).unsqueeze(1),
        (-slope * cosine / torch.where(lies, of_second, 1.0)).unsqueeze(1),
    )
