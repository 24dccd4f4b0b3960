"""Adam for a group of MLPs of one shape: the products of ``mlp_step``, another update."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from workers.architectures.mlp import MLPProgram
from workers.params import Params
from workers.training.mlp_step import MLPGroup
from workers.training.optimizers import Adam


class AdamMLPGroup(MLPGroup):
    """MLPs that take their steps together by ``torch.optim.Adam``'s rule.

    The buffer of the velocities holds one step's gradients; it remembers nothing.

    Args:
        program: The architecture.
        num_slots: N.
        batch_size: Examples of a batch; the last one of an epoch may be smaller.
        momentum: Adam's beta1, of every network.
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
        super().__init__(program, num_slots, batch_size=batch_size, momentum=0.0, dtype=dtype, device=device)
        self._rule = Adam(momentum)
        self._num_steps = [0] * num_slots
        self._moments = [torch.zeros_like(self._flat) for _ in range(self._rule.num_moments)]

    def load(self, slot: int, params: Params) -> None:
        """Puts a network into a slot, at rest."""
        super().load(slot, params)
        self._num_steps[slot] = 0
        for moment in self._moments:
            self._layout.clear(moment, slot)

    def keep(self, slots: Sequence[int]) -> None:
        """Drops all slots but these, which are numbered anew in the order given."""
        self._moments = [self._layout.kept(moment, slots) for moment in self._moments]
        self._num_steps = [self._num_steps[slot] for slot in slots]
        super().keep(slots)

    def _begin_epoch(self, rates: Float64[Tensor, " N"]) -> Float64[Tensor, " N"]:
        """What gradients are multiplied by: 1. The rates enter the update."""
        self._rates = rates
        return torch.ones_like(rates)

    def _update(self, decay: Float[Tensor, "N 1 1"] | None) -> None:
        """One step from the gradients in the buffer."""
        self._num_steps = [number + 1 for number in self._num_steps]
        rates = self._rates.to(self._flat).unsqueeze(1)
        decays = None if decay is None else decay.view(-1, 1)
        flats = (self._flat, self._flat_velocity, *self._moments)
        for parts in zip(*map(self._layout.blocks, flats), strict=True):
            weights, gradient, *moments = (part.flatten(1) for part in parts)
            self._rule.step_stack(weights, gradient, moments, self._num_steps, rates, decays)
