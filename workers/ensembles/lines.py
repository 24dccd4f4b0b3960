"""The verb ``train_lines``: lines of networks, learned between two starting points (Wortsman et al. 2021)."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from workers.architectures.mlp import MLPProgram
from workers.architectures.program import StackedProgram
from workers.datasets.inputs import ByteInputs
from workers.datasets.tensors import Dataset
from workers.device import tf32
from workers.ensembles.line_step import LineGroup, ends_of, line_params
from workers.ensembles.specs import Regularizer
from workers.params import Params, ParamStack, converted, row, stack
from workers.permutation.derive import derive_permutation_spec
from workers.seeding import derive_seed
from workers.specs import NetworkSpec, StopReason
from workers.training.group import GROUP_BYTES, GROUP_SLOTS
from workers.training.precision import check_precision
from workers.training.run_group import Sources, Stopped, run_group
from workers.training.streams import initial_params
from workers.training.train import Progress

_Begin = Callable[[int], Params]
"""From the place of a line among those given to the parameters that it starts from."""

POWERS: dict[Regularizer, int] = {"squared_cosine": 2, "cosine": 1}


@dataclass(frozen=True)
class Line:
    """One line to learn: its ends are as the two networks, and strength * regularizer holds them apart.

    The regularizer looks at the cosine of all weights of one end and all weights of the other, without
    biases: ``cosine`` is it, ``squared_cosine`` its square.
    """

    first: NetworkSpec
    second: NetworkSpec
    strength: float = 1.0
    regularizer: Regularizer = "squared_cosine"


@dataclass(frozen=True)
class TrainedLines:
    """Learned lines in the order given; every sequence has one entry per line.

    Attributes:
        first: The ends at alpha 0, on the CPU.
        second: The ends at alpha 1.
        epochs_trained: Including the one at whose end it stopped.
        stop_reason: ``loss_reached``, ``max_epochs`` or ``diverged``.
        train_seconds: Each line's share of the wall time.
    """

    first: ParamStack
    second: ParamStack
    epochs_trained: tuple[int, ...]
    stop_reason: tuple[StopReason, ...]
    train_seconds: tuple[float, ...]


def train_lines(
    program: StackedProgram,
    lines: Sequence[Line],
    dataset: Dataset,
    *,
    starts: tuple[ParamStack, ParamStack] | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    progress: Progress | None = None,
) -> TrainedLines:
    """Learns lines between MLPs of one architecture on one data set, each exactly as if it were alone.

    For every minibatch one alpha is drawn, uniform in [0, 1), and both ends a and b take a step along the
    negative gradient of

        mean cross-entropy at (1 - alpha) * a + alpha * b  +  strength * cosine(a, b) ** power

    by the optimizer, with the learning rate, schedule, weight decay, batch size and epochs of the first
    network's training; weight decay is that of each end. Minibatches come in the order of the first network,
    alphas from the stream ("line_point", first seed, second seed, step). ``stop_train_loss`` compares the
    mean of an epoch's minibatch losses, each at the point of its step and without the regularizer.

    Lines of one optimizer and momentum are trained together, as many as pay for their shape. What a line
    becomes does not depend on the others: on CPU bit for bit, on any number of threads.

    Args:
        program: The architecture that all specs name, for the shape of the data set.
        lines: They share data set, architecture, batch size and precision.
        dataset: The data set that all specs name.
        starts: The ends to start from, one row per line; by default the initializations of the networks.
        device: Where to train.
        dtype: Of weights and activations.
        progress: Called after every epoch with the lines finished and the line-epochs done so far.

    Raises:
        ValueError: If the networks are no MLPs, differ in what they must share, or are trained in bfloat16.

    Source:
        Wortsman et al. 2021, algorithm 1 and equation 3.
    """
    mlps = _checked(program, lines, dataset)
    begun = time.perf_counter()
    inputs = dataset.inputs("train", program.prepare, device, dtype)
    ends: dict[int, Stopped] = {}
    num_epochs = 0

    def on_epoch(num_trained: int) -> None:
        nonlocal num_epochs
        num_epochs += num_trained
        if progress is not None:
            progress(len(ends), num_epochs)

    begin = _starts(program, lines, inputs, starts)
    for chosen in _together(lines):
        if lines[chosen[0]].first.training.num_epochs == 0:
            for index in chosen:
                ends[index] = Stopped(index, begin(index), 0, "max_epochs", 0.0)
            continue
        for stopped in _run(mlps, lines, chosen, dataset, inputs, begin, on_epoch):
            ends[stopped.index] = stopped
    in_order = [ends[index] for index in range(len(lines))]
    both = [ends_of(end.params) for end in in_order]
    first, second = (stack([pair[k] for pair in both]) for k in (0, 1))
    wall_seconds = time.perf_counter() - begun
    in_epochs = sum(end.seconds for end in in_order)
    shares = [end.seconds / in_epochs if in_epochs else 1 / len(in_order) for end in in_order]
    return TrainedLines(
        first={name: tensor.cpu() for name, tensor in first.items()},
        second={name: tensor.cpu() for name, tensor in second.items()},
        epochs_trained=tuple(end.epochs_trained for end in in_order),
        stop_reason=tuple(end.reason for end in in_order),
        train_seconds=tuple(share * wall_seconds for share in shares),
    )


def _checked(program: StackedProgram, lines: Sequence[Line], dataset: Dataset) -> MLPProgram:
    """The program as one of MLPs; raises ValueError unless the lines can be trained together by it."""
    if not lines:
        raise ValueError("train_lines needs at least one line")
    if not isinstance(program, MLPProgram):
        raise ValueError(f"lines are learned between MLPs; the architecture is {program.module!r:.60}")
    specs = [spec for line in lines for spec in (line.first, line.second)]
    named = {spec.dataset for spec in specs}
    if named != {dataset.definition.name}:
        raise ValueError(f"the specs name {sorted(named)}, the data set given is {dataset.definition.name!r}")
    for key, values in (
        ("architecture", {spec.architecture for spec in specs}),
        ("batch_size", {spec.training.batch_size for spec in specs}),
        ("precision", {spec.training.precision for spec in specs}),
    ):
        if len(values) > 1:
            listed = ", ".join(sorted(map(str, values)))
            raise ValueError(f"lines that share a stack have one {key}; the specs name {listed}")
    if specs[0].training.precision == "bfloat16":
        raise ValueError("lines are learned in float32 or tf32, not in bfloat16: leave precision out")
    for line in lines:
        if replace(line.second, seed=line.first.seed) != line.first:
            raise ValueError(
                "the networks of a line differ in their seeds alone, "
                f"got {line.first} and {line.second}: take both from one cell"
            )
    return program


def _starts(
    program: StackedProgram,
    lines: Sequence[Line],
    inputs: ByteInputs,
    starts: tuple[ParamStack, ParamStack] | None,
) -> _Begin:
    """Where the line of an index starts, with what holds its ends apart."""
    permuted = any(line.first.training.permute_init is not None for line in lines) and starts is None
    units = derive_permutation_spec(program.module, inputs[:2].float()) if permuted else None

    def begin(index: int) -> Params:
        line = lines[index]
        ends = (
            [row(end, index) for end in starts]
            if starts is not None
            else [initial_params(program, spec, units) for spec in (line.first, line.second)]
        )
        first, second = (converted(end, inputs.device, inputs.dtype) for end in ends)
        return line_params(first, second, line.strength, POWERS[line.regularizer])

    return begin


def _together(lines: Sequence[Line]) -> list[list[int]]:
    """The lines that one group can train: of one optimizer and momentum, and with epochs or without."""
    found: dict[tuple[str, float, bool], list[int]] = {}
    for index, line in enumerate(lines):
        training = line.first.training
        kind = (training.optimizer, training.momentum, training.num_epochs > 0)
        found.setdefault(kind, []).append(index)
    return list(found.values())


def _run(
    program: MLPProgram,
    lines: Sequence[Line],
    chosen: Sequence[int],
    dataset: Dataset,
    inputs: ByteInputs,
    begin: _Begin,
    on_epoch: Callable[[int], None],
) -> Iterator[Stopped]:
    """The chosen lines as they stop."""
    training = lines[chosen[0]].first.training
    device = torch.device(inputs.device)
    check_precision(training, device)
    noises = {lines[index].first.label_noise for index in chosen}
    group = LineGroup(
        program,
        min(len(chosen), _slots(program, training.batch_size, device)),
        training=training,
        dtype=inputs.dtype,
        device=device,
    )

    def draws(place: int, step: int) -> int:
        line = lines[chosen[place]]
        return derive_seed("line_point", line.first.seed, line.second.seed, step)

    with tf32(training.precision == "tf32"):
        for stopped in run_group(
            program,
            group,
            [lines[index].first for index in chosen],
            inputs,
            {noise: dataset.labels("train", noise).to(device) for noise in noises},
            on_epoch,
            sources=Sources(lambda place: begin(chosen[place]), draws),
        ):
            yield replace(stopped, index=chosen[stopped.index])


def _slots(program: MLPProgram, batch_size: int, device: torch.device) -> int:
    """How many lines fill GROUP_BYTES: each has a network, a gradient, and two of everything at its ends."""
    if device.type != "cpu":
        return 1024
    width, depth = program.width, program.depth
    weights = width * (program.num_inputs + (depth - 1) * width + program.num_classes)
    per_example = program.num_inputs + (depth + 2) * width + 2 * program.num_classes
    fitting = GROUP_BYTES // (4 * (6 * weights + batch_size * per_example))
    return max(torch.get_num_threads(), min(GROUP_SLOTS, fitting // 2 * 2))
