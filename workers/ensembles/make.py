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
from workers.params import ParamStack
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
    dataset: Dataset,
    *,
    names: Sequence[str],
    trained: tuple[ParamStack, ParamStack] | None = None,
    units: PermutationSpec | None = None,
    specs: Sequence[tuple[NetworkSpec, NetworkSpec]] = (),
    label_noise: float = 0.0,
    device: torch.device | str = "cpu",
    max_bytes: float = DEFAULT_MAX_BYTES,
) -> Ensembles:
    """The pairs of networks that a method makes of P pairs.

    - ``independent``: the two as they were trained.
    - ``functional_difference``: the second one's hidden units permuted.
    - ``subspace``: the ends of a line that is learned from the initializations of the two; what they were
      trained to is not looked at.
    - ``subspace_functional_difference``: the ends of a line that is learned from the first trained one and
      the permuted second one, by the same training over again.

    Args:
        method: One of ``workers.ensembles.specs``.
        program: The architecture.
        dataset: The data set that they were trained on.
        names: Per pair the name that random streams derive from, where a search has any.
        trained: The P first and the P second networks, on the device; unchanged. For methods that read them.
        units: Where their hidden units can be permuted; for methods that do so.
        specs: Per pair what the two networks are; for methods that learn a line.
        label_noise: Share of training labels that were replaced when they were trained.
        device: Where to compute.
        max_bytes: Bound of the memory that a search may take beside the networks and examples, in bytes.

    Raises:
        ValueError: If something is missing that the method needs, or it cannot serve the networks.
    """
    num = len(names)
    needs = {
        "trained": trained is None and method.reads_networks,
        "units": units is None and method.permutes,
        "specs": len(specs) < num and method.learns_line,
    }
    if missing := [name for name, is_missing in needs.items() if is_missing]:
        raise ValueError(f"method {method.method} of {num} pairs needs {' and '.join(missing)}")
    align_seconds: tuple[float, ...] = (0.0,) * num
    if isinstance(method, ByFunctionalDifference | SubspaceFunctionalDifference):
        assert trained is not None
        assert units is not None
        matching = FunctionalDifference(assignment=method.assignment, num_examples=method.num_examples)
        inputs = dataset.inputs("train", program.prepare, device)
        examples = Examples(program, inputs, dataset.labels("train", label_noise).to(device))
        found = align(matching, trained, units, names=names, examples=examples, max_bytes=max_bytes)
        trained = (trained[0], permute.apply(trained[1], found.permutations[1], units))
        align_seconds = tuple(found.seconds.tolist())
    if not isinstance(method, Subspace | SubspaceFunctionalDifference):
        assert trained is not None
        return Ensembles(*trained, (None,) * num, (None,) * num, align_seconds, (0.0,) * num)
    learned = train_lines(
        program,
        [Line(a, b, method.strength, method.regularizer) for a, b in specs],
        dataset,
        starts=trained if method.reads_networks else None,
        device=device,
    )
    first, second = (
        {name: tensor.to(device) for name, tensor in end.items()} for end in (learned.first, learned.second)
    )
    return Ensembles(
        first, second, learned.epochs_trained, learned.stop_reason, align_seconds, learned.train_seconds
    )
