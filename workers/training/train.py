"""The verb ``train``: from specs to trained networks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor

from workers.architectures.program import StackedProgram
from workers.datasets.tensors import Dataset, normalize
from workers.evaluation import evaluate
from workers.params import ParamStack, rows, stack
from workers.specs import NetworkSpec, Split, StopReason
from workers.training.group import open_group
from workers.training.run_group import Stopped, run_group
from workers.training.streams import initial_params

Progress = Callable[[int, int], None]
"""Called after every epoch of a group with the networks finished and the network-epochs done so far."""


@dataclass(frozen=True)
class TrainedStack:
    """Trained networks in the order of their specs; every sequence has one entry per network.

    Attributes:
        params: The weights at the end of each network's last epoch, on the CPU.
        epochs_trained: Including the one at whose end it stopped.
        stop_reason: ``loss_reached``, ``max_epochs`` or ``diverged``.
        train_loss: Mean cross-entropy in nats by a full pass over the training examples, with the labels
            trained on; None where diverged.
        train_error: Error in [0, 1] of the same pass.
        test_loss: As ``train_loss``, on the test examples.
        test_error: As ``train_error``, on the test examples.
        train_seconds: Each network's share of the wall time: an epoch is shared by those active in it, the
            rest in proportion. The sum is the wall time.
    """

    params: ParamStack
    epochs_trained: tuple[int, ...]
    stop_reason: tuple[StopReason, ...]
    train_loss: tuple[float | None, ...]
    train_error: tuple[float | None, ...]
    test_loss: tuple[float | None, ...]
    test_error: tuple[float | None, ...]
    train_seconds: tuple[float, ...]


def train(
    program: StackedProgram,
    specs: Sequence[NetworkSpec],
    dataset: Dataset,
    *,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
    progress: Progress | None = None,
) -> TrainedStack:
    """Trains a stack of networks of one architecture on one data set, each exactly as if it were alone.

    Stochastic gradient descent as ``torch.optim.SGD`` has it, on the mean cross-entropy of minibatches. In
    every epoch a network sees all examples in an order from its own stream (``epoch_orders``); the last
    batch may be smaller. At the end of an epoch it stops

    - as ``diverged`` if the mean of the epoch's minibatch losses, or the final loss, is not finite,
    - as ``loss_reached`` if that mean is below ``stop_train_loss``,
    - as ``max_epochs`` if there are no more epochs.

    Learning rate, weight decay, momentum, schedule, label noise, stopping and seeds may differ between
    networks. Networks of one momentum train in groups, as many together as pay for their shape; when one
    stops, its weights are taken at once and the next one takes its slot. What a network becomes does not
    depend on the others: on CPU bit for bit, on any number of threads.

    Args:
        program: The architecture that all specs name, for the shape of the data set.
        specs: The networks; they share data set, architecture and batch size.
        dataset: The data set that all specs name.
        device: Where to train.
        dtype: Of weights and activations.
        progress: See ``Progress``.

    Raises:
        ValueError: If the specs do not share data set, architecture and batch size, or name another data set.
    """
    _check(specs, dataset)
    begun = time.perf_counter()
    inputs = _inputs(program, dataset, "train", device, dtype)
    ends = sorted(_stops(program, specs, dataset, inputs, progress), key=lambda end: end.index)
    params = stack([end.params for end in ends])
    train_loss, train_error = _figures(program, params, inputs, specs, dataset, "train")
    test_inputs = _inputs(program, dataset, "test", device, dtype)
    test_loss, test_error = _figures(program, params, test_inputs, specs, dataset, "test")
    # The last step of all may be the one that explodes: no epoch's mean has seen it.
    is_finite = [
        end.reason != "diverged" and math.isfinite(loss) for end, loss in zip(ends, train_loss, strict=True)
    ]
    reasons = [end.reason if finite else "diverged" for end, finite in zip(ends, is_finite, strict=True)]
    wall_seconds = time.perf_counter() - begun
    in_epochs = sum(end.seconds for end in ends)
    shares = [end.seconds / in_epochs if in_epochs else 1 / len(ends) for end in ends]
    return TrainedStack(
        params={name: tensor.cpu() for name, tensor in params.items()},
        epochs_trained=tuple(end.epochs_trained for end in ends),
        stop_reason=tuple(reasons),
        train_loss=_kept(train_loss, is_finite),
        train_error=_kept(train_error, is_finite),
        test_loss=_kept(test_loss, is_finite),
        test_error=_kept(test_error, is_finite),
        train_seconds=tuple(share * wall_seconds for share in shares),
    )


def _check(specs: Sequence[NetworkSpec], dataset: Dataset) -> None:
    """Raises ValueError unless the specs can share a stack on this data set."""
    if not specs:
        raise ValueError("train needs at least one network spec")
    named = {spec.dataset for spec in specs}
    if named != {dataset.definition.name}:
        raise ValueError(f"the specs name {sorted(named)}, the data set given is {dataset.definition.name!r}")
    for key, values in (
        ("architecture", {spec.architecture for spec in specs}),
        ("batch_size", {spec.training.batch_size for spec in specs}),
    ):
        if len(values) > 1:
            listed = ", ".join(sorted(map(str, values)))
            raise ValueError(f"a stack has one {key}; the specs name {listed}. Train them as separate stacks")


def _inputs(
    program: StackedProgram, dataset: Dataset, split: Split, device: torch.device | str, dtype: torch.dtype
) -> Tensor:
    """All examples of a split, normalized once."""
    return program.prepare(normalize(dataset.images(split).to(device), dataset.definition)).to(dtype)


def _stops(
    program: StackedProgram,
    specs: Sequence[NetworkSpec],
    dataset: Dataset,
    inputs: Tensor,
    progress: Progress | None,
) -> Iterator[Stopped]:
    """Every network as it stops; those of one momentum after those of another."""
    noises = {spec.label_noise for spec in specs}
    labels = {noise: dataset.labels("train", noise).to(inputs.device) for noise in noises}
    num_stopped = num_epochs = 0

    def on_epoch(num_trained: int) -> None:
        nonlocal num_epochs
        num_epochs += num_trained
        if progress is not None:
            progress(num_stopped, num_epochs)

    to_train: dict[float, list[int]] = {}
    for place, spec in enumerate(specs):
        if spec.training.max_epochs == 0:
            start = {name: tensor.to(inputs) for name, tensor in initial_params(program, spec).items()}
            num_stopped += 1
            yield Stopped(place, start, 0, "max_epochs", 0.0)
        else:
            to_train.setdefault(spec.training.momentum, []).append(place)
    for momentum, places in to_train.items():
        group = open_group(
            program,
            len(places),
            batch_size=specs[0].training.batch_size,
            momentum=momentum,
            dtype=inputs.dtype,
            device=inputs.device,
        )
        for end in run_group(program, group, [specs[k] for k in places], inputs, labels, on_epoch):
            num_stopped += 1
            yield replace(end, index=places[end.index])


def _figures(
    program: StackedProgram,
    params: ParamStack,
    inputs: Tensor,
    specs: Sequence[NetworkSpec],
    dataset: Dataset,
    split: Split,
) -> tuple[list[float], list[float]]:
    """Loss and error of every network on a split, each with the labels of its own noise."""
    losses, errors = [0.0] * len(specs), [0.0] * len(specs)
    for noise in {spec.label_noise for spec in specs}:
        places = [place for place, spec in enumerate(specs) if spec.label_noise == noise]
        labels = dataset.labels(split, noise).to(inputs.device)
        found = evaluate(program, rows(params, places), inputs, labels)
        for place, loss, error in zip(places, found.losses.tolist(), found.errors.tolist(), strict=True):
            losses[place], errors[place] = loss, error
    return losses, errors


def _kept(values: Sequence[float], is_finite: Sequence[bool]) -> tuple[float | None, ...]:
    """The values, None where the network diverged."""
    return tuple(value if finite else None for value, finite in zip(values, is_finite, strict=True))
