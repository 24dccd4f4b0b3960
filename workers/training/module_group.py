"""Training networks of any module, each by its own forward and backward pass.

On a CPU the networks of a group stand side by side on threads, each step on one of them: the plain
loop splits every operation over the threads and waits for the slowest, and its small operations use one
anyway. Bits depend neither on company nor on the number of threads. Against the plain loop on two cores,
this took 0.42 to 0.85 of the time for shallow CNNs and ResNet-20 at widths 8 to 32, digits to CIFAR-10.
A network that trains alone uses one core.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float64, Int64
from torch import Tensor, nn

from workers.architectures.module_program import ModuleProgram
from workers.datasets.inputs import Inputs
from workers.device import single_threads, threads
from workers.params import Params, converted
from workers.seeding import with_global_seed
from workers.specs import TrainingSpec
from workers.training.optimizers import Moments, optimizer_of
from workers.training.precision import products
from workers.training.streams import NoiseSeeds
from workers.training.trial import laid_out, try_out

BLOCK_FLOATS = 1 << 18
"""Floats of inputs made from bytes at a time, 1 MiB: small batches share the cost of making them."""

BLOCK_STEPS = 8
"""Steps that a network takes in a row at most before another one gets the thread."""


class _Slot:
    """A network at some point of its training: its module, and what the optimizer remembers."""

    def __init__(self, module: nn.Module, num_moments: int) -> None:
        self.module = module
        self.tensors = dict(module.named_parameters()) | dict(module.named_buffers())
        self.weights = [weight for weight in module.parameters() if weight.requires_grad]
        self.moments: Moments = [[torch.zeros_like(w) for w in self.weights] for _ in range(num_moments)]
        self.num_steps = 0
        self.elsewhere: Params = {}  # statistics, which training does not touch


class ModuleGroup:
    """Networks of one module, one in each slot.

    Args:
        program: The architecture.
        num_slots: N.
        training: Batch size, optimizer, momentum and precision of every network.
        dtype: Of weights and activations.
        device: Where they live.
    """

    def __init__(
        self,
        program: ModuleProgram,
        num_slots: int,
        *,
        training: TrainingSpec,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        self.program, self.batch_size, self.precision = program, training.batch_size, training.precision
        self.dtype, self.device = dtype, torch.device(device)
        self._optimizer = optimizer_of(training)
        self._trial = try_out(program)
        self._slots = [self._empty_slot() for _ in range(num_slots)]

    @property
    def num_slots(self) -> int:
        """N."""
        return len(self._slots)

    def prepare(self, inputs: Inputs) -> Inputs:
        """All training examples as ``epoch`` takes them: as they are."""
        return inputs

    def load(self, slot: int, params: Params) -> None:
        """Puts a network into a slot, at rest."""
        place = self._slots[slot]
        others = {name: value for name, value in params.items() if name not in place.tensors}
        place.elsewhere = converted(others, self.device, self.dtype)
        with torch.no_grad():
            for name, tensor in place.tensors.items():
                if name in params:  # a constant that no state dict holds is the module's own
                    tensor.copy_(params[name])
            for moment in place.moments:
                torch._foreach_zero_(moment)
        place.num_steps = 0

    def read(self, slot: int) -> Params:
        """A copy of the network in a slot."""
        place = self._slots[slot]
        held = {**place.elsewhere, **place.tensors}
        return {
            name: held[name].detach().clone(memory_format=torch.contiguous_format)
            for name in self.program.names
        }

    def keep(self, slots: Sequence[int]) -> None:
        """Drops all slots but these, which are numbered anew in the order given."""
        self._slots = [self._slots[slot] for slot in slots]

    def epoch(
        self,
        inputs: Inputs,
        order: Int64[Tensor, "N examples"],
        labels: Int64[Tensor, "N examples"],
        learning_rates: Sequence[float],
        weight_decays: Sequence[float],
        noise_seeds: NoiseSeeds,
    ) -> Float64[Tensor, " N"]:
        """Trains every network for one epoch and returns the mean of its minibatches' mean losses, in nats.

        Networks with a learning rate of 0 are left out; theirs is NaN.
        """
        losses: list[list[Tensor]] = [[] for _ in self._slots]
        waiting = deque(
            self._blocks(slot, inputs, order, labels, (rate, decay), noise_seeds, losses[slot])
            for slot, (rate, decay) in enumerate(zip(learning_rates, weight_decays, strict=True))
            if rate > 0.0
        )
        num_together = 1 if self._in_turns else min(torch.get_num_threads(), len(waiting))
        with threads(1):
            if num_together <= 1:
                _work_off(waiting)
            else:
                with single_threads(num_together) as pool:
                    for worker in [pool.submit(_work_off, waiting) for _ in range(num_together)]:
                        worker.result()
        nan = torch.tensor(float("nan"), dtype=torch.float64)
        return torch.stack([torch.stack(of).double().mean().cpu() if of else nan for of in losses])

    @property
    def _in_turns(self) -> bool:
        """Whether networks must not stand side by side: there is one global generator, and one device."""
        return self._trial.draws_random_numbers or self.device.type != "cpu"

    def _blocks(
        self,
        slot: int,
        inputs: Inputs,
        order: Tensor,
        labels: Tensor,
        rate_and_decay: tuple[float, float],
        noise_seeds: NoiseSeeds,
        losses: list[Tensor],
    ) -> Iterator[None]:
        """One epoch of one network; pauses after every block of steps. Appends the minibatches' losses."""
        place, step = self._slots[slot], 0
        floats = self.batch_size * inputs[:1].numel()
        block = self.batch_size * max(1, min(BLOCK_STEPS, BLOCK_FLOATS // floats))
        for rows, truths in zip(
            torch.split(order[slot], block), torch.split(labels[slot], block), strict=True
        ):
            made = laid_out(inputs[rows], self._trial.memory_format)
            for batch, truth in zip(
                torch.split(made, self.batch_size), torch.split(truths, self.batch_size), strict=True
            ):
                seed = noise_seeds(slot, step) if self._trial.draws_random_numbers else None
                losses.append(self._step(place, batch, truth, rate_and_decay, seed))
                step += 1
            yield

    def _step(
        self,
        place: _Slot,
        batch: Tensor,
        truth: Tensor,
        rate_and_decay: tuple[float, float],
        seed: int | None,
    ) -> Tensor:
        """One step of one network; the mean loss of the minibatch before it."""

        def forward() -> Tensor:
            with products(self.precision, self.device):
                return nn.functional.cross_entropy(place.module(batch), truth)

        with torch.enable_grad():
            loss = forward() if seed is None else with_global_seed(seed, forward, self.device)
            for weight in place.weights:
                weight.grad = None
            loss.backward()  # type: ignore[no-untyped-call]
        place.num_steps += 1
        taken = [k for k, weight in enumerate(place.weights) if weight.grad is not None]
        with torch.no_grad():
            self._optimizer.step(
                [place.weights[k] for k in taken],
                # Autograd lays a gradient out as its weight, which the fused kernels rely on.
                [weight.grad for weight in place.weights if weight.grad is not None],
                [[moment[k] for k in taken] for moment in place.moments],
                place.num_steps,
                *rate_and_decay,
            )
        return loss.detach()

    def _empty_slot(self) -> _Slot:
        """A slot with a module of its own, whose weights mean nothing yet."""
        module = self.program.own_module("training").to(self.device, self.dtype)
        module = module.to(memory_format=self._trial.memory_format)
        return _Slot(module, self._optimizer.num_moments)


def _work_off(waiting: deque[Iterator[None]]) -> None:
    """Takes networks from the queue, a block of steps at a time, until none has steps left."""
    while True:
        try:
            blocks = waiting.popleft()
        except IndexError:
            return
        for _ in blocks:
            waiting.append(blocks)
            break
