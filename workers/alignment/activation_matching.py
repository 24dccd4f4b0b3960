"""Activation matching: units that vary together over examples are put together, group by group.

Sources: Li et al. 2016 (Convergent learning); Ainsworth, Hayase, Srinivasa 2022, section 3.1.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from workers.alignment.activations import (
    BYTES_PER_FLOAT,
    FLOATS_AT_ONCE,
    Place,
    Side,
    chunks,
    look,
    places_of,
    shows_units,
)
from workers.alignment.assignment import largest_sum, matched
from workers.alignment.batch import Batch
from workers.alignment.budget import Budget
from workers.alignment.examples import Examples
from workers.alignment.methods import ActivationMatching
from workers.alignment.outcome import AlignmentResult, PairAlignment
from workers.alignment.pairs import pairs_side_by_side
from workers.alignment.second_moments import calls
from workers.params import Params, row
from workers.permutation.spec import PermutationSpec

CONSTANT = 1e-12
"""Of its mean square: a unit of less variance is constant, up to the rounding of single precision."""


def match_activations(method: ActivationMatching, batch: Batch) -> AlignmentResult:
    """For every pair, the permutation of the second network whose units go best with the first's.

    For each group, S(i, j) says how unit i of the first and unit j of the second go together over all
    examples and all places where the group is to be seen, positions of images and tokens included:
    their correlation, or the mean of their products. One assignment per group maximizes

        objective = sum over groups, sum over i of S(i, P(i))

    which is exact: no permutation has more. Activations are those behind the nonlinearity, as the next
    layer reads them; networks run in evaluation mode. A unit that is constant correlates 0 with all.

    ``num_evaluations`` counts the assignments; groups for which the budget did not last stay.

    Raises:
        ValueError: If a group is to be seen at no layer.
    """
    examples = batch.required_examples(method.num_examples)
    layers = [name for name, layer in examples.program.module.named_modules() if shows_units(layer)]
    called = calls(examples, row(batch.members[0], 0), layers)
    places = places_of(examples.program, batch.spec, called)
    objective = f"activation_{method.similarity}"

    def search(first: Params, second: Params, _: str) -> PairAlignment:
        return _match_pair(method, examples, batch.spec, places, first, second, batch.max_bytes, objective)

    per_pair = min(float(FLOATS_AT_ONCE * BYTES_PER_FLOAT), batch.max_bytes)
    return pairs_side_by_side(search, batch, objective, per_pair)


def _match_pair(
    method: ActivationMatching,
    examples: Examples,
    spec: PermutationSpec,
    places: Mapping[str, tuple[Place, ...]],
    first: Params,
    second: Params,
    max_bytes: float,
    objective: str,
) -> PairAlignment:
    """What was found for one pair."""
    budget = Budget.of(method)
    moments = _joint_moments(examples, places, first, second, max_bytes, budget)
    permutation: dict[str, Tensor] = {}
    start = end = 0.0
    num_assignments, num_constant = 0, 0
    stop: str | None = None
    for group, joint in moments.items():
        similarity = (joint.correlation() if method.similarity == "correlation" else joint.product()).cpu()
        if not bool(similarity.isfinite().all()):  # activations that overflow
            return PairAlignment.non_finite(spec, objective, num_assignments)
        units = torch.arange(len(similarity))
        start += matched(similarity, units)
        stop = stop or budget.exceeded(num_assignments)
        if not stop:
            num_assignments += 1
            units = largest_sum(similarity)
        end += matched(similarity, units)
        num_constant += int(joint.is_constant()[1].sum())
        permutation[group] = units
    return PairAlignment(
        permutation=permutation,
        objective=objective,
        objective_start=start,
        objective_end=end,
        num_evaluations=num_assignments,
        outcome=stop or "exact",
        details={"num_examples": len(examples.labels), "constant_units": num_constant},
    )


@dataclass(frozen=True)
class JointMoments:
    """Of the units of one group in two networks, over samples that both saw; all in float64.

    ``squares_a`` and ``squares_b`` are sums of squares about the means, ``cross`` sums of products.
    """

    num_samples: int
    mean_a: Float64[Tensor, " W"]
    mean_b: Float64[Tensor, " W"]
    squares_a: Float64[Tensor, " W"]
    squares_b: Float64[Tensor, " W"]
    cross: Float64[Tensor, "W W"]

    @classmethod
    def of(cls, a: Float64[Tensor, "W samples"], b: Float64[Tensor, "W samples"]) -> JointMoments:
        """Those of some samples. The values are overwritten."""
        mean_a, mean_b = a.mean(1), b.mean(1)
        a -= mean_a.unsqueeze(1)
        b -= mean_b.unsqueeze(1)
        squares_a, squares_b = ((values * values).sum(1) for values in (a, b))
        return cls(a.shape[1], mean_a, mean_b, squares_a, squares_b, a @ b.mT)

    def merged(self, other: JointMoments) -> JointMoments:
        """Those of all samples of both.

        Source: Chan, Golub, LeVeque 1983, equation 2.1, and the same for products.
        """
        num = self.num_samples + other.num_samples
        share = other.num_samples / num
        scale = self.num_samples * share
        step_a, step_b = other.mean_a - self.mean_a, other.mean_b - self.mean_b
        return JointMoments(
            num_samples=num,
            mean_a=self.mean_a + share * step_a,
            mean_b=self.mean_b + share * step_b,
            squares_a=self.squares_a + other.squares_a + scale * step_a.square(),
            squares_b=self.squares_b + other.squares_b + scale * step_b.square(),
            cross=self.cross + other.cross + scale * torch.outer(step_a, step_b),
        )

    def is_constant(self) -> tuple[Tensor, Tensor]:
        """Which units of either network do not vary."""
        of_a, of_b = (
            squares <= CONSTANT * (squares + self.num_samples * mean.square())
            for squares, mean in ((self.squares_a, self.mean_a), (self.squares_b, self.mean_b))
        )
        return of_a, of_b

    def correlation(self) -> Float64[Tensor, "W W"]:
        """Pearson's correlation of every unit of a with every unit of b; 0 with those that are constant."""
        scaled = self.cross / torch.outer(self.squares_a.sqrt(), self.squares_b.sqrt())
        constant_a, constant_b = self.is_constant()
        return scaled.masked_fill(constant_a.unsqueeze(1) | constant_b, 0.0).clamp(-1.0, 1.0)

    def product(self) -> Float64[Tensor, "W W"]:
        """The mean of the products of every unit of a with every unit of b."""
        return self.cross / self.num_samples + torch.outer(self.mean_a, self.mean_b)


