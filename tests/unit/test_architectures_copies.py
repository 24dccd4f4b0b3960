"""Copies of a module that run with the tensors of any network."""

from __future__ import annotations

import gc
import weakref

import pytest
import torch
from small_convolutions import PROGRAMS, examples, networks
from torch import Tensor, nn
from torch.func import functional_call

from workers.architectures.module_program import ModuleProgram
from workers.device import map_on_threads, threads
from workers.params import Params, row, stack

INPUTS = examples(8, dtype=torch.float32)


class Rebinding(nn.Module):
    """A tied weight, an LSTM, which keeps a list of its weights, and a buffer that is replaced."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(72, 6), nn.Linear(72, 6)
        self.second.weight = self.first.weight
        self.recurrent = nn.LSTM(6, 4, batch_first=True)
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits, shifted by how often it was called before."""
        hidden = torch.stack([self.first(inputs.flatten(1)), self.second(inputs.flatten(1))], 1)
        self.calls = self.calls + 1
        return self.recurrent(hidden)[0][:, -1] + self.calls


REBINDING = ModuleProgram(Rebinding, (2, 6, 6), 4)


def state_of(program: ModuleProgram, seed: int) -> Params:
    """A network of single precision."""
    return row(networks(program, range(seed, seed + 1), torch.float32), 0)


@pytest.mark.parametrize("name", [*PROGRAMS, "rebinding"])
def test_a_forward_pass_has_the_bits_of_functional_call(name: str) -> None:
    """For every network in turn, ties, caches of weights and replaced buffers included."""
    program = REBINDING if name == "rebinding" else PROGRAMS[name]
    inputs = program.prepare(INPUTS)
    for seed in (0, 1, 0):
        network = state_of(program, seed)
        with program.copy("evaluation", network) as module:
            expected = functional_call(module, dict(network), (inputs,))
        with program.forward("evaluation", network) as run:
            assert torch.equal(expected, run(network, inputs))
            assert torch.equal(expected, run(network, inputs))


def test_statistics_are_written_into_the_tensors_given() -> None:
    """What batch norm updates in place stands in the caller's tensors, and in nobody else's."""
    program, network = PROGRAMS["batch_normed"], state_of(PROGRAMS["batch_normed"], 0)
    own, others = ({name: t.clone() for name, t in network.items()} for _ in range(2))
    with program.forward("statistics", own) as run:
        run(own, INPUTS)
    assert all(not torch.equal(network[name], own[name]) for name in program.statistics)
    with program.forward("statistics", others) as run:
        run(others, INPUTS)
    assert all(torch.equal(own[name], others[name]) for name in own)


def test_no_tensor_is_kept() -> None:
    """When the copy is given back, nothing holds a network's tensors any longer."""
    program, network = PROGRAMS["plain"], state_of(PROGRAMS["plain"], 0)
    seen = [weakref.ref(tensor) for tensor in network.values()]
    with program.forward("evaluation", network) as run:
        run(network, INPUTS)
    del network
    gc.collect()
    assert [None] * len(seen) == [tensor() for tensor in seen]


def test_threads_have_copies_of_their_own() -> None:
    """Networks that are run side by side compute what they compute alone."""
    program = PROGRAMS["residual"]
    made = networks(program, range(12), torch.float32)
    alone = [program.logits(stack([row(made, k)]), INPUTS) for k in range(12)]
    with threads(4):
        together = map_on_threads(lambda k: program.logits(stack([row(made, k)]), INPUTS), list(range(12)))
    assert all(torch.equal(one, other) for one, other in zip(alone, together, strict=True))
