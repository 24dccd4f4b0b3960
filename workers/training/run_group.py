"""Networks that wait for a slot, train epoch by epoch, stop, and make room."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float64
from torch import Tensor

from workers.architectures.program import StackedProgram
from workers.datasets.inputs import Inputs
from workers.params import Params
from workers.permutation.derive import derive_permutation_spec
from workers.specs import NetworkSpec, StopReason, TrainingSpec
from workers.training.group import TrainingGroup
from workers.training.schedule import learning_rate
from workers.training.streams import epoch_orders, initial_params, noise_seed

SHRINK_STEPS = 2
"""Steps that a group could take in the time in which it drops slots, which copies weights and velocities
and touches new buffers for the first time. Measured between 1 and 3.4, digits and MNIST, widths 4 to 256."""


@dataclass(frozen=True)
class Stopped:
    """A network at the end of an epoch after which it is taken; ``index`` is its place among the specs.

    ``seconds`` are its share since it was taken last.
    """

    index: int
    params: Params
    epochs_trained: int
    reason: StopReason
    seconds: float


@dataclass
class _Seat:
    """The network in a slot; ``reason`` is set when it has stopped and only idles on."""

    index: int
    spec: NetworkSpec
    save_at: frozenset[int]
    epoch: int = 0
    seconds: float = 0.0
    reason: StopReason | None = None


@dataclass(frozen=True)
class Sources:
    """Where trainings start and what they draw, where that is not what their specs say.

    ``start`` gives the parameters that the training of an index starts from, as the group takes them;
    ``draws`` the seed of what it draws in a global step, counted from 0.
    """

    start: Callable[[int], Params]
    draws: Callable[[int, int], int]


def run_group(
    program: StackedProgram,
    group: TrainingGroup,
    specs: Sequence[NetworkSpec],
    inputs: Inputs,
    labels: dict[float, Tensor],
    on_epoch: Callable[[int], None],
    saves: Sequence[frozenset[int]] | None = None,
    sources: Sources | None = None,
) -> Iterator[Stopped]:
    """Every network as it is taken, in that order: along the way where that is asked for, and as it stops.

    A network's weights are taken at the end of the epoch in which it stops, and the next one that
    waits gets its slot. When none waits, slots of stopped networks idle until dropping them costs less
    than the steps wasted on them, those of the coming epoch included.

    Args:
        program: The architecture.
        group: As many slots as networks are to train together; at most one per spec.
        specs: The networks, in the order in which they get slots; each trains for at least one epoch.
        inputs: All training examples.
        labels: For each label noise of the specs, the training labels.
        on_epoch: Called after every epoch of the group with the number of networks that trained in it.
        saves: For each spec, the epochs after which it is taken, counted from 1; it stops at the last one
            of them. Without, each is taken where its own spec says.
        sources: Instead of the initializations and noise of the specs.
    """
    prepared = group.prepare(inputs)
    noises = sorted(labels)
    table = torch.stack([labels[noise] for noise in noises])
    num_steps = math.ceil(len(inputs) / specs[0].training.batch_size)
    permuted = sources is None and any(spec.training.permute_init is not None for spec in specs)
    units = derive_permutation_spec(program.module, inputs[:2].float()) if permuted else None
    taken = saves or [frozenset([spec.training.num_epochs]) for spec in specs]
    waiting = deque(range(len(specs)))

    def seat_next(slot: int) -> _Seat:
        index = waiting.popleft()
        start = sources.start(index) if sources else initial_params(program, specs[index], units)
        group.load(slot, start)
        return _Seat(index, specs[index], taken[index])

    seats = [seat_next(slot) for slot in range(group.num_slots)]
    num_wasted = 0
    while num_live := sum(seat.reason is None for seat in seats):
        begun = time.perf_counter()
        num_wasted += (len(seats) - num_live) * num_steps
        if num_wasted >= SHRINK_STEPS * num_live:
            live = [slot for slot, seat in enumerate(seats) if seat.reason is None]
            group.keep(live)
            seats, num_wasted = [seats[slot] for slot in live], 0
        means = _train_epoch(group, seats, prepared, table, noises, sources)
        seconds = (time.perf_counter() - begun) / num_live
        for slot, (seat, mean) in enumerate(zip(list(seats), means.tolist(), strict=True)):
            if seat.reason is not None:
                continue
            seat.epoch += 1
            seat.seconds += seconds
            seat.reason = stop_reason(seat.spec.training, seat.epoch, mean, max(seat.save_at))
            if seat.reason is not None or seat.epoch in seat.save_at:
                reason: StopReason = seat.reason or "max_epochs"
                yield Stopped(seat.index, group.read(slot), seat.epoch, reason, seat.seconds)
                seat.seconds = 0.0
            if seat.reason is not None and waiting:
                seats[slot] = seat_next(slot)
        on_epoch(num_live)


def stop_reason(
    training: TrainingSpec, epochs_trained: int, mean_loss: float, last_epoch: int
) -> StopReason | None:
    """Why a network stops after an epoch with this mean of its minibatch losses; None if it goes on."""
    if not math.isfinite(mean_loss):
        return "diverged"
    if training.stop_train_loss is not None and mean_loss < training.stop_train_loss:
        return "loss_reached"
    return "max_epochs" if epochs_trained >= last_epoch else None


def _train_epoch(
    group: TrainingGroup,
    seats: Sequence[_Seat],
    inputs: Inputs,
    table: Tensor,
    noises: Sequence[float],
    sources: Sources | None,
) -> Float64[Tensor, " N"]:
    """One epoch of all slots; idle ones are carried along at learning rate 0 in the order of a live one."""
    live = [seat for seat in seats if seat.reason is None]
    drawn = epoch_orders([seat.spec for seat in live], [seat.epoch for seat in live], len(inputs))
    if len(live) < len(seats):
        place = {id(seat): position for position, seat in enumerate(live)}
        drawn = drawn[[place.get(id(seat), 0) for seat in seats]]
    order = drawn.to(table.device)
    noise = torch.tensor([noises.index(seat.spec.label_noise) for seat in seats], device=table.device)

    def noise_seeds(slot: int, step: int) -> int:
        seat = seats[slot]
        overall = seat.epoch * math.ceil(len(inputs) / seat.spec.training.batch_size) + step
        return sources.draws(seat.index, overall) if sources else noise_seed(seat.spec, overall)

    return group.epoch(
        inputs,
        order,
        table[noise.unsqueeze(-1), order],
        [learning_rate(s.spec.training, s.epoch) if s.reason is None else 0.0 for s in seats],
        [s.spec.training.weight_decay for s in seats],
        noise_seeds,
    )
