"""Stochastic gradient descent for a group of MLPs of one shape, forward and backward by hand.

Layout. Activations are (N, W, B), logits (N, C, B): examples lie innermost, so every entrywise
operation, and the log-softmax over classes, runs along contiguous rows. The weights of all layers lie
in one flat buffer, layer after layer with the network axis first in each, biases behind them; the
velocities in a second one. A product that forms a weight's gradient adds it to the decayed velocity
as it goes, so that gradient is never stored, and one subtraction updates everything.

Arithmetic. The velocity u holds learning_rate * v, where v is the momentum buffer of ``torch.optim.SGD``:

    u <- momentum * u + learning_rate * (gradient + weight_decay * w),    w <- w - u

and is rescaled when the learning rate changes. The rate enters through the gradient of the logits, C
numbers per example, so rates may differ between networks at no cost and all are rounded alike.

Same bits in any company. Measured on CPU: batched products give a network the same bits at any place
among any number of others if its matrices always start alike modulo 16 bytes and no more threads than
networks take part, and products with one row or column are left out. So sizes are rounded up to
multiples of 4: inputs by zero columns, hidden units by dead ones, batches by examples without gradient.
All of these contribute exact zeros.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from workers.architectures.mlp import MLPProgram
from workers.datasets.inputs import ByteInputs, Inputs
from workers.device import threads
from workers.evaluation import usable_threads
from workers.params import Params
from workers.training.minibatches import Minibatches, minibatches
from workers.training.mlp_buffers import Layout, StepBuffers, split
from workers.training.streams import NoiseSeeds

TABLE_BYTES = 256 << 20
"""Bytes of normalized inputs that a group keeps while it trains; beyond, each step normalizes its batches."""


class MLPGroup:
    """MLPs that take their steps together, one in each slot.

    Networks in different slots may belong to different cells and be in different epochs. They share
    the momentum, which is a scalar of the products.

    Args:
        program: The architecture.
        num_slots: N.
        batch_size: Examples of a batch; the last one of an epoch may be smaller.
        momentum: Of every network.
        dtype: Of weights and activations.
        device: Where they live.
    """

    def __init__(
        self,
        program: MLPProgram,
        num_slots: int,
        *,
        batch_size: int,
        momentum: float,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        self.program, self.batch_size, self.momentum = program, batch_size, momentum
        self._layout = Layout.of(program)
        flat = torch.zeros(num_slots * self._layout.num_entries, dtype=dtype, device=device)
        self._rates = torch.zeros(num_slots, dtype=torch.float64)
        self._place(flat, torch.zeros_like(flat))

    @property
    def num_slots(self) -> int:
        """N."""
        return len(self._rates)

    def prepare(self, inputs: Inputs) -> Inputs:
        """All training examples as ``epoch`` takes them, normalized once if they take TABLE_BYTES at most.

        In a table there are zero columns behind, up to a multiple of 4.
        """
        num_inputs, padded = self._layout.sizes[0], self._layout.padded[0]
        num_bytes = len(inputs) * padded * self._flat.element_size()
        if isinstance(inputs, ByteInputs) and num_bytes > TABLE_BYTES:
            return inputs
        table = inputs[:]
        return torch.nn.functional.pad(table, (0, padded - num_inputs)) if padded > num_inputs else table

    def load(self, slot: int, params: Params) -> None:
        """Puts a network into a slot, at rest."""
        self._layout.write(self._flat, slot, params)
        self._layout.clear(self._flat_velocity, slot)
        self._rates[slot] = 0.0

    def read(self, slot: int) -> Params:
        """A copy of the network in a slot."""
        return self._layout.read(self._flat, slot)

    def keep(self, slots: Sequence[int]) -> None:
        """Drops all slots but these, which are numbered anew in the order given."""
        self._rates = self._rates[slots]
        self._place(self._layout.kept(self._flat, slots), self._layout.kept(self._flat_velocity, slots))

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

        Args:
            inputs: From ``prepare``, made of the group's type and on its device.
            order: Per network, the rows of ``inputs`` in the order in which it sees them.
            labels: Per network, the true classes in that same order.
            learning_rates: Of this epoch, per network.
            weight_decays: Per network.
            noise_seeds: Not used: an MLP draws nothing.
        """
        rates = torch.tensor(learning_rates, dtype=torch.float64)
        scales = self._begin_epoch(rates)
        decays = scales * torch.tensor(weight_decays, dtype=torch.float64)
        decay = self._per_network(decays) if decays.any() else None
        means = []
        with threads(usable_threads(self.num_slots)):
            for batches in minibatches(order, labels, self.batch_size, self.program.num_classes):
                means.append(self._steps(inputs, batches, self._per_network(scales / batches.size), decay))
        return torch.cat(means, dim=1).mean(1)

    def _steps(
        self, inputs: Inputs, batches: Minibatches, rate: Tensor, decay: Tensor | None
    ) -> Float64[Tensor, "N steps"]:
        """Consecutive steps of one batch size; per network and step, the mean loss of the minibatch."""
        buffers = self._buffers(batches.padded_size)
        picked = torch.empty_like(batches.rows, dtype=self._flat.dtype)
        for rows, picks, into in zip(batches.rows, batches.picks, picked, strict=True):
            self._forward(inputs, rows, buffers)
            torch.ops.aten._log_softmax.out(buffers.logits, 1, False, out=buffers.log_probabilities)
            torch.take(buffers.log_probabilities, picks, out=into)
            self._logit_gradient(buffers, picks, rate, batches.size)
            self._backward(buffers)
            self._update(decay)
        losses = picked.view(-1, self.num_slots, batches.padded_size)[..., : batches.size]
        return losses.to(torch.float64).mean(-1).T.contiguous().neg_()

    def _forward(self, inputs: Inputs, rows: Tensor, buffers: StepBuffers) -> None:
        """Hidden activations and logits of the chosen rows."""
        if isinstance(inputs, Tensor):
            torch.index_select(inputs, 0, rows, out=buffers.inputs.flatten(0, 1))
        else:
            buffers.inputs.flatten(0, 1)[:, : self._layout.sizes[0]] = inputs[rows]
        below = buffers.inputs.mT
        for weight, bias, hidden in zip(self._weights, self._bias_columns, buffers.hidden, strict=False):
            below = torch.baddbmm(bias, weight, below, out=hidden).relu_()
        torch.baddbmm(self._bias_columns[-1], self._weights[-1], below, out=buffers.logits)

    @staticmethod
    def _logit_gradient(buffers: StepBuffers, picks: Tensor, rate: Tensor, size: int) -> None:
        """rate * (probabilities - one-hot) in place of the logits; zero for the examples beyond ``size``."""
        gradient = torch.exp(buffers.log_probabilities, out=buffers.logits)
        gradient.view(-1).index_add_(0, picks, buffers.minus_one)
        gradient.mul_(rate)
        if size < gradient.shape[2]:
            gradient[..., size:].zero_()

    def _backward(self, buffers: StepBuffers) -> None:
        """Velocities decayed by the momentum, plus the scaled gradient."""
        gradient = buffers.logits
        for layer in reversed(range(len(self._weights))):
            below = buffers.hidden[layer - 1].mT if layer else buffers.inputs
            self._weight_velocities[layer].baddbmm_(gradient, below, beta=self.momentum)
            torch.sum(gradient, 2, out=self._bias_gradients[layer])
            if layer:
                hidden, into = buffers.hidden[layer - 1], buffers.hidden_gradients[layer % 2]
                torch.bmm(self._weights[layer].mT, gradient, out=into)
                gradient = torch.ops.aten.threshold_backward.grad_input(into, hidden, 0, grad_input=into)
        self._flat_bias_velocity.mul_(self.momentum).add_(self._flat_bias_gradient)

    def _update(self, decay: Float[Tensor, "N 1 1"] | None) -> None:
        """Velocities plus ``decay`` * w, product and sum rounded one after the other; then w - u."""
        if decay is not None:
            self._decay_weights(decay)
        self._flat.sub_(self._flat_velocity)

    def _decay_weights(self, decay: Float[Tensor, "N 1 1"]) -> None:
        """Velocities plus learning_rate * weight_decay * w."""
        for block, velocity in zip(self._blocks, self._velocity_blocks, strict=True):
            velocity.add_(block * decay.view(-1, *[1] * (block.ndim - 1)))

    def _begin_epoch(self, rates: Float64[Tensor, " N"]) -> Float64[Tensor, " N"]:
        """What gradients are multiplied by: the rates. Velocities follow them; a network at rest stays so."""
        ratio = torch.where(self._rates > 0, rates / self._rates, 1.0)
        self._rates = rates
        if (ratio != 1.0).any():
            factor = self._per_network(ratio)
            for velocity in self._velocity_blocks:
                velocity.mul_(factor.view(-1, *[1] * (velocity.ndim - 1)))
        return rates

    def _per_network(self, values: Float64[Tensor, " N"]) -> Float[Tensor, "N 1 1"]:
        """One factor per network, of the group's type."""
        return values.to(self._flat).view(-1, 1, 1)

    def _place(self, flat: Tensor, flat_velocity: Tensor) -> None:
        """Takes over two flat buffers and lays the views of all layers on them."""
        num_layers = self._layout.num_layers
        self._flat, self._flat_velocity = flat, flat_velocity
        self._blocks, self._velocity_blocks = self._layout.blocks(flat), self._layout.blocks(flat_velocity)
        self._weights, biases = self._blocks[:num_layers], self._blocks[num_layers:]
        self._bias_columns = [bias.unsqueeze(-1) for bias in biases]
        self._weight_velocities = self._velocity_blocks[:num_layers]
        num_bias_entries = sum(bias.numel() for bias in biases)
        self._flat_bias_velocity = flat_velocity[flat.numel() - num_bias_entries :]
        self._flat_bias_gradient = torch.empty_like(self._flat_bias_velocity)
        self._bias_gradients = split(self._flat_bias_gradient, [tuple(bias.shape) for bias in biases])
        self._buffers_by_size: dict[int, StepBuffers] = {}

    def _buffers(self, size: int) -> StepBuffers:
        """The buffers for batches of ``size`` examples, kept until the group shrinks."""
        if size not in self._buffers_by_size:
            num, (num_inputs, width, *_, num_classes) = self.num_slots, self._layout.padded
            hidden = [self._flat.new_empty(num, width, size) for _ in range(self.program.depth + 2)]
            self._buffers_by_size[size] = StepBuffers(
                inputs=self._flat.new_zeros(num, size, num_inputs),
                hidden=hidden[:-2],
                hidden_gradients=hidden[-2:],
                logits=self._flat.new_empty(num, num_classes, size),
                log_probabilities=self._flat.new_empty(num, num_classes, size),
                minus_one=self._flat.new_full((num * size,), -1.0),
            )
        return self._buffers_by_size[size]
