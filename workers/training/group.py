"""How networks of one architecture take their steps together."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float64, Int64
from torch import Tensor

from workers.architectures.mlp import MLPProgram
from workers.architectures.module_program import ModuleProgram
from workers.architectures.program import StackedProgram
from workers.datasets.inputs import Inputs
from workers.params import Params
from workers.specs import TrainingSpec
from workers.training.kernels import training_kernel
from workers.training.mlp_adam import AdamMLPGroup
from workers.training.mlp_step import MLPGroup
from workers.training.module_group import ModuleGroup
from workers.training.precision import check_precision
from workers.training.streams import NoiseSeeds
from workers.training.vmap_group import VmapGroup

GROUP_BYTES = 10 << 20
"""Bytes that the networks of a group and their batches may fill together on a CPU.

Fitted to measurement (float32, batch 64, digits at widths 4 to 1024 and MNIST at 16 to 1024, two cores
with 1 MiB of L2 each and 32 MiB of L3 together): of 1 to 64 networks per group, the fastest filled 8 to
20 MiB on two threads and 5 to 10 MiB on one; at 10 MiB few shapes are a tenth from their best. Larger
groups save overhead, but their weights and velocities leave the cache between two steps.
"""

GROUP_SLOTS = 64
"""Networks of a group at most on a CPU: more save nothing, since overhead is a small part by then."""

SLOT_BYTES = 4 << 30
"""Bytes that the networks of a group of other modules may take together."""


@runtime_checkable
class TrainingGroup(Protocol):
    """Networks in numbered slots that train epoch by epoch, each as if it were alone."""

    @property
    def num_slots(self) -> int:
        """N."""
        ...

    def prepare(self, inputs: Inputs) -> Inputs:
        """All training examples, as ``epoch`` takes them."""
        ...

    def load(self, slot: int, params: Params) -> None:
        """Puts a network into a slot, at rest."""
        ...

    def read(self, slot: int) -> Params:
        """A copy of the network in a slot."""
        ...

    def keep(self, slots: Sequence[int]) -> None:
        """Drops all slots but these, which are numbered anew in the order given."""
        ...

    def epoch(
        self,
        inputs: Inputs,
        order: Int64[Tensor, "N examples"],
        labels: Int64[Tensor, "N examples"],
        learning_rates: Sequence[float],
        weight_decays: Sequence[float],
        noise_seeds: NoiseSeeds,
    ) -> Float64[Tensor, " N"]:
        """Trains every network for one epoch; the mean of its minibatches' mean losses, in nats.

        Those with a learning rate of 0 are at rest; what is returned for them means nothing.
        """
        ...


def open_group(
    program: StackedProgram,
    num_networks: int,
    *,
    training: TrainingSpec,
    dtype: torch.dtype,
    device: torch.device,
) -> TrainingGroup:
    """A group for an architecture, of as many slots as pay for its shape, at most ``num_networks``.

    Args:
        program: The architecture.
        num_networks: That are to be trained.
        training: Its batch size, optimizer, momentum and precision are those of all of them.
        dtype: Of weights and activations.
        device: Where to train.

    Raises:
        ValueError: If the device does not have the precision.
    """
    check_precision(training, device)
    if isinstance(program, MLPProgram) and training.precision != "bfloat16":
        num_slots = min(num_networks, _slots_by_shape(program, training.batch_size, device))
        kind = {"sgd": MLPGroup, "adam": AdamMLPGroup}[training.optimizer]
        return kind(
            program,
            num_slots,
            batch_size=training.batch_size,
            momentum=training.momentum,
            dtype=dtype,
            device=device,
        )
    modules = _as_modules(program)
    kernel = VmapGroup if training_kernel(modules, training, device) == "vmap" else ModuleGroup
    num_slots = min(num_networks, _slots_by_memory(modules, training.batch_size, kernel is VmapGroup))
    return kernel(modules, num_slots, training=training, dtype=dtype, device=device)


def _as_modules(program: StackedProgram) -> ModuleProgram:
    """The program of the module itself, for what no kernel of its own does."""
    if isinstance(program, ModuleProgram):
        return program
    assert isinstance(program, MLPProgram)
    return ModuleProgram(program.make, (program.num_inputs, 1, 1), program.num_classes, "mlp")


def _slots_by_memory(program: ModuleProgram, batch_size: int, are_activations_together: bool) -> int:
    """How many networks stay within SLOT_BYTES with the optimizer's averages, gradients and activations."""
    per_network = 16 * program.num_parameters
    if are_activations_together:
        per_network += 4 * batch_size * program.floats_per_example()
    return max(torch.get_num_threads(), min(GROUP_SLOTS, SLOT_BYTES // per_network))


def _slots_by_shape(program: MLPProgram, batch_size: int, device: torch.device) -> int:
    """How many networks of this shape fill GROUP_BYTES, an even number up to GROUP_SLOTS.

    At least one per thread, since a product never uses more threads than networks; 1024 on devices
    where every network saves a launch and there is no such cache.
    """
    if device.type != "cpu":
        return 1024
    num_inputs, num_classes = program.num_inputs, program.num_classes
    width, depth = program.width, program.depth
    weights = width * (num_inputs + (depth - 1) * width + num_classes)
    per_example = num_inputs + (depth + 2) * width + 2 * num_classes
    fitting = GROUP_BYTES // (4 * (2 * weights + batch_size * per_example))
    return max(torch.get_num_threads(), min(GROUP_SLOTS, fitting // 2 * 2))
