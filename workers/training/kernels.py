"""The kernel by which networks of a module train on a device."""

from __future__ import annotations

from typing import Literal

import torch

from workers.architectures.kernels import fastest
from workers.architectures.module_program import ModuleProgram
from workers.specs import TrainingSpec
from workers.training.module_group import ModuleGroup
from workers.training.trial import try_out
from workers.training.vmap_group import VmapGroup

Kernel = Literal["loop", "vmap"]

TRIAL_NETWORKS = 16
"""Networks of the timed steps: fixed, so that the choice does not depend on how many are left."""

TRIAL_STEPS = 3


def training_kernel(program: ModuleProgram, training: TrainingSpec, device: torch.device) -> Kernel:
    """``loop`` on a CPU and for modules that draw random numbers, else what a few steps show to be faster."""
    if device.type == "cpu" or try_out(program).draws_random_numbers:
        return "loop"
    key = (
        program.name,
        program.shape,
        program.num_parameters,
        training.batch_size,
        training.precision,
        device,
    )
    ways = {
        kind: _Steps(group, program, training, device)
        for kind, group in (("loop", ModuleGroup), ("vmap", VmapGroup))
    }
    return "vmap" if fastest(key, ways, device) == "vmap" else "loop"


class _Steps:
    """A few training steps of some networks on images of zeros."""

    def __init__(
        self,
        kind: type[ModuleGroup] | type[VmapGroup],
        program: ModuleProgram,
        training: TrainingSpec,
        device: torch.device,
    ) -> None:
        self.kind, self.program, self.training, self.device = kind, program, training, device
        self.group: ModuleGroup | VmapGroup | None = None

    def __call__(self) -> None:
        """Takes them; the first time the group is made."""
        if self.group is None:
            self.group = self.kind(self.program, TRIAL_NETWORKS, training=self.training, device=self.device)
            start = self.program.initialize(0)
            for slot in range(TRIAL_NETWORKS):
                self.group.load(slot, start)
        num_examples = TRIAL_STEPS * self.training.batch_size
        inputs = self.program.prepare(torch.zeros(num_examples, *self.program.shape, device=self.device))
        order = torch.arange(num_examples, device=self.device).expand(TRIAL_NETWORKS, -1)
        rates = [1e-3] * TRIAL_NETWORKS
        self.group.epoch(inputs, order, torch.zeros_like(order), rates, rates, lambda slot, step: 0)
