"""Modules with tied weights, and with buffers that no state dict holds, as programs."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from workers.architectures.module_program import ModuleProgram


class Tied(nn.Module):
    """A weight used twice, and a constant outside of the state dict."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)
        self.second.weight = self.first.weight
        self.last = nn.Linear(4, 3)
        self.register_buffer("scale", torch.tensor([1.0, 2.0, 3.0, 4.0]), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        hidden = torch.relu(self.second(torch.relu(self.first(inputs))))
        return self.last(hidden * self.scale)


def test_a_tied_weight_is_held_once_and_used_twice() -> None:
    """The state holds it under its first name, and the logits are those of the module itself."""
    program = ModuleProgram(Tied, (1, 2, 2), 3)
    assert {"second.weight": "first.weight"} == program.aliases
    state = program.initialize(5)
    assert ["first.weight", "first.bias", "second.bias", "last.weight", "last.bias"] == list(state)
    module = Tied()
    module.load_state_dict({**state, "second.weight": state["first.weight"]}, strict=True)
    inputs = torch.randn(6, 4, generator=torch.Generator().manual_seed(0))
    logits = program.logits({name: tensor.unsqueeze(0) for name, tensor in state.items()}, inputs)
    assert torch.equal(module(inputs).mT, logits[0])
