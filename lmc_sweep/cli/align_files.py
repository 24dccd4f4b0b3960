"""Two checkpoints brought together: read and checked, aligned, measured. ``align`` prints what comes out."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lmc_sweep import checkpoints
from lmc_sweep.cli.asked import Asked
from lmc_sweep.cli.subject import Subject, derived, limit, subject
from lmc_sweep.errors import SweepError
from workers.specs import Correction, Split

if TYPE_CHECKING:
    from torch import Tensor

    from workers.alignment.methods import Method
    from workers.alignment.outcome import AlignmentResult
    from workers.datasets.tensors import Dataset
    from workers.params import Params, ParamStack
    from workers.permutation.spec import PermutationSpec

SPLITS: tuple[Split, ...] = ("train", "test")
CHECKED_EXAMPLES = 64
CHECKED_TOLERANCE = 1e-3  # relative, in float32: the order of sums changes

Say = Callable[[str], None]


@dataclass(frozen=True)
class Prepared:
    """Two networks of one module, all that is asked of them found possible.

    ``second_as_saved`` has the types of its file; ``members`` are as programs take them. ``notes`` are for
    people: what was changed to load the files, and what limits the spec.
    """

    subject: Subject
    spec: PermutationSpec
    members: tuple[Params, Params]
    second_as_saved: Mapping[str, Tensor]
    data: Dataset | None
    statistics: Sequence[Tensor]
    corrections: tuple[Correction, ...]
    label_noise: float
    device: str
    notes: tuple[str, ...]


@dataclass(frozen=True)
class Measured:
    """Barriers on one split under one correction, before and after; None where a loss is not finite."""

    split: Split
    correction: Correction
    loss_barrier_before: float | None
    loss_barrier_after: float | None
    error_barrier_before: float | None
    error_barrier_after: float | None


def prepare(paths: tuple[Path, Path], asked: Asked, corrections: tuple[Correction, ...]) -> Prepared:
    """The two networks, having checked all that can be wrong with them before anything is searched.

    Args:
        paths: Of the checkpoints.
        asked: By the options.
        corrections: To measure with; where empty, ``none`` and, where there is batch norm, ``reset_bn``.

    Raises:
        SweepError, ValueError: If a file, the module, the data set or a correction does not fit.
    """
    read = [checkpoints.read(path) for path in paths]
    of = subject(asked, read[0].params)
    found = [checkpoints.check(one, of.module, path) for one, path in zip(read, paths, strict=True)]
    derivation = derived(of)
    limits = (limit(pinned) for pinned in derivation.pinned_operations)
    device, data = "cpu", None
    statistics: list[Tensor] = []
    if asked.data is not None:
        device, data, statistics = _examples(of, asked)
        corrections = _possible(of, corrections, statistics)
    return Prepared(
        subject=of,
        spec=derivation.spec,
        members=(dict(found[0].params), dict(found[1].params)),
        second_as_saved=checkpoints.fit(read[1], of.module, paths[1]).params,
        data=data,
        statistics=statistics,
        corrections=corrections,
        label_noise=asked.label_noise,
        device=device,
        notes=(*(note for one in found for note in one.notes), *limits),
    )


def align(prepared: Prepared, method: Method) -> AlignmentResult:
    """The permutation that brings the second network to the first, proved on it where there are examples."""
    from workers.alignment.align import SINGLE, Examples
    from workers.alignment.align import align as search
    from workers.params import stack
    from workers.permutation.check import check_function_preserved

    program, data, device = prepared.subject.program, prepared.data, prepared.device
    examples = inputs = None
    if program is not None and data is not None:
        inputs = data.inputs("train", program.prepare, device)
        examples = Examples(program, inputs, data.labels("train", prepared.label_noise).to(device))
    members = [_on(stack([member]), device) for member in prepared.members]
    found = search(method, members, prepared.spec, names=[SINGLE], examples=examples)
    if program is not None and inputs is not None:
        some = inputs[:CHECKED_EXAMPLES]
        check_function_preserved(
            program, members[1], found.permutations[1], prepared.spec, some, CHECKED_TOLERANCE
        )
    return found


def permuted(prepared: Prepared, found: AlignmentResult) -> dict[str, Tensor]:
    """The second state dict re-ordered: every name and type with which a module loads it strictly."""
    return checkpoints.state_dict(found.apply(prepared.second_as_saved), prepared.subject.module)


def barriers(prepared: Prepared, found: AlignmentResult, alphas: Sequence[float], say: Say) -> list[Measured]:
    """Barriers between the first network and the second, before and after; none without examples."""
    import torch

    from workers.interpolation.barriers import barrier
    from workers.interpolation.interpolate import interpolate
    from workers.params import stack

    program, data, device = prepared.subject.program, prepared.data, prepared.device
    if program is None or data is None:
        return []
    first, second = prepared.members
    params_a, params_b = (
        _on(stack(both), device) for both in ((first, first), (second, found.apply(second)))
    )
    positions = torch.tensor(alphas, dtype=torch.float64)
    measured = []
    for split in SPLITS:
        labels = data.labels(split, prepared.label_noise).to(device)
        inputs = data.inputs(split, program.prepare, device)
        for correction in prepared.corrections:
            say(f"Measuring on {split}, {len(labels)} examples, correction {correction}")
            curves = interpolate(
                program,
                params_a,
                params_b,
                alphas,
                inputs,
                labels,
                correction=correction,
                statistics=prepared.statistics,
            )
            figures = torch.cat([barrier(curves.losses, positions), barrier(curves.errors, positions)])
            is_finite = curves.losses.isfinite().all(1).repeat(2)
            told = [float(f) if ok else None for f, ok in zip(figures, is_finite, strict=True)]
            measured.append(Measured(split, correction, *told))
    return measured


def _examples(of: Subject, asked: Asked) -> tuple[str, Dataset, list[Tensor]]:
    """The device to measure on, the data set, its images there, and the batches for corrections."""
    import torch

    from lmc_sweep import data
    from workers.statistics import statistics_batches

    assert asked.data is not None
    assert of.program is not None
    device = "cuda" if torch.cuda.is_available() else "cpu"
    loaded = data.load(asked.data).to(device)
    inputs = loaded.inputs("train", of.program.prepare, device)
    return device, loaded, statistics_batches(inputs, asked.data.dataset)


def _possible(
    of: Subject, corrections: tuple[Correction, ...], statistics: Sequence[Tensor]
) -> tuple[Correction, ...]:
    """The corrections asked for, refused where one has nothing to correct; those by default, if none."""
    from workers.architectures.module_program import ModuleProgram
    from workers.interpolation.corrections import check_correction
    from workers.interpolation.sites import repairable

    program = of.program
    assert program is not None
    if not corrections:
        return ("none", "reset_bn") if program.statistics else ("none",)
    for correction in corrections:
        try:
            check_correction(program, correction, statistics)
            if correction == "repair" and isinstance(program, ModuleProgram):
                repairable(program)  # an MLP has hidden layers always
        except ValueError as error:
            raise SweepError(f"--correction {correction}: {error}") from error
    return corrections


def _on(params: ParamStack, device: str) -> ParamStack:
    """The stack on a device."""
    return {name: tensor.to(device) for name, tensor in params.items()}
