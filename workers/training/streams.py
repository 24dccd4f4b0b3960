"""What chance decides in training: a network's initialization, and the order in which it sees the data.

Streams are named by purpose and seed alone, so networks of the same seed in different cells see the
same order, and those of equal shape start from the same weights.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Int64
from torch import Tensor

from workers.architectures.program import StackedProgram
from workers.params import Params, row, stack
from workers.permutation import permute
from workers.permutation.derive import derive_permutation_spec
from workers.permutation.spec import PermutationSpec
from workers.seeding import derive_seed, generator
from workers.specs import NetworkSpec

NoiseSeeds = Callable[[int, int], int]
"""From the slot of a network and the step of its epoch to the seed of what its module draws in that step."""


def initial_params(
    program: StackedProgram, spec: NetworkSpec, permutation_spec: PermutationSpec | None = None
) -> Params:
    """The weights that a network starts from.

    PyTorch's default initialization from the stream ("init", seed), where seed is ``init_seed`` or else
    the network's own; 0 for networks that spawn from a common run. With ``permute_init``, a random
    permutation of its hidden units, which computes the same function.

    Args:
        program: The architecture.
        spec: The network.
        permutation_spec: Of the architecture, where it is at hand; derived if needed.
    """
    training = spec.training
    seed = _given_or(training.init_seed, spec.seed if training.spawn_at_step is None else 0)
    params = program.initialize(derive_seed("init", seed))
    if training.permute_init is None:
        return params
    units = permutation_spec or derive_permutation_spec(program.module)
    chosen = permute.random(units, "permute_init", seed, training.permute_init)
    start = {group: index.unsqueeze(0) for group, index in chosen.items()}
    return row(permute.apply(stack([params]), start, units), 0)


def epoch_orders(
    specs: Sequence[NetworkSpec], epochs: Sequence[int], num_examples: int
) -> Int64[Tensor, "N examples"]:
    """Per network, the order in which it sees the examples in its epoch.

    A permutation of all examples from the stream ("order", seed, epoch), where seed is ``order_seed`` or
    else the network's own. Networks that spawn at step k take the batch at global step s from the
    shared stream (``order_seed`` or 0) while s < k and from the stream of their own seed from there on,
    each at the same positions of the epoch; in the epoch of the spawn an example may thus come twice.

    Args:
        specs: The networks.
        epochs: For each, which of its epochs it is about to train, counted from 0.
        num_examples: Of the data set.
    """
    drawn: dict[tuple[int, int], Tensor] = {}

    def order(seed: int, epoch: int) -> Tensor:
        if (seed, epoch) not in drawn:
            drawn[seed, epoch] = torch.randperm(num_examples, generator=generator("order", seed, epoch))
        return drawn[seed, epoch]

    orders = torch.empty((len(specs), num_examples), dtype=torch.int64)
    for index, (spec, epoch) in enumerate(zip(specs, epochs, strict=True)):
        training = spec.training
        if training.spawn_at_step is None:
            orders[index] = order(_given_or(training.order_seed, spec.seed), epoch)
            continue
        steps_before = epoch * -(-num_examples // training.batch_size)
        num_shared = max(0, training.spawn_at_step - steps_before) * training.batch_size
        if num_shared > 0:
            orders[index, :num_shared] = order(_given_or(training.order_seed, 0), epoch)[:num_shared]
        if num_shared < num_examples:
            orders[index, num_shared:] = order(spec.seed, epoch)[num_shared:]
    return orders


def noise_seed(spec: NetworkSpec, step: int) -> int:
    """The seed of what a module itself draws in a global step, counted from 0: dropout masks.

    From the stream ("dropout", seed, step), where seed is that of the batch order: networks that spawn
    from a common run share their masks as long as their batches.
    """
    training = spec.training
    seed = _given_or(training.order_seed, spec.seed)
    if training.spawn_at_step is not None:
        shares = step < training.spawn_at_step
        seed = _given_or(training.order_seed, 0) if shares else spec.seed
    return derive_seed("dropout", seed, step)


def _given_or(seed: int | None, otherwise: int) -> int:
    return otherwise if seed is None else seed
