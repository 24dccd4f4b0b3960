"""Functional difference: units whose incoming weights differ least, where what they read varies.

Sources: He, Zhou, Thiele 2018 (Multi-task zipping); Entezari et al. 2021, appendix B, equation 2.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from jaxtyping import Float64
from torch import Tensor

from workers.alignment.assignment import matched, nearest_first, smallest_sum
from workers.alignment.batch import Batch
from workers.alignment.budget import Budget
from workers.alignment.deciding_layers import Plan, groups_along, planned
from workers.alignment.examples import Examples
from workers.alignment.methods import FunctionalDifference
from workers.alignment.outcome import AlignmentResult, PairAlignment
from workers.alignment.pairs import pairs_side_by_side
from workers.alignment.second_moments import parallel_sum, second_moments
from workers.params import Params
from workers.permutation import permute
from workers.permutation.spec import PermutationSpec

OBJECTIVE = "functional_difference"


def match_functions(method: FunctionalDifference, batch: Batch) -> AlignmentResult:
    """For every pair, the permutation of the second network that the differences of its units say.

    Groups are decided one after another from the input on. Of a layer that gives a group out, with what
    it reads permuted as decided before,

        delta(i, j) = 1/2 (a_i - b_j)^T (H_A^-1 + H_B^-1)^-1 (a_i - b_j)

    where a_i and b_j are the incoming weights of unit i of the first and j of the second network, bias
    included, and H the second moments of what the layer reads in either, a 1 for the bias included; where
    those are singular, as with pixels that never vary, the parallel sum stands for the inverse. Where
    both read the same, it is a quarter of the mean square of the difference of the two units' outputs.
    Weights are taken as they are: scales of a norm behind the layer do not enter.

    The deltas of several layers that give out one group are added. A group that is given out by layers
    that depend on it, as a residual stream is, is decided by those of its layers whose inputs are decided.

    The objective is the sum over groups of the deltas of matched units, each with the groups before as
    they were decided; at the start, with everything in its place. ``num_evaluations`` counts groups
    decided; if the identity has a smaller sum in the end, it is kept.

    Raises:
        ValueError: If no linear or convolutional layer gives a group out, or a layer reads so much
            that its moments do not fit into the batch's ``max_bytes``.
    """
    examples = batch.required_examples(method.num_examples)
    first = {name: tensor[0] for name, tensor in batch.members[0].items()}
    plan = planned(examples, first, batch.spec, batch.max_bytes)

    def search(first: Params, second: Params, _: str) -> PairAlignment:
        return _match_pair(method, _Pair(examples, batch.spec, plan, first, second, batch.max_bytes))

    return pairs_side_by_side(search, batch, OBJECTIVE, plan.num_bytes)


@dataclass(frozen=True)
class _Pair:
    """Two networks, and what is known of what their layers read."""

    examples: Examples
    spec: PermutationSpec
    plan: Plan
    first: Params
    second: Params
    max_bytes: float
    known: dict[str, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def moments(self, layer: str) -> tuple[Tensor, Tensor]:
        """Second moments of what a layer reads in both networks, kept if there is room for all layers."""
        if layer in self.known:
            return self.known[layer]
        wanted = (
            list(dict.fromkeys(name for names in self.plan.deciding.values() for name in names))
            if self.plan.is_kept
            else [layer]
        )
        a, b = (
            second_moments(self.examples, params, wanted, self.max_bytes)
            for params in (self.first, self.second)
        )
        self.known.clear()
        self.known.update({name: (a[name], b[name]) for name in wanted})
        return self.known[layer]

    def metric(self, layer: str, permutation: Mapping[str, Tensor]) -> Float64[Tensor, "D D"]:
        """(H_A^-1 + H_B^-1)^-1 of a layer, what the second network's reads permuted."""
        own, other = self.moments(layer)
        if not bool((own + other).isfinite().all()):
            return torch.full_like(own, math.nan)  # networks that overflow on the examples
        if not groups_along(self.spec, layer, 1):
            return (own + other) / 4  # both read the inputs themselves
        index = self._index(layer, permutation)
        return parallel_sum(own, other[index][:, index])

    def incoming(
        self, group: str, layer: str, permutation: Mapping[str, Tensor]
    ) -> list[tuple[Float64[Tensor, "W block D"], Float64[Tensor, "W block D"]]]:
        """Weights and biases of a group's units in both networks, one entry per segment of the group."""
        index = self._index(layer, permutation)
        rows_a, rows_b = (_rows(params, layer) for params in (self.first, self.second))
        rows_b = rows_b[:, index]
        found, start = [], 0
        for segment in self.spec.axes[f"{layer}.weight", 0]:
            if segment.group == group:
                a, b = (
                    rows.narrow(0, start, segment.length).reshape(segment.num_units, segment.block, -1)
                    for rows in (rows_a, rows_b)
                )
                found.append((a, b))
            start += segment.length
        return found

    def _index(self, layer: str, permutation: Mapping[str, Tensor]) -> Tensor:
        """Where a layer of the permuted second network finds what it reads, bias included."""
        weight = self.first[f"{layer}.weight"]
        entries = torch.arange(weight[0].numel()).reshape(weight.shape[1], -1)
        segments = self.spec.axes.get((f"{layer}.weight", 1))
        placed = {group: index.unsqueeze(0) for group, index in permutation.items()}
        if segments is not None and placed:
            entries = entries[permute.axis_index(segments, placed)[0]]
        index = entries.flatten()
        return torch.cat([index, index.new_tensor([len(index)])]) if _has_bias(self.first, layer) else index


