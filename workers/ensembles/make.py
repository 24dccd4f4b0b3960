"""The verb ``make_ensembles``: what a method does to pairs of networks."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch

from workers.alignment.align import align
from workers.alignment.batch import DEFAULT_MAX_BYTES
from workers.alignment.examples import Examples
from workers.alignment.methods import FunctionalDifference
from workers.architectures.program import StackedProgram
from workers.datasets.tensors import Dataset
from workers.ensembles.lines import Line, train_lines
from workers.ensembles.specs import (
    ByFunctionalDifference,
    EnsembleMethod,
    Subspace,
    SubspaceFunctionalDifference,
)
from workers.params import ParamStack, num_networks
from workers.permutation import permute
from workers.permutation.spec import PermutationSpec
from workers.specs import NetworkSpec, StopReason


@dataclass(frozen=True)
class Ensembles:
    """P pairs of networks as a method left them; every sequence has one entry per pair.

    Attributes:
        first: P networks.
        second: P networks.
        epochs_trained: Of the line; None where none was learned.
        stop_reason: Why the line's training stopped; None likewise.
        align_seconds: Time of the search for permutations; 0 without.
        train_seconds: Its share of the time in which lines were learned; 0 without.
    """

    first: ParamStack
    second: ParamStack
    epochs_trained: tuple[int | None, ...]
    stop_reason: tuple[StopReason | None, ...]
    align_seconds: tuple[float, ...]
    train_seconds: tuple[float, ...]


def make_ensembles(
    method: EnsembleMethod,
    program: StackedProgram,
    first: ParamStack,
    second: ParamStack,
    dataset: Dataset,
    *,
    units: PermutationSpec,
    names: Sequence[str],
    specs: Sequence[tuple[NetworkSpec, NetworkSpec]] | None = None,
    label_noise: float = 0.0,
    device: torch.device | str = "cpu",
    max_bytes: float = DEFAULT_MAX_BYTES,
) -> Ensembles:
    """The pairs of networks that a method makes of P pairs of trained ones.

    - ``independent``: the two as they are.
    - ``functional_difference``: the second one's hidden units permuted.
    - ``subspace``: the ends of a line that is learned from the initializations of the two; what they were
      trained to is not looked at.
    - ``subspace_functional_difference``: the ends of a line that is learned from the first one and the
      permuted second one, with the training of both anew.

    Args:
        method: One of ``workers.ensembles.specs``.
        program: The architecture.
        first: P trained networks, on the device; unchanged.
        second: P trained networks; pair p joins row p of both.
        dataset: The data set that they were trained on.
        units: Where their hidden units can be permuted.
        names: Per pair the name that random streams derive from, where a search has any.
        specs: Per pair what the two networks are; for methods that learn a line.
        label_noise: Share of training labels that were replaced when they were trained.
        device: Where the networks lie.
        max_bytes: Bound of the memory that a search may take beside the networks and examples, in bytes.

    Raises:
        ValueError: If a line is to be learned and specs are missing, or the method cannot serve the networks.
    """
    num = num_networks(first)
    align_seconds: tuple[float, ...] = (0.0,) * num
    if isinstance(method, ByFunctionalDifference | SubspaceFunctionalDifference):
        matching = FunctionalDifference(assignment=method.assignment, num_examples=method.num_examples)
        inputs = dataset.inputs("train", program.prepare, device)
        labels = dataset.labels("train", label_noise).to(device)
        examples = Examples(program, inputs, labels)
        found = align(matching, [first, second], units, names=names, examples=examples, max_bytes=max_bytes)
        second = permute.apply(second, found.permutations[1], units)
        align_seconds = tuple(found.seconds.tolist())
    if not isinstance(method, Subspace | SubspaceFunctionalDifference):
        return Ensembles(first, second, (None,) * num, (None,) * num, align_seconds, (0.0,) * num)
    if specs is None:
        raise ValueError(f"method {method.method} trains networks: it needs the specs of every pair")
    learned = train_lines(
        program,
        [Line(a, b, method.strength, method.regularizer) for a, b in specs],
        dataset,
        starts=(first, second) if isinstance(method, SubspaceFunctionalDifference) else None,
        device=device,
    )
    a, b = (
        {name: tensor.to(device) for name, tensor in end.items()} for end in (learned.first, learned.second)
    )
    return Ensembles(a, b, learned.epochs_trained, learned.stop_reason, align_seconds, learned.train_seconds)
