"""Two networks to be matched weight by weight: the objective, and the gains of one group."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from workers.params import Params
from workers.permutation import permute
from workers.permutation.permute import PermutationStack
from workers.permutation.spec import PermutationSpec, Segment

Indices = dict[int, Tensor]
"""Axis of a parameter to the index into it that the permutations amount to."""


@dataclass(frozen=True)
class Term:
    """What a parameter contributes to the gains of a group, and where its other axes lay then."""

    values: Float64[Tensor, "W W"]
    others: Indices


Terms = dict[tuple[str, int, str], Term]
"""(parameter, axis, group) to the latest term."""


@dataclass(frozen=True)
class MatchingProblem:
    """Two networks in float64, and which groups' gains depend on which.

    ``axes`` has, for each group, every (parameter, axis, segments) on which it acts. Permutations are
    stacks of one here. They may be partial: what an absent group permutes is then left out of the gains.
    """

    first: Params
    second: Params
    spec: PermutationSpec
    axes: Mapping[str, tuple[tuple[str, int, tuple[Segment, ...]], ...]]
    coupled: Mapping[str, frozenset[str]]
    scale: float

    @classmethod
    def of(cls, first: Params, second: Params, spec: PermutationSpec) -> MatchingProblem:
        """The problem on the parameters that are permuted; others would add a constant.

        Buffers do not enter: statistics follow from the weights and the data, and their scale would
        drown what the weights say.
        """
        names = sorted({name for name, _ in spec.axes} & first.keys() - spec.buffers)
        a, b = ({name: params[name].double().cpu() for name in names} for params in (first, second))
        axes = {group: tuple(on for on in spec.axes_of(group) if on[0] in a) for group in spec.groups}
        coupled: dict[str, set[str]] = {group: set() for group in spec.groups}
        for group, acts_on in axes.items():
            for name, axis, _ in acts_on:
                for other in range(a[name].ndim):
                    if other != axis:
                        coupled[group] |= {s.group for s in spec.axes.get((name, other), ()) if s.group}
        scale = torch.tensor([[float(p.square().sum()) for p in params.values()] for params in (a, b)])
        return cls(
            first=a,
            second=b,
            spec=spec,
            axes=axes,
            coupled={group: frozenset(others) for group, others in coupled.items()},
            scale=float(scale.sum(dim=1).sqrt().prod()),
        )

    @property
    def is_coupled(self) -> bool:
        """Whether the best permutation of some group depends on that of another, or on itself."""
        return any(self.coupled.values())

    def objective(self, permutation: PermutationStack) -> float:
        """The inner product with the permuted second network."""
        stack = {name: tensor.unsqueeze(0) for name, tensor in self.second.items()}
        permuted = permute.apply(stack, permutation, self.spec)
        return sum(float((tensor * permuted[name][0]).sum()) for name, tensor in self.first.items())

    def evidence(self, permutation: PermutationStack, group: str) -> int:
        """Weights per unit that the gains of a group are made of, given the groups placed so far."""
        total = 0
        for name, axis, segments in self.axes[group]:
            entries = sum(segment.block for segment in segments if segment.group == group)
            for other, length in enumerate(self.first[name].shape):
                if other != axis:
                    along = self.spec.axes.get((name, other))
                    entries *= length if along is None else sum(_placed_lengths(along, permutation))
            total += entries
        return total

    def gains(
        self, permutation: PermutationStack, group: str, terms: Terms | None = None
    ) -> Float64[Tensor, "W W"]:
        """What unit j of the second network adds to the objective in place i, all other groups fixed.

        ``terms`` keeps what single parameters contribute from one call to the next, and is brought up to
        date: where few units of the other groups have moved since, by their contributions alone. A term
        so kept differs from a fresh one by rounding.
        """
        units = self.spec.groups[group]
        total = torch.zeros(units, units, dtype=torch.float64)
        for name, axis, segments in self.axes[group]:
            others = self._others(name, axis, permutation)
            if others is None:
                total += self._product(*self._known(name, axis, permutation), axis, segments, group)
                continue
            kept = None if terms is None else terms.get((name, axis, group))
            term = self._term(name, axis, segments, group, others, kept)
            if terms is not None and term.numel() <= self.first[name].numel():
                terms[name, axis, group] = Term(
                    term, others
                )  # never more than the weights themselves per axis
            total += term
        return total

    def _others(self, name: str, axis: int, permutation: PermutationStack) -> Indices | None:
        """The indices of a parameter's other axes that are permuted; None if some are not known yet."""
        found: Indices = {}
        for other in range(self.first[name].ndim):
            segments = self.spec.axes.get((name, other))
            if other == axis or segments is None or all(segment.group is None for segment in segments):
                continue
            if not all(_is_placed(segment, permutation) for segment in segments):
                return None
            found[other] = permute.axis_index(segments, permutation)[0]
        return found

    def _term(
        self,
        name: str,
        axis: int,
        segments: tuple[Segment, ...],
        group: str,
        others: Indices,
        kept: Term | None,
    ) -> Float64[Tensor, "W W"]:
        """What one parameter contributes to the gains of a group that acts on one of its axes."""
        first, second = self.first[name], self.second[name]
        moved = (
            {}
            if kept is None
            else {k: (index != kept.others[k]).nonzero()[:, 0] for k, index in others.items()}
        )
        moved = {other: entries for other, entries in moved.items() if len(entries)}
        if kept is not None and not moved:
            return kept.values
        if kept is None or len(moved) > 1 or 2 * sum(map(len, moved.values())) > first.shape[min(moved)]:
            for other, index in others.items():
                second = second.index_select(other, index)
            return self._product(first, second, axis, segments, group)
        ((other, entries),) = moved.items()
        first = first.index_select(other, entries)
        second = second.index_select(other, others[other][entries]) - second.index_select(
            other, kept.others[other][entries]
        )
        for further in others.keys() - {other}:
            second = second.index_select(further, others[further])
        return kept.values + self._product(first, second, axis, segments, group)

    def _product(
        self, first: Tensor, second: Tensor, axis: int, segments: tuple[Segment, ...], group: str
    ) -> Float64[Tensor, "W W"]:
        """Inner products of the units that lie along an axis of both tensors, all others in their places."""
        units = self.spec.groups[group]
        product = torch.zeros(units, units, dtype=torch.float64)
        start = 0
        for segment in segments:
            if segment.group == group:
                a, b = (
                    tensor.narrow(axis, start, segment.length).movedim(axis, 0).reshape(units, -1)
                    for tensor in (first, second)
                )
                product.addmm_(a, b.mT)
            start += segment.length
        return product

    def _known(self, name: str, axis: int, permutation: PermutationStack) -> tuple[Tensor, Tensor]:
        """The entries of a parameter of both networks whose counterparts along all other axes are known."""
        first, second = self.first[name], self.second[name]
        for other in range(second.ndim):
            segments = self.spec.axes.get((name, other))
            if other != axis and segments is not None:
                kept, index = _placed_entries(segments, permutation)
                first, second = first.index_select(other, kept), second.index_select(other, index)
        return first, second


def _is_placed(segment: Segment, permutation: PermutationStack) -> bool:
    """Whether it is known where the entries of a segment go."""
    return segment.group is None or segment.group in permutation


def _placed_lengths(segments: tuple[Segment, ...], permutation: PermutationStack) -> list[int]:
    """Lengths of the segments whose place is known."""
    return [segment.length for segment in segments if _is_placed(segment, permutation)]


def _placed_entries(
    segments: tuple[Segment, ...], permutation: PermutationStack
) -> tuple[Int64[Tensor, " kept"], Int64[Tensor, " kept"]]:
    """Entries of the first network whose counterparts are known, and those of the second."""
    kept, index, start = [torch.arange(0)], [torch.arange(0)], 0
    for segment in segments:
        if _is_placed(segment, permutation):
            here = torch.arange(segment.length)
            kept.append(here + start)
            index.append(
                (here if segment.group is None else permute.axis_index((segment,), permutation)[0]) + start
            )
        start += segment.length
    return torch.cat(kept), torch.cat(index)
