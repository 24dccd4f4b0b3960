"""What a trial step tells of a module before networks of it are trained."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from workers.architectures.module_program import ModuleProgram
from workers.seeding import with_global_seed


@dataclass(frozen=True)
class Trial:
    """How a module is to be trained.

    Attributes:
        memory_format: Of weights and inputs on a CPU. With channels last, steps of convolutional
            networks were measured at 0.65 to 0.98 of the time; a module that looks at its maps by
            ``view`` takes no such inputs.
        draws_random_numbers: Whether its forward pass in training draws from torch's global generator,
            as dropout does.
    """

    memory_format: torch.memory_format
    draws_random_numbers: bool


def try_out(program: ModuleProgram) -> Trial:
    """The trial of a program: forward passes in training mode on two images of zeros, on the CPU."""
    module = program.own_module("training")
    inputs = program.prepare(torch.zeros(2, *program.shape))

    def draws() -> bool:
        before = torch.get_rng_state()
        module(inputs)
        return not torch.equal(before, torch.get_rng_state())

    def takes(memory_format: torch.memory_format) -> bool:
        try:
            module.to(memory_format=memory_format)
            module(inputs.contiguous(memory_format=memory_format))
        except RuntimeError:
            return False
        return True

    with torch.no_grad():
        draws_random_numbers = with_global_seed(0, draws)
        is_convolutional = inputs.ndim == 4 and any(p.ndim == 4 for p in module.parameters())
        fits = is_convolutional and with_global_seed(0, lambda: takes(torch.channels_last))
    return Trial(torch.channels_last if fits else torch.contiguous_format, draws_random_numbers)


def laid_out(inputs: Tensor, memory_format: torch.memory_format) -> Tensor:
    """The inputs in a memory format, where it applies."""
    return inputs.contiguous(memory_format=memory_format) if inputs.ndim == 4 else inputs
