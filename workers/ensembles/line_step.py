"""Steps of lines between MLPs: at each, the two ends follow the gradient at one point between them.

The products are those of ``workers.training.mlp_step``, whose group holds the points; the ends lie in two
more buffers of the same layout. With w = (1 - alpha) * a + alpha * b and g the gradient of the loss at w,
the gradients at the ends are (1 - alpha) * g and alpha * g, and those of the regularizer.

Same bits in any company: what is done to the ends is entrywise, products and sums rounded one after the
other, but for the inner products of the weights. Those are summed in pieces of PIECE entries of one
network, whatever stands beside it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from workers.architectures.mlp import MLPProgram
from workers.datasets.inputs import Inputs
from workers.ensembles.cosine import Pull, pull
from workers.params import Params
from workers.specs import TrainingSpec
from workers.training.mlp_buffers import StepBuffers
from workers.training.mlp_step import MLPGroup
from workers.training.optimizers import optimizer_of
from workers.training.streams import NoiseSeeds

PIECE = 1 << 14
"""Entries of a tensor of one network that are looked at together on a CPU, so that they stay in its cache."""

Piece = tuple[bool, list[Tensor]]
"""Whether these are weights rather than biases; and (N, PIECE at most) of every buffer."""

FIRST, SECOND = "first.", "second."
STRENGTH, POWER = "regularizer.strength", "regularizer.power"
"""Names in the parameters of a line, before those of a network."""


def line_params(first: Params, second: Params, strength: float, power: int) -> Params:
    """A line as a group takes it: both ends, and strength * cosine ** power that holds them apart."""
    return {
        **{FIRST + name: value for name, value in first.items()},
        **{SECOND + name: value for name, value in second.items()},
        STRENGTH: torch.tensor(strength, dtype=torch.float64),
        POWER: torch.tensor(float(power), dtype=torch.float64),
    }


def ends_of(line: Params) -> tuple[Params, Params]:
    """The two networks at the ends of a line."""
    first, second = (
        {name.removeprefix(end): value for name, value in line.items() if name.startswith(end)}
        for end in (FIRST, SECOND)
    )
    return first, second


class LineGroup(MLPGroup):
    """Lines that take their steps together, one in each slot.

    Where a step of a line lies is what ``epoch`` is given seeds for: alpha is the seed over 2 ** 63, so that
    seeds of a hash are uniform in [0, 1).

    Args:
        program: The architecture.
        num_slots: N.
        training: Batch size, optimizer and momentum of every line.
        dtype: Of weights and activations.
        device: Where they live.
    """

    def __init__(
        self,
        program: MLPProgram,
        num_slots: int,
        *,
        training: TrainingSpec,
        dtype: torch.dtype = torch.float32,
        device: torch.device | str = "cpu",
    ) -> None:
        super().__init__(
            program, num_slots, batch_size=training.batch_size, momentum=0.0, dtype=dtype, device=device
        )
        self._rule = optimizer_of(training)
        self._num_steps = [0] * num_slots
        self._ends = [torch.zeros_like(self._flat) for _ in range(2)]
        self._moments = [
            [torch.zeros_like(self._flat) for _ in range(self._rule.num_moments)] for _ in self._ends
        ]
        self._strengths, self._powers = torch.zeros((2, num_slots), dtype=torch.float64, device=device)
        self._is_held_apart = False
        self._near, self._far = torch.empty((2, num_slots, 0), dtype=dtype, device=device)
        self._step = 0
        self._pull: Pull | None = None
        self._cut_up: dict[str, list[Piece]] = {}

    def load(self, slot: int, params: Params) -> None:
        """Puts a line into a slot, at rest; see ``line_params``."""
        for end, network in zip(self._ends, ends_of(params), strict=True):
            self._layout.write(end, slot, network)
        for flat in (self._flat_velocity, *self._moments[0], *self._moments[1]):
            self._layout.clear(flat, slot)
        self._rates[slot], self._num_steps[slot] = 0.0, 0
        self._strengths[slot], self._powers[slot] = params[STRENGTH], params[POWER]
        self._is_held_apart = bool(self._strengths.any())

    def read(self, slot: int) -> Params:
        """A copy of the ends of the line in a slot; see ``ends_of``."""
        return {
            prefix + name: value
            for prefix, end in zip((FIRST, SECOND), self._ends, strict=True)
            for name, value in self._layout.read(end, slot).items()
        }

    def keep(self, slots: Sequence[int]) -> None:
        """Drops all slots but these, which are numbered anew in the order given."""
        self._ends = [self._layout.kept(end, slots) for end in self._ends]
        self._moments = [
            [self._layout.kept(moment, slots) for moment in moments] for moments in self._moments
        ]
        self._num_steps = [self._num_steps[slot] for slot in slots]
        self._strengths, self._powers = self._strengths[slots], self._powers[slots]
        self._is_held_apart = bool(self._strengths.any())
        self._cut_up = {}
        super().keep(slots)

    def epoch(
        self,
        inputs: Inputs,
        order: Int64[Tensor, "N examples"],
        labels: Int64[Tensor, "N examples"],
        learning_rates: Sequence[float],
        weight_decays: Sequence[float],
        noise_seeds: NoiseSeeds,
    ) -> Float64[Tensor, " N"]:
        """Trains every line for one epoch; the mean of its minibatches' mean losses at its points, in nats.

        Args:
            inputs: From ``prepare``, made of the group's type and on its device.
            order: Per line, the rows of ``inputs`` in the order in which it sees them.
            labels: Per line, the true classes in that same order.
            learning_rates: Of this epoch, per line.
            weight_decays: Per line, of both ends.
            noise_seeds: From slot and step to the seed that says where on the line the step is taken.
        """
        steps = range(-(-order.shape[1] // self.batch_size))
        drawn = [[noise_seeds(slot, step) / 2**63 for step in steps] for slot in range(self.num_slots)]
        alphas = torch.tensor(drawn, dtype=torch.float64)
        self._near, self._far = (1 - alphas).to(self._flat), alphas.to(self._flat)  # each rounded once
        self._step = 0
        return super().epoch(inputs, order, labels, learning_rates, weight_decays, noise_seeds)

    def _begin_epoch(self, rates: Float64[Tensor, " N"]) -> Float64[Tensor, " N"]:
        """What gradients are multiplied by: 1. The rates enter the update."""
        self._rates = rates
        return torch.ones_like(rates)

    def _forward(self, inputs: Inputs, rows: Tensor, buffers: StepBuffers) -> None:
        """Hidden activations and logits at this step's point."""
        self._go_to_point()
        super()._forward(inputs, rows, buffers)

    def _go_to_point(self) -> None:
        """Puts the networks at alpha where gradients are taken, and looks how the ends lie."""
        near, far = self._shares()
        products = torch.zeros_like(self._strengths).repeat(3, 1)
        for is_weight, (point, first, second) in self._pieces("point"):
            torch.mul(first, near, out=point)
            point += second * far
            if is_weight and self._is_held_apart:
                for total, x, y in zip(
                    products, (first, first, second), (second, first, second), strict=True
                ):
                    total += (x * y).sum(1)
        self._pull = (
            pull(products, self._strengths, self._powers).to(self._flat) if self._is_held_apart else None
        )

    def _update(self, decay: Float[Tensor, "N 1 1"] | None) -> None:
        """One step of both ends from the gradients in the buffer."""
        self._num_steps = [number + 1 for number in self._num_steps]
        near, far = self._shares()
        rates = self._rates.to(self._flat).unsqueeze(1)
        decays = None if decay is None else decay.view(-1, 1)
        for is_weight, (gradient, first, second, *moments) in self._pieces("step"):
            at_first, at_second = gradient * near, gradient * far
            if self._pull is not None and is_weight:
                at_first += second * self._pull.across
                at_first += first * self._pull.first
                at_second += first * self._pull.across
                at_second += second * self._pull.second
            half = len(moments) // 2
            for weights, slope, own in (
                (first, at_first, moments[:half]),
                (second, at_second, moments[half:]),
            ):
                self._rule.step_stack(weights, slope, own, self._num_steps, rates, decays)
        self._step += 1

    def _shares(self) -> tuple[Float[Tensor, "N 1"], Float[Tensor, "N 1"]]:
        """1 - alpha and alpha of this step."""
        step = slice(self._step, self._step + 1)
        return self._near[:, step], self._far[:, step]

    def _pieces(self, use: str) -> list[Piece]:
        """The buffers of a use in pieces that lie alike, made once for all steps."""
        if use not in self._cut_up:
            ends_and_memory = (self._flat_velocity, *self._ends, *self._moments[0], *self._moments[1])
            flats = (self._flat, *self._ends) if use == "point" else ends_and_memory
            self._cut_up[use] = list(self._cut(flats))
        return self._cut_up[use]

    def _cut(self, flats: Sequence[Tensor]) -> Iterator[Piece]:
        """Views of the same entries of some buffers."""
        for number, blocks in enumerate(zip(*map(self._layout.blocks, flats), strict=True)):
            size = PIECE if self._flat.device.type == "cpu" else blocks[0][0].numel()
            lying = [torch.split(block.flatten(1), size, dim=1) for block in blocks]
            for parts in zip(*lying, strict=True):
                yield number < self._layout.num_layers, list(parts)
