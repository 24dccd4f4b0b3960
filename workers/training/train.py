"""The verb ``train``: from specs to trained networks."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import torch

from workers.architectures.program import StackedProgram
from workers.datasets.inputs import ByteInputs
from workers.datasets.tensors import Dataset
from workers.device import tf32
from workers.evaluation import evaluate
from workers.params import ParamStack, converted, rows, stack
from workers.permutation.derive import derive_permutation_spec
from workers.specs import NetworkSpec, Split, StopReason
from workers.statistics import with_population_statistics
from workers.training.group import open_group
from workers.training.run_group import Stopped, run_group
from workers.training.streams import initial_params
from workers.training.trajectories import Trajectory, trajectories_of

Progress = Callable[[int, int], None]
"""Called after every epoch of a group with the networks finished and the network-epochs done so far."""


@dataclass(frozen=True)
class TrainedStack:
    """Trained networks in the order of their specs; every sequence has one entry per network.

    Attributes:
        params: Each network as it was taken, on the CPU: weights, and statistics of the population.
        epochs_trained: Including the one at whose end it stopped.
        stop_reason: ``loss_reached``, ``max_epochs`` or ``diverged``.
        train_loss: Mean cross-entropy in nats by a full pass over the training examples, with the labels
            trained on; None where diverged.
        train_error: Error in [0, 1] of the same pass.
        test_loss: As ``train_loss``, on the test examples.
        test_error: As ``train_error``, on the test examples.
        train_seconds: Each network's share of the wall time: an epoch is shared by those active in it, the
            rest in proportion; of one training, each network has the epochs since the one before it. The
            sum is the wall time.
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

    Steps as ``torch.optim.SGD`` or ``torch.optim.Adam`` has them, on the mean cross-entropy of minibatches.
    In every epoch a network sees all examples in an order from its own stream (``epoch_orders``); the last
    batch may be smaller. At the end of an epoch it stops

    - as ``diverged`` if the mean of the epoch's minibatch losses, or the final loss, is not finite,
    - as ``loss_reached`` if that mean is below ``stop_train_loss``,
    - as ``max_epochs`` if there are no more epochs.

    Specs that differ in ``save_at`` alone are taken from one training: after so many epochs, or as it was
    at its end if that came first; 0 is the initialization. Batch norm trains on the statistics of its
    batches; those of the population are measured at the end, for each network that is taken
    (``with_population_statistics``).

    Optimizer, learning rate, weight decay, momentum, precision, schedule, label noise, stopping and seeds may
    differ between networks. Networks of one optimizer, momentum and precision train in groups, as many
    together as pay for their shape; when one stops, its weights are taken at once and the next one takes its
    slot. What a network becomes does not depend on the others: on CPU bit for bit, on any number of threads.

    Args:
        program: The architecture that all specs name, for the shape of the data set.
        specs: The networks; they share data set, architecture and batch size.
        dataset: The data set that all specs name.
        device: Where to train.
        dtype: Of weights and activations.
        progress: See ``Progress``.

    Raises:
        ValueError: If the specs do not share data set, architecture and batch size, name another data set,
            or ask for a precision that the device does not have.
    """
    _check(specs, dataset)
    begun = time.perf_counter()
    inputs = dataset.inputs("train", program.prepare, device, dtype)
    ends = _ends(program, specs, dataset, inputs, progress)
    params = with_population_statistics(
        program, stack([end.params for end in ends]), inputs, specs[0].dataset
    )
    train_loss, train_error = _figures(program, params, inputs, specs, dataset, "train")
    test_inputs = dataset.inputs("test", program.prepare, device, dtype)
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


def _ends(
    program: StackedProgram,
    specs: Sequence[NetworkSpec],
    dataset: Dataset,
    inputs: ByteInputs,
    progress: Progress | None,
) -> list[Stopped]:
    """For each spec, the network as it was taken."""
    trajectories = trajectories_of(specs)
    stops: dict[int, list[Stopped]] = {number: [] for number in range(len(trajectories))}
    num_epochs = 0

    def on_epoch(num_trained: int) -> None:
        nonlocal num_epochs
        num_epochs += num_trained
        if progress is not None:
            num_taken = sum(
                len(trajectories[number].places.get(stop.epochs_trained, ()))
                for number, of_trajectory in stops.items()
                for stop in of_trajectory
            )
            progress(num_taken, num_epochs)

    for stop in _stops(program, trajectories, dataset, inputs, on_epoch):
        stops[stop.index].append(stop)
    networks = [trajectories[number].networks(of_trajectory) for number, of_trajectory in stops.items()]
    return sorted((stop for taken in networks for stop in taken.values()), key=lambda stop: stop.index)


def _stops(
    program: StackedProgram,
    trajectories: Sequence[Trajectory],
    dataset: Dataset,
    inputs: ByteInputs,
    on_epoch: Callable[[int], None],
) -> Iterator[Stopped]:
    """Every network as it is taken, by the place of its trajectory; one kind of step after another."""
    device = torch.device(inputs.device)
    noises = {trajectory.spec.label_noise for trajectory in trajectories}
    labels = {noise: dataset.labels("train", noise).to(device) for noise in noises}
    together: dict[tuple[str, float, str], list[int]] = {}
    permuted = any(trajectory.spec.training.permute_init is not None for trajectory in trajectories)
    units = derive_permutation_spec(program.module, inputs[:2].float()) if permuted else None
    for number, trajectory in enumerate(trajectories):
        training = trajectory.spec.training
        if 0 in trajectory.places:
            units = (
                None
                if training.permute_init is None
                else derive_permutation_spec(program.module, inputs[:2].float())
            )
            start = initial_params(program, trajectory.spec, units)
            yield Stopped(number, converted(start, inputs.device, inputs.dtype), 0, "max_epochs", 0.0)
        if trajectory.epochs:
            kind = (training.optimizer, training.momentum, training.precision)
            together.setdefault(kind, []).append(number)
    for (_, _, precision), numbers in together.items():
        chosen = [trajectories[number] for number in numbers]
        training = chosen[0].spec.training
        with tf32(precision == "tf32"):
            group = open_group(program, len(chosen), training=training, dtype=inputs.dtype, device=device)
            for end in run_group(
                program,
                group,
                [trajectory.spec for trajectory in chosen],
                inputs,
                labels,
                on_epoch,
                [trajectory.epochs for trajectory in chosen],
            ):
                yield replace(end, index=numbers[end.index])


def _figures(
    program: StackedProgram,
    params: ParamStack,
    inputs: ByteInputs,
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