def _match_pair(method: FunctionalDifference, pair: _Pair) -> PairAlignment:
    """What was found for one pair."""
    budget = Budget.of(method)
    identity = {group: torch.arange(units) for group, units in pair.spec.groups.items()}
    decided: dict[str, Tensor] = {}
    start = end = 0.0
    num_decided, stop = 0, None
    for group, layers in pair.plan.deciding.items():
        in_place, deltas = _deltas(pair, group, layers, ({}, decided))
        if not bool((in_place + deltas).isfinite().all()):
            return PairAlignment.non_finite(pair.spec, OBJECTIVE, num_decided)
        start += matched(in_place, identity[group])
        stop = stop or budget.exceeded(num_decided)
        if stop:
            decided[group] = identity[group]
        else:
            num_decided += 1
            decided[group] = (nearest_first if method.assignment == "greedy" else smallest_sum)(deltas)
        end += matched(deltas, decided[group])
    is_exact = method.assignment == "hungarian" and len(decided) == 1
    return PairAlignment(
        permutation={group: decided[group] if end <= start else identity[group] for group in identity},
        objective=OBJECTIVE,
        objective_start=start,
        objective_end=min(start, end),
        num_evaluations=num_decided,
        outcome=stop or ("exact" if is_exact else "steps_done"),
        details={
            "num_examples": len(pair.examples.labels),
            "order": list(pair.plan.deciding),
            "identity_kept": end > start,
        },
    )


def _deltas(
    pair: _Pair, group: str, layers: tuple[str, ...], permutations: Sequence[Mapping[str, Tensor]]
) -> list[Float64[Tensor, "W W"]]:
    """The differences of all units of both networks, under each of some permutations of the groups before."""
    units = pair.spec.groups[group]
    totals = [torch.zeros(units, units, dtype=torch.float64) for _ in permutations]
    for layer in layers:
        for total, permutation in zip(totals, permutations, strict=True):
            metric = pair.metric(layer, permutation)
            for a, b in pair.incoming(group, layer, permutation):
                weighted_a, weighted_b = a @ metric, b @ metric
                norm_a, norm_b = (weighted_a * a).sum((1, 2)), (weighted_b * b).sum((1, 2))
                total += (norm_a.unsqueeze(1) + norm_b) / 2 - weighted_a.flatten(1) @ b.flatten(1).mT
    return [total.clamp(min=0.0) for total in totals]


def _rows(params: Params, layer: str) -> Float64[Tensor, "rows D"]:
    """A layer's weight, one row per output, the bias at the end where there is one."""
    rows = params[f"{layer}.weight"].double().cpu().flatten(1)
    if _has_bias(params, layer):
        rows = torch.cat([rows, params[f"{layer}.bias"].double().cpu().unsqueeze(1)], dim=1)
    return rows


def _has_bias(params: Params, layer: str) -> bool:
    """Whether a layer has a bias."""
    return f"{layer}.bias" in params
