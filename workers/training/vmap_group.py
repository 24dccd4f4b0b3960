"""Training networks of any module in one pass over stacked weights, for devices where launches cost most.

All weights of a network lie in one row, so that an update of the whole stack is a few operations. On a
CPU ``vmap`` turns convolutions into grouped ones, which are slower than a loop.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float64, Int64
from torch import Tensor, nn
from torch.func import functional_call

from workers.architectures.module_program import ModuleProgram
from workers.datasets.inputs import Inputs
from workers.params import Params, converted
from workers.specs import TrainingSpec
from workers.training.optimizers import optimizer_of
from workers.training.precision import products
from workers.training.streams import NoiseSeeds


class VmapGroup:
    """Networks of one module that take their steps together, one in each slot.

    For modules whose forward pass draws no random numbers, and all of whose weights enter it.

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
        self.device = torch.device(device)
        self._module = program.own_module("training").to(self.device, dtype)
        self._optimizer = optimizer_of(training)
        trained = {name: p for name, p in self._module.named_parameters() if p.requires_grad}
        self._shapes = {name: weight.shape for name, weight in trained.items()}
        self._sizes = [weight.numel() for weight in trained.values()]
        self._flat = torch.zeros((num_slots, sum(self._sizes)), dtype=dtype, device=self.device)
        self._moments = [torch.zeros_like(self._flat) for _ in range(self._optimizer.num_moments)]
        self._num_steps = [0] * num_slots
        # What stays as it is: statistics, which the module has not while it trains, and frozen weights.
        self._fixed: list[Params] = [{} for _ in range(num_slots)]
        seen = dict(self._module.named_parameters()) | dict(self._module.named_buffers())
        self._seen = [name for name in program.names if name in seen and name not in trained]

    @property
    def num_slots(self) -> int:
        """N."""
        return len(self._flat)

    def prepare(self, inputs: Inputs) -> Inputs:
        """All training examples as ``epoch`` takes them: as they are."""
        return inputs

    def load(self, slot: int, params: Params) -> None:
        """Puts a network into a slot, at rest."""
        row = torch.cat([params[name].flatten() for name in self._shapes])
        self._flat[slot] = row.to(self._flat)
        others = {name: value for name, value in params.items() if name not in self._shapes}
        self._fixed[slot] = converted(others, self.device, self._flat.dtype)
        for moment in self._moments:
            moment[slot].zero_()
        self._num_steps[slot] = 0

    def read(self, slot: int) -> Params:
        """A copy of the network in a slot."""
        trained = {name: value[slot] for name, value in self._weights(self._flat).items()}
        held = {**self._fixed[slot], **trained}
        return {name: held[name].clone() for name in self.program.names}

    def keep(self, slots: Sequence[int]) -> None:
        """Drops all slots but these, which are numbered anew in the order given."""
        index = torch.tensor(slots, device=self.device)
        self._flat = self._flat[index]
        self._num_steps = [self._num_steps[slot] for slot in slots]
        self._moments = [moment[index] for moment in self._moments]
        self._fixed = [self._fixed[slot] for slot in slots]

    def epoch(
        self,
        inputs: Inputs,
        order: Int64[Tensor, "N examples"],
        labels: Int64[Tensor, "N examples"],
        learning_rates: Sequence[float],
        weight_decays: Sequence[float],
        noise_seeds: NoiseSeeds,
    ) -> Float64[Tensor, " N"]:
        """Trains every network for one epoch; the mean of its minibatches' mean losses, in nats."""
        rates, decays = (
            torch.tensor(values, dtype=torch.float64).to(self._flat).unsqueeze(1)
            for values in (learning_rates, weight_decays)
        )
        fixed = {name: torch.stack([of[name] for of in self._fixed]) for name in self._seen}
        losses = []
        for rows, truths in zip(
            torch.split(order, self.batch_size, 1), torch.split(labels, self.batch_size, 1), strict=True
        ):
            batches = inputs[rows.flatten()]
            batches = batches.view(*rows.shape, *batches.shape[1:])
            leaf = self._flat.detach().requires_grad_()
            with torch.enable_grad(), products(self.precision, self.device):
                logits = torch.vmap(self._forward)({**self._weights(leaf), **fixed}, batches)
                of_examples = nn.functional.cross_entropy(
                    logits.flatten(0, 1), truths.flatten(), reduction="none"
                )
                means = of_examples.view(rows.shape).mean(1)
                (gradient,) = torch.autograd.grad(means.sum(), leaf)
            self._num_steps = [number + 1 for number in self._num_steps]
            self._optimizer.step_stack(
                self._flat, gradient.contiguous(), self._moments, self._num_steps, rates, decays
            )
            losses.append(means.detach())
        return torch.stack(losses, 1).double().mean(1)

    def _forward(self, state: Params, inputs: Tensor) -> Tensor:
        """Logits of one network."""
        logits: Tensor = functional_call(self._module, state, (inputs,))
        return logits

    def _weights(self, flat: Tensor) -> Params:
        """Views of every weight on the rows, stacked."""
        parts = torch.split(flat, self._sizes, 1)
        return {
            name: part.view(len(flat), *shape)
            for (name, shape), part in zip(self._shapes.items(), parts, strict=True)
        }
