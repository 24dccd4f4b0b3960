"""Programs whose networks lie on another device than the CPU: what no state dict holds follows them."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from workers.architectures.module_program import ModuleProgram
from workers.interpolation.repair import repaired_modules
from workers.params import ParamStack, stack

Evaluate = Callable[[ModuleProgram, ParamStack, Tensor], ParamStack]


class Positioned(nn.Module):
    """A table that is no part of the state dict, added to activations, and a constant, added to logits."""

    table: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.norm = nn.Linear(4, 5), nn.Linear(5, 6), nn.BatchNorm1d(6)
        self.norm.num_batches_tracked = None  # a number that is read, and on meta has no value
        self.last = nn.Linear(6, 3)
        self.register_buffer("table", torch.linspace(0.0, 1.0, 5), persistent=False)
        self.constant = torch.linspace(1.0, 2.0, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = torch.relu(self.norm(self.second(self.first(inputs) + self.table)))
        logits: Tensor = self.last(hidden)
        return logits + self.constant


def logits(program: ModuleProgram, params: ParamStack, inputs: Tensor) -> ParamStack:
    """As a stack of one name."""
    return {"logits": program.logits(params, inputs)}


def statistics(program: ModuleProgram, params: ParamStack, inputs: Tensor) -> ParamStack:
    """Measured on one batch."""
    return program.with_statistics(params, [inputs])


def repaired(program: ModuleProgram, params: ParamStack, inputs: Tensor) -> ParamStack:
    """Between a stack and itself in reverse."""
    reversed_params = {name: tensor.flip(0) for name, tensor in params.items()}
    _, corrected = repaired_modules(program, params, reversed_params, [inputs])
    return corrected([0.5])


@pytest.mark.parametrize("evaluate", [logits, statistics, repaired])
def test_tables_follow_the_weights(evaluate: Evaluate) -> None:
    """After a device of shapes alone, the CPU has the same bits as before; each has its own copies."""
    program = ModuleProgram(Positioned, (1, 2, 2), 3)
    params = stack([program.initialize(seed) for seed in range(2)])
    inputs = torch.randn(5, 4, generator=torch.Generator().manual_seed(0))
    before = evaluate(program, params, inputs)
    shapes = evaluate(program, {name: t.to("meta") for name, t in params.items()}, inputs.to("meta"))
    after = evaluate(program, params, inputs)
    assert {name: t.shape for name, t in before.items()} == {name: t.shape for name, t in shapes.items()}
    assert {"meta"} == {tensor.device.type for tensor in shapes.values()}
    assert all(torch.equal(tensor, after[name]) for name, tensor in before.items())
