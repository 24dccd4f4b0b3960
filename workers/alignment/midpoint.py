"""The energy of an alignment of two networks: loss or error of the network halfway between them.

An energy is a pure function of the permutation. What it keeps between calls is a cache of the last
permutation's tensors, of which it renews the units that differ.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import torch
from jaxtyping import Float, Int64
from torch import Tensor

from workers.alignment.examples import Examples
from workers.architectures.mlp import MLPProgram
from workers.architectures.program import StackedProgram
from workers.datasets.inputs import Inputs
from workers.params import Params, interpolated, stack
from workers.permutation import permute
from workers.permutation.spec import PermutationSpec

Indices = Sequence[np.ndarray]
"""One int64 index per group, in the order of the spec's groups."""

MAX_CHUNK_BYTES = 64e6
"""Activations of a direct evaluation at a time."""

MAX_CACHE_BYTES = 1e9
"""Pre-activations that a cached evaluation may keep; beyond, evaluation is direct."""


def midpoint_energy(
    objective: Examples, measure: str, first: Params, second: Params, spec: PermutationSpec
) -> Callable[[Indices], float]:
    """Permutation of ``second`` to the mean loss in nats, or the error, of the midpoint with ``first``.

    Args:
        objective: Where it is measured.
        measure: ``midpoint_loss`` or ``midpoint_error``.
        first: One network, which stays.
        second: One network, which is permuted.
        spec: Where the groups act.
    """
    program, inputs, labels = objective.program, objective.inputs, objective.labels
    score = {"midpoint_loss": _loss_sum, "midpoint_error": _error_sum}[measure]
    itemsize = next(iter(first.values())).element_size()
    if isinstance(program, MLPProgram) and _cache_entries(program, len(inputs)) * itemsize <= MAX_CACHE_BYTES:
        return _CachedMLP(program, inputs[:], labels, score, first, second)
    return _direct(program, inputs, labels, score, first, second, spec)


def _cache_entries(program: MLPProgram, num_examples: int) -> int:
    """Pre-activations of both networks, and every hidden layer of the midpoint, on all examples."""
    return (2 + program.depth) * program.width * num_examples


Score = Callable[[Float[Tensor, "C B"], Int64[Tensor, " B"]], float]


def _error_sum(logits: Float[Tensor, "C B"], labels: Int64[Tensor, " B"]) -> float:
    """Number of wrong predictions. Torch's max over classes is twenty times as fast as its argmax."""
    return float(torch.count_nonzero(logits.max(dim=0).indices != labels))


def _loss_sum(logits: Float[Tensor, "C B"], labels: Int64[Tensor, " B"]) -> float:
    """Summed cross-entropy in nats."""
    own = torch.log_softmax(logits, dim=0).gather(0, labels.unsqueeze(0))
    return -float(own.sum(dtype=torch.float64))


def _direct(
    program: StackedProgram,
    inputs: Inputs,
    labels: Int64[Tensor, " B"],
    score: Score,
    first: Params,
    second: Params,
    spec: PermutationSpec,
) -> Callable[[Indices], float]:
    """For any program: weights permuted and averaged, statistics too, then a forward pass."""
    itemsize = next(iter(first.values())).element_size()
    chunk = max(1, int(MAX_CHUNK_BYTES / (itemsize * program.floats_per_example())))
    staying, moving = stack([first]), stack([second])

    def energy(indices: Indices) -> float:
        permutation = {
            group: torch.from_numpy(index).unsqueeze(0)
            for group, index in zip(spec.groups, indices, strict=True)
        }
        permuted = permute.apply(moving, permutation, spec)
        middle = interpolated(staying, permuted, 0.5)
        total = 0.0
        with torch.no_grad():
            for start in range(0, len(labels), chunk):
                chosen = slice(start, start + chunk)
                total += score(program.logits(middle, inputs[chosen])[0], labels[chosen])
        return total / len(labels)

    return energy


class _CachedMLP:
    """For MLPs: the first layer is linear in the weights, so its products are formed once per network.

    A permutation only re-orders the rows of the second network's pre-activations; of the hidden
    layer and of the averaged weights above, rows and columns of moved units alone are renewed.
    """

    def __init__(
        self,
        program: MLPProgram,
        inputs: Tensor,
        labels: Int64[Tensor, " B"],
        score: Score,
        first: Params,
        second: Params,
    ) -> None:
        self._labels, self._score, self._device = labels, score, inputs.device
        # halves, so that a sum is an average: multiplying by 0.5 is exact
        self._first = {name: tensor * 0.5 for name, tensor in first.items()}
        self._second = {name: tensor * 0.5 for name, tensor in second.items()}
        self._below = [
            torch.addmm(half["layers.0.bias"].unsqueeze(1), half["layers.0.weight"], inputs.mT)
            for half in (self._first, self._second)
        ]
        self._loaded = [np.arange(program.width) for _ in range(program.depth)]
        self._hidden = [(self._below[0] + self._below[1]).relu_()]
        self._hidden += [torch.empty_like(self._hidden[0]) for _ in range(program.depth - 1)]
        self._upper = range(1, program.depth + 1)
        self._weights = [self._average(f"layers.{layer}.weight") for layer in self._upper]
        self._biases = [self._average(f"layers.{layer}.bias").unsqueeze(1) for layer in self._upper]

    def __call__(self, indices: Indices) -> float:
        """Mean of the measure over the examples."""
        for group, index in enumerate(indices):
            moved = np.flatnonzero(index != self._loaded[group])
            if moved.size:
                self._loaded[group] = index.copy()
                self._renew(group, torch.from_numpy(moved).to(self._device))
        hidden = self._hidden[0]
        for weight, bias, out in zip(self._weights, self._biases, self._hidden[1:], strict=False):
            torch.addmm(bias, weight, hidden, out=out).relu_()
            hidden = out
        logits = torch.addmm(self._biases[-1], self._weights[-1], hidden)
        return self._score(logits, self._labels) / len(self._labels)

    def _average(self, name: str) -> Tensor:
        """The averaged tensor while nothing is permuted."""
        return self._first[name] + self._second[name]

    def _renew(self, group: int, units: Tensor) -> None:
        """Renews whatever the moved units of a group touch."""
        source = self._index(group)[units]
        if group == 0:
            rows = self._below[0].index_select(0, units).add_(self._below[1].index_select(0, source)).relu_()
            self._hidden[0].index_copy_(0, units, rows)
        else:
            weight, bias = f"layers.{group}.weight", f"layers.{group}.bias"
            moving = self._second[weight].index_select(0, source).index_select(1, self._index(group - 1))
            rows = moving.add_(self._first[weight].index_select(0, units))
            self._weights[group - 1].index_copy_(0, units, rows)
            self._biases[group - 1][units, 0] = self._first[bias][units] + self._second[bias][source]
        weight = f"layers.{group + 1}.weight"
        moving = self._second[weight].index_select(1, source)
        if group + 1 < len(self._loaded):
            moving = moving.index_select(0, self._index(group + 1))
        columns = moving.add_(self._first[weight].index_select(1, units))
        self._weights[group].index_copy_(1, units, columns)

    def _index(self, group: int) -> Tensor:
        """The permutation that is loaded, as a tensor."""
        return torch.from_numpy(self._loaded[group]).to(self._device)
