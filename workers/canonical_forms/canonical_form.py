"""The verb: what the networks of a cell are to one another once their units are in order."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from workers.architectures.program import StackedProgram
from workers.canonical_forms.averages import groups_of, mean_network
from workers.canonical_forms.digests import equal_networks
from workers.canonical_forms.distances import ALL, DEFAULT_MAX_BYTES, PairDistances, pairwise_distances
from workers.canonical_forms.orders import Orders, orders
from workers.canonical_forms.reading import Reader, finite_members, held, in_order
from workers.canonical_forms.specs import CanonicalSpec, Matched, Merged
from workers.datasets.inputs import Inputs
from workers.evaluation import evaluate
from workers.params import concatenate, rows
from workers.permutation.permute import PermutationStack
from workers.permutation.spec import PermutationSpec
from workers.specs import Split

NUM_BINS = 40
"""Of a histogram of distances, of equal width between the smallest and the largest before and after."""

Examples = Mapping[Split, tuple[Inputs, Int64[Tensor, " B"]]]
"""Split to prepared inputs and labels."""


@dataclass(frozen=True)
class Spread:
    """Of the distances of all pairs, per tensor: smallest, largest, mean, and how many lie in each bin."""

    smallest: tuple[float, ...]
    largest: tuple[float, ...]
    mean: tuple[float, ...]
    counts: tuple[tuple[int, ...], ...]


@dataclass(frozen=True)
class Average:
    """Mean loss in nats and error of the mean of some networks on a split."""

    members: tuple[int, ...]
    group: int
    split: Split
    num_examples: int
    loss: float
    error: float


@dataclass(frozen=True)
class CanonicalForm:
    """What was found for the networks of a cell under one treatment.

    Attributes:
        members: Positions of the networks whose numbers are finite; all that follows is of these.
        tensors: Names of the parameter tensors, and ``all``.
        edges: Per tensor, the edges of its histograms.
        before: Distances between the networks as they are.
        after: Distances with their units in order.
        near_before: Per epsilon, pairs whose distance in all parameters is smaller, as they are.
        near_after: The same with their units in order.
        equal: Classes of two networks or more that are the same in all numbers once in order.
        num_ambiguous: Networks some of whose units no key could put in order.
        averages: Per group of networks and split.
        order_seconds: Time that it took to find the orders of all networks.
    """

    members: tuple[int, ...]
    tensors: tuple[str, ...]
    edges: tuple[tuple[float, ...], ...]
    before: Spread
    after: Spread
    near_before: tuple[int, ...]
    near_after: tuple[int, ...]
    equal: tuple[tuple[int, ...], ...]
    num_ambiguous: int
    averages: tuple[Average, ...]
    order_seconds: float


def canonical_form(
    spec: CanonicalSpec,
    read: Reader,
    program: StackedProgram,
    permutations: PermutationSpec,
    examples: Examples,
    max_bytes: float = 4 * DEFAULT_MAX_BYTES,
) -> CanonicalForm | None:
    """Distances, equal and near networks, and averages under a treatment; None of fewer than two networks.

    Networks with numbers that are not finite are left out, and do not count.

    Args:
        spec: What is asked.
        read: Gives networks by their position in ``spec.networks``.
        program: Of their architecture.
        permutations: Where groups of units act.
        examples: Of every split that ``spec`` names, if it asks for averages.
        max_bytes: Half of it may hold all networks as they are, where they fit. The blocks of which distances
            are taken have a bound of their own: how they are cut shows in the last bits.

    Raises:
        ValueError: If no group of units can be permuted.
    """
    if not permutations.groups:
        raise ValueError("a canonical form is of hidden units, and this architecture has none to permute")
    read = held(read, len(spec.networks), max_bytes / 2)
    members = finite_members(read, len(spec.networks))
    if len(members) < 2:
        return None
    begun = time.perf_counter()
    whole = orders(spec.treatment, read, members, spec.networks, permutations)
    seconds = time.perf_counter() - begun
    ordered = in_order(_of_members(read, members), whole.permutation, permutations)
    parameters = [name for name, t in read(members[:1]).items() if _is_parameter(program, name, t)]
    before = pairwise_distances(read, members, parameters)
    after = before
    if spec.treatment.treatment != "raw":
        after = pairwise_distances(ordered, range(len(members)), parameters)
    edges = {name: _edges(before.by_tensor[name], after.by_tensor[name]) for name in before.names}
    return CanonicalForm(
        members=tuple(members),
        tensors=before.names,
        edges=tuple(tuple(edge.tolist()) for edge in edges.values()),
        before=_spread(before, edges),
        after=_spread(after, edges),
        near_before=_near(before, spec.epsilons),
        near_after=_near(after, spec.epsilons),
        equal=tuple(tuple(members[k] for k in same) for same in equal_networks(ordered, range(len(members)))),
        num_ambiguous=sum(units > 0 for units in whole.ambiguous_units),
        averages=tuple(_averages(spec, read, members, whole, program, permutations, examples)),
        order_seconds=seconds,
    )


def _is_parameter(program: StackedProgram, name: str, tensor: Tensor) -> bool:
    """Whether distances are of it: statistics and counters are none."""
    return tensor.is_floating_point() and name not in program.buffers


def _of_members(read: Reader, members: Sequence[int]) -> Reader:
    """A reader of the members by their position among them."""
    return lambda positions: read([members[k] for k in positions])


def _near(distances: PairDistances, epsilons: Sequence[float]) -> tuple[int, ...]:
    """Pairs nearer than each epsilon, in all parameters together.

    Source: Sorensen 2020, section 3.
    """
    return tuple(int((distances.by_tensor[ALL] < epsilon).sum()) for epsilon in epsilons)


def _edges(first: Float64[Tensor, " pairs"], second: Float64[Tensor, " pairs"]) -> Float64[Tensor, " edges"]:
    """Of bins that hold all distances of both."""
    low = float(torch.minimum(first.min(), second.min()))
    high = float(torch.maximum(first.max(), second.max()))
    return torch.linspace(low, high, NUM_BINS + 1, dtype=torch.float64)


def _spread(distances: PairDistances, edges: Mapping[str, Tensor]) -> Spread:
    """Of the distances of every tensor."""
    values = distances.by_tensor
    return Spread(
        smallest=tuple(float(of_pairs.min()) for of_pairs in values.values()),
        largest=tuple(float(of_pairs.max()) for of_pairs in values.values()),
        mean=tuple(float(of_pairs.mean()) for of_pairs in values.values()),
        counts=tuple(_counts(of_pairs, edges[name]) for name, of_pairs in values.items()),
    )


def _counts(values: Float64[Tensor, " pairs"], edges: Float64[Tensor, " edges"]) -> tuple[int, ...]:
    """How many values lie in each bin; the largest one in the last."""
    bins = torch.bucketize(values, edges, right=True).clamp_(1, NUM_BINS) - 1
    return tuple(torch.bincount(bins, minlength=NUM_BINS).tolist())


def _averages(
    spec: CanonicalSpec,
    read: Reader,
    members: Sequence[int],
    whole: Orders,
    program: StackedProgram,
    permutations: PermutationSpec,
    examples: Examples,
) -> list[Average]:
    """Every average that can be formed of so many networks, on every split."""
    asked = [
        (group, chosen)
        for size in spec.averages
        for group, chosen in enumerate(groups_of(range(len(members)), size, spec.groups))
    ]
    if not asked:
        return []
    of_members = _of_members(read, members)
    names = [spec.networks[member] for member in members]
    means = []
    for _, chosen in asked:
        own = _order_within(spec, of_members, chosen, names, whole, permutations)
        placed = in_order(_of_members(of_members, chosen), own, permutations)
        means.append(mean_network(placed, range(len(chosen))))
    stack = concatenate(means)
    found = []
    for split in spec.splits:
        inputs, labels = examples[split]
        device = labels.device
        measured = evaluate(program, {name: t.to(device) for name, t in stack.items()}, inputs, labels)
        found += [
            Average(
                members=tuple(members[k] for k in chosen),
                group=group,
                split=split,
                num_examples=len(inputs),
                loss=float(measured.losses[row]),
                error=float(measured.errors[row]),
            )
            for row, (group, chosen) in enumerate(asked)
        ]
    return found


def _order_within(
    spec: CanonicalSpec,
    read: Reader,
    chosen: Sequence[int],
    names: Sequence[str],
    whole: Orders,
    permutations: PermutationSpec,
) -> PermutationStack:
    """The orders of the networks of one average.

    What compares networks looks at those alone that are averaged; what was found for all serves where
    that is the same.
    """
    num = len(names)
    if isinstance(spec.treatment, Matched) and chosen[0] == 0:
        return rows(whole.permutation, chosen)
    if isinstance(spec.treatment, Matched | Merged) and len(chosen) < num:
        return orders(spec.treatment, read, chosen, names, permutations).permutation
    return rows(whole.permutation, chosen)
