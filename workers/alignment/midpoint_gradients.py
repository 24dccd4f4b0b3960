"""The loss of the network halfway between two: on minibatches with gradients, and on all examples."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TypeVar

import torch
from torch import Tensor
from torch.func import functional_call
from torch.nn import functional

from workers.alignment.examples import Examples
from workers.architectures.module_program import ModuleProgram, laid_out
from workers.device import single_threads, tf32, threads
from workers.evaluation import evaluate
from workers.params import ParamStack, interpolated, row
from workers.seeding import generator
from workers.statistics import statistics_batches

Found = TypeVar("Found")


def objective_on(examples: Examples) -> str:
    """What ``MidpointLoss`` is called: with batch norm it is no value that other searches minimize."""
    return "midpoint_loss_reset_bn" if examples.program.statistics else "midpoint_loss"


COPIES_PER_ACTIVATION = 3
"""What a minibatch keeps of every activation: itself, its derivative, and what an operation works on."""


@dataclass(frozen=True)
class MidpointLoss:
    """Mean cross-entropy of the midpoint with one network, in nats.

    With batch norm, the statistics of a midpoint are those of the examples that it is run on, not the
    mean of its ends': under these its loss says little about how well the ends are aligned (REPAIR,
    Jordan et al. 2022). On minibatches they are the minibatch's; before the loss is taken on all
    examples, they are measured on a fixed part of them, as by ``reset_bn``.

    Attributes:
        first: The network that stays, a stack of one.
        examples: What the loss is taken on.
        batch_size: Of minibatches; at most all examples.
        max_bytes: Bound of the memory that a minibatch's activations may take; beyond, it is taken in parts.
    """

    first: ParamStack
    examples: Examples
    batch_size: int
    max_bytes: float

    def minibatches(self, name: str, method: str) -> Iterator[Tensor]:
        """Indices of minibatches without end; what is left over by an epoch waits for another one."""
        num_examples = len(self.examples.labels)
        batch_size = min(num_examples, max(self.batch_size, 2 if self.examples.program.statistics else 1))
        epoch = 0
        while True:
            stream = generator("alignment", name, method, "minibatches", epoch)
            order = torch.randperm(num_examples, generator=stream)[: num_examples // batch_size * batch_size]
            yield from torch.split(order, batch_size)
            epoch += 1

    def on_all(self, second: ParamStack) -> float:
        """The loss of the midpoint with a network on all examples."""
        program, inputs = self.examples.program, self.examples.inputs
        with torch.no_grad():
            middle = interpolated(self.first, second, 0.5)
            if program.statistics:
                batches = statistics_batches(inputs, "alignment")
                middle = program.with_statistics(middle, batches)
            return float(evaluate(program, middle, inputs, self.examples.labels).losses[0])

    def gradient(self, second: ParamStack, minibatch: Tensor) -> tuple[float, ParamStack]:
        """The loss of the midpoint with a network on a minibatch, and its derivative by that network."""
        program, labels = self.examples.program, self.examples.labels
        middle = interpolated(self.first, second, 0.5)
        leaves = {
            name: tensor.detach().requires_grad_()
            for name, tensor in middle.items()
            if tensor.is_floating_point() and name not in program.buffers
        }
        total, gradients = 0.0, {name: torch.zeros_like(tensor) for name, tensor in leaves.items()}
        for part in minibatch.tensor_split(self._num_parts(len(minibatch))):
            with torch.enable_grad():
                logits = self._logits(middle | leaves, self.examples.inputs[part.to(labels.device)])
                wanted = labels[part.to(labels.device)].unsqueeze(0)
                loss = functional.cross_entropy(logits, wanted, reduction="sum") / len(minibatch)
                found = torch.autograd.grad(loss, list(leaves.values()), allow_unused=True)
            total += float(loss.detach())
            for name, gradient in zip(leaves, found, strict=True):
                if gradient is not None:
                    gradients[name].add_(gradient, alpha=0.5)
        return total, gradients

    def _logits(self, middle: ParamStack, inputs: Tensor) -> Tensor:
        """Logits (1, C, B), with the batch's own statistics."""
        program = self.examples.program
        if not program.statistics:
            logits: Tensor = program.logits(middle, inputs)
            return logits
        assert isinstance(program, ModuleProgram)
        state = row(middle, 0)
        state |= {name: state[name].clone() for name in program.buffers}  # updated in place
        with program.copy("statistics", state) as module:
            logits = functional_call(module, state, (laid_out(inputs),))
        stacked: Tensor = logits.mT.unsqueeze(0)
        return stacked

    def _num_parts(self, num_examples: int) -> int:
        """Parts in which a minibatch is taken; with batch norm, none of a single example."""
        itemsize = next(iter(self.first.values())).element_size()
        needed = COPIES_PER_ACTIVATION * itemsize * self.examples.program.floats_per_example() * num_examples
        most = max(1, num_examples // 2 if self.examples.program.statistics else num_examples)
        return min(most, max(1, int(-(-needed // self.max_bytes))))


def side_by_side(search: Callable[[int], Found], num_groups: int) -> list[Found]:
    """``search`` of every group of networks by number, as many at once as torch has threads.

    Each runs on one thread, its derivatives too, so that its bits depend neither on the others nor on
    how many threads there are.
    """
    num_together = min(torch.get_num_threads(), num_groups)
    with threads(1), tf32(False):
        if num_together <= 1:
            return [search(index) for index in range(num_groups)]
        with single_threads(num_together) as pool:
            return list(pool.map(search, range(num_groups)))
