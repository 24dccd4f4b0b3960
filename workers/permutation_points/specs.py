"""What a path to a permutation point is asked to be: frozen values, free of torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Literal

from annotated_types import Ge, Gt, Le, Lt

from workers.permutation_points.point_specs import PermutationPointsSpec

Activation = Literal["relu", "tanh", "softplus"]
PairRule = Literal["cosine", "distance"]
PathLoss = Literal["squared", "relative_squared", "cross_entropy"]
OutputWeights = Literal["free", "held"]
Precision = Literal["float64", "float32"]
Variant = Literal["constrained", "penalized"]


@dataclass(frozen=True, kw_only=True)
class RandomTeacher:
    """A network with random weights, and the random points on which a student imitates it.

    Points are standard normal. So is every weight and bias: the paper says nothing of its teacher's.

    Attributes:
        inputs, hidden, outputs: Neurons; ``hidden`` has an entry for each hidden layer.
        activation: Of the hidden layers.
        num_points: Examples.
        points_seed: Of the stream that points are drawn from: teachers share them, and so one stack.
        seed: Of the stream that weights are drawn from.

    Source:
        Brea et al. 2019, caption of figure 2: two inputs, five ReLU, one output, 1,000 points.
    """

    inputs: Annotated[int, Ge(1)] = 2
    hidden: tuple[Annotated[int, Ge(1)], ...] = (5,)
    outputs: Annotated[int, Ge(1)] = 1
    activation: Activation = "relu"
    num_points: Annotated[int, Ge(1)] = 1000
    points_seed: Annotated[int, Ge(0)] = 0
    seed: Annotated[int, Ge(0)]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Neurons of all layers, inputs and outputs included."""
        return (self.inputs, *self.hidden, self.outputs)


@dataclass(frozen=True, kw_only=True)
class PermutationPathSpec:
    """One path: everything that decides its numbers.

    Attributes:
        teacher: A random network to start from; None where ``networks`` names a trained one.
        networks: The id of that one.
        loss: What is minimized. ``squared``: the mean over examples of |f(x) - y|^2, where y is what the
            network computed at the start; ``relative_squared``: that, divided by the mean square of an
            entry of y; ``cross_entropy``: by the labels that the network was trained on.
        num_examples: The first so many training examples; None: all. Of a random network, its points.
        layer: The hidden layer, from 1, in which two neurons become one.
        pair: These two, or None where ``rule`` chooses them.
        rule, rank: Of all pairs of the layer, ordered from the most alike (silent neurons last), the one of
            this rank, from 0.
        variant: ``constrained``: the distance is fixed, by a schedule. ``penalized``: its square costs.
        num_steps: Distances above 0, or multipliers of the penalty; then distance 0 follows.
        smallest: The last distance, as a share of the first. Of ``constrained``.
        output_weights: Those of the two neurons are ``free``, or ``held`` at the length that they have
            together at the start, as long as there is a distance; with ReLU the lengths of the parameter
            vectors below are held then, too. Of ``constrained``.
        multipliers: The smallest above 0 and the largest of the penalty. Of ``penalized``.
        gradient_norm: Every minimization ends where the gradient is as short.
        max_evaluations: Of loss and gradient, at most, in one minimization.
        precision: Of all numbers.
        points: What is measured at the end, where the two neurons are one; None: nothing further.
    """

    teacher: RandomTeacher | None = None
    networks: tuple[str, ...] = ()
    loss: PathLoss
    num_examples: Annotated[int, Ge(1)] | None = None
    layer: Annotated[int, Ge(1)]
    pair: tuple[Annotated[int, Ge(0)], Annotated[int, Ge(0)]] | None = None
    rule: PairRule | None = None
    rank: Annotated[int, Ge(0)] | None = None
    variant: Variant = "constrained"
    num_steps: Annotated[int, Ge(2), Le(10_000)]
    smallest: Annotated[float, Gt(0), Lt(1)] | None = None
    output_weights: OutputWeights | None = None
    multipliers: tuple[Annotated[float, Gt(0)], Annotated[float, Gt(0)]] | None = None
    gradient_norm: Annotated[float, Gt(0)]
    max_evaluations: Annotated[int, Ge(1)]
    precision: Precision = "float64"
    points: PermutationPointsSpec | None = None
