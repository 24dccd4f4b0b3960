"""What decides one measurement of the study ``initialization``: a frozen value, free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Lt

Matching = Literal["identity", "grid", "hungarian"]
LipschitzActivation = Literal["relu", "tanh", "softplus"]
GridRule = Literal["least_bound", "rate"]


@dataclass(frozen=True, kw_only=True)
class InitializationSpec:
    """Two random networks with one hidden layer, and how their hidden units are matched.

        f(x) = v . sigma(U x),   U uniform in [-1/sqrt(d), 1/sqrt(d)],   v uniform in [-1/sqrt(h), 1/sqrt(h)]

    Attributes:
        input_dim: d.
        width: h, the hidden units.
        matching: ``identity``: unit i with unit i; ``grid``: within cells of a grid, as the proof does;
            ``hungarian``: the least sum of squared distances between input weights.
        seed: Of the two networks.
        grid_cells: Cells of the grid along each axis, or the rule that chooses them; None but for ``grid``.
            ``least_bound``: for which the proof's bound is smallest; ``rate``: h^(1/(2d+4)), rounded.
        alphas: Positions on the segment.
        num_inputs: Inputs x of length sqrt(d), drawn uniformly.
        num_draws: Output weights that are drawn for each of the two; matchings look at input weights alone.
        activation: sigma. The theorem has ReLU; of it, the proof uses that its slope is at most 1.
        delta: The theorem holds with probability 1 - delta.

    Source:
        Entezari et al. 2021, theorem 3.1 and appendix D.
    """

    input_dim: Annotated[int, Ge(1)]
    width: Annotated[int, Ge(1)]
    matching: Matching
    seed: Annotated[int, Ge(0)]
    grid_cells: GridRule | Annotated[int, Ge(1)] | None = None
    alphas: tuple[float, ...]
    num_inputs: Annotated[int, Ge(1)] = 1000
    num_draws: Annotated[int, Ge(1)] = 64
    activation: LipschitzActivation = "relu"
    delta: Annotated[float, Gt(0), Lt(1)] = 0.1


def exponent_of_bound(input_dim: int) -> float:
    """-1/(2d+4): up to logarithms, the theorem's bound falls with this power of the width.

    Source:
        Entezari et al. 2021, theorem 3.1.
    """
    return -1 / (2 * input_dim + 4)
