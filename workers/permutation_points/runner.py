"""Paths as they are asked for, many as one stack: from specs, networks and examples to measured paths."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int64
from torch import Tensor

from workers.permutation_points.dense import DenseShape, outputs, with_ones
from workers.permutation_points.losses import Loss
from workers.permutation_points.pairs import ranked_pairs, silent_neurons
from workers.permutation_points.paths import DistanceSchedule, find_paths
from workers.permutation_points.specs import PermutationPathSpec
from workers.permutation_points.whole_paths import WholePath, whole_path

_DTYPES = {"float64": torch.float64, "float32": torch.float32}


@dataclass(frozen=True)
class Students:
    """Networks of one shape from which paths start, the examples, and what is minimized.

    Attributes:
        loss: One for every network, its targets what the network computes at the start, or labels.
        starts: The networks.
        labels: Classes of the examples; None where they have none.
    """

    loss: Loss
    starts: Float[Tensor, "N D"]
    labels: Int64[Tensor, " B"] | None = None

    @classmethod
    def of(
        cls,
        spec: PermutationPathSpec,
        shape: DenseShape,
        starts: Float[Tensor, "N D"],
        inputs: Float[Tensor, "B inputs"],
        labels: Int64[Tensor, " B"] | None = None,
    ) -> Students:
        """What a spec asks of networks and examples, in its precision; the first ``num_examples`` serve."""
        dtype = _DTYPES[spec.precision]
        flat, columns = starts.to(dtype), with_ones(inputs[: spec.num_examples].to(dtype))
        classes = None if labels is None else labels[: spec.num_examples]
        if spec.loss == "cross_entropy":
            assert classes is not None, "cross-entropy needs labels"
            return cls(Loss(shape, columns, classes), flat, classes)
        targets = torch.cat([outputs(shape, one.unsqueeze(0), columns) for one in flat])
        scale = targets.square().mean((1, 2)) if spec.loss == "relative_squared" else None
        return cls(Loss(shape, columns, targets, scale), flat, classes)

    def alone(self, k: int) -> Students:
        """One of the networks."""
        one = torch.tensor([k])
        return Students(self.loss.of_rows(one), self.starts[one], self.labels)


def pair_of(spec: PermutationPathSpec, student: Students) -> tuple[int, int]:
    """The two neurons of one student that a spec names, or has a rule choose.

    A rule takes neurons that are silent on all examples last.

    Raises:
        ValueError: If the layer has no pair of that rank.
    """
    if spec.pair is not None:
        return spec.pair
    assert spec.rule is not None
    assert spec.rank is not None
    silent = silent_neurons(student.loss, student.starts, spec.layer)
    ranked = ranked_pairs(student.loss.shape, student.starts[0], spec.layer, spec.rule, silent)
    if spec.rank >= len(ranked):
        raise ValueError(f"layer {spec.layer} has {len(ranked)} pairs of neurons, none of rank {spec.rank}")
    return ranked[spec.rank]


def schedule_of(spec: PermutationPathSpec) -> DistanceSchedule:
    """How the two neurons of a path are brought together."""
    if spec.variant == "penalized":
        return DistanceSchedule(
            num_steps=spec.num_steps,
            gradient_norm=spec.gradient_norm,
            max_evaluations=spec.max_evaluations,
            multipliers=spec.multipliers,
        )
    assert spec.smallest is not None
    assert spec.output_weights is not None
    return DistanceSchedule(
        num_steps=spec.num_steps,
        smallest=spec.smallest,
        gradient_norm=spec.gradient_norm,
        max_evaluations=spec.max_evaluations,
        output_weights=spec.output_weights,
    )


def find_whole_paths(students: Students, specs: Sequence[PermutationPathSpec]) -> list[WholePath]:
    """The path that each spec asks of its network, found together and measured from end to end.

    The specs differ in their networks and pairs alone. What a path is does not depend on those beside it.
    """
    pairs = [pair_of(spec, students.alone(k)) for k, spec in enumerate(specs)]
    found = find_paths(students.loss, students.starts, specs[0].layer, pairs, schedule_of(specs[0]))
    return [whole_path(students.alone(k).loss, path, students.labels) for k, path in enumerate(found)]