def _joint_moments(
    examples: Examples,
    places: Mapping[str, tuple[Place, ...]],
    first: Params,
    second: Params,
    max_bytes: float,
    budget: Budget,
) -> dict[str, JointMoments]:
    """The moments of every group over all its places; over the first examples alone if time runs out."""
    total: dict[str, JointMoments] = {}
    for inputs in chunks(examples, first, max_bytes):
        seen = [_seen(examples, params, inputs, places) for params in (first, second)]
        for (group, a), (_, b) in zip(*seen, strict=True):
            here = JointMoments.of(a, b)
            total[group] = total[group].merged(here) if group in total else here
        if budget.exceeded(0) == "max_seconds":
            break
    return {group: total[group] for group in places}


def _seen(
    examples: Examples, params: Params, inputs: Tensor, places: Mapping[str, tuple[Place, ...]]
) -> list[tuple[str, Float64[Tensor, "W samples"]]]:
    """What the groups' units show, in the order in which the network comes by."""
    at: dict[tuple[str, Side], list[tuple[str, Place]]] = {}
    for group, of_group in places.items():
        for place in of_group:
            at.setdefault((place.layer, place.side), []).append((group, place))
    seen: list[tuple[str, Tensor]] = []

    def note(layer: str, side: Side, tensor: Tensor) -> None:
        seen.extend((group, place.units(tensor)) for group, place in at[layer, side])

    look(examples.program, params, inputs, list(at), note)
    return seen
