"""Mean losses of stacks of dense networks on all examples, with gradients, to the last digits.

Examples are taken in parts of fixed size whose sums are added in order, each part on one thread: the digits
of a network depend neither on the number of threads nor on the networks beside it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Float64, Int64
from torch import Tensor

from workers.device import map_on_threads
from workers.permutation_points.dense import DenseShape, activate, slope

LossName = Literal["squared", "cross_entropy"]

_PART_FLOATS = 1 << 19
"""Activations that a product works on, in floats: as much as the evaluation of stacks takes."""
_MOST_PARTS = 64
"""Parts whose gradients lie side by side until they are added."""


@dataclass(frozen=True)
class Loss:
    """The mean loss over examples, as a function of vectors of networks.

    ``squared``: the mean over examples of |f(x) - y|^2 / scale, summed over outputs.
    ``cross_entropy``: the mean of -log softmax(f(x))[y], in nats.

    Attributes:
        shape: Of the networks.
        inputs: Columns of examples with a row of ones, shared by all networks.
        targets: What each network should give (N, C, B), or the class of every example (B).
        scale: Of each network, by which squares are divided; None: 1.
    """

    shape: DenseShape
    inputs: Float[Tensor, "inputs_and_one B"]
    targets: Float[Tensor, "N C B"] | Int64[Tensor, " B"]
    scale: Float[Tensor, " N"] | None = None

    @property
    def name(self) -> LossName:
        """Which loss it is."""
        return "squared" if self.targets.is_floating_point() else "cross_entropy"

    def of_rows(self, index: Int64[Tensor, " rows"]) -> Loss:
        """The loss for some of the networks."""
        targets = self.targets[index] if self.name == "squared" else self.targets
        return Loss(self.shape, self.inputs, targets, None if self.scale is None else self.scale[index])

    def __call__(self, flat: Float[Tensor, "N D"]) -> tuple[Float64[Tensor, " N"], Float[Tensor, "N D"]]:
        """Losses, and their gradients with respect to the vectors."""
        found = map_on_threads(lambda part: self._part(flat, part), self._parts(flat.shape[0]))
        losses, gradient = found[0]
        for more_losses, more_gradient in found[1:]:
            losses, gradient = losses + more_losses, gradient.add_(more_gradient)
        return losses, gradient

    def errors(self, flat: Float[Tensor, "N D"], labels: Int64[Tensor, " B"]) -> Float64[Tensor, " N"]:
        """Share of examples whose largest output is not that of their class."""

        def mistakes(part: slice) -> Tensor:
            wrong: Tensor = self.forward(flat, part)[-1].argmax(1) != labels[part]
            return wrong.sum(1)

        found = torch.stack(map_on_threads(mistakes, self._parts(flat.shape[0])))
        return found.sum(0).double() / len(labels)

    def highest_activations(self, flat: Float[Tensor, "N D"], layer: int) -> Float[Tensor, "N rows"]:
        """Of every neuron of a hidden layer (from 1), the highest value on all examples."""
        found = map_on_threads(
            lambda part: self.forward(flat, part)[layer][:, :-1].amax(2), self._parts(flat.shape[0])
        )
        return torch.stack(found).amax(0)

    def inside(
        self, flat: Float[Tensor, "N D"], layer: int
    ) -> tuple[Float[Tensor, "N below B"], Float[Tensor, "N own B"]]:
        """What a layer (from 1) reads, ones last, and the loss's derivative by its pre-activations."""
        everything = slice(0, self.inputs.shape[1])
        values = self.forward(flat, everything)
        _, delta = self._of_outputs(values.pop(), everything)
        layers = self.shape.layers(flat)
        for k in range(self.shape.num_layers - 1, layer - 1, -1):
            delta = torch.bmm(layers[k][:, :, :-1].mT, delta)
            delta = delta * slope(self.shape.activation, values[k][:, :-1])
        return values[layer - 1], delta

    def roots(self, found: Float[Tensor, "1 C part"], part: slice) -> Float[Tensor, "C C part"]:
        """Of one network, vectors whose outer products add up to the loss's second derivative by outputs."""
        if self.name == "squared":
            scale = torch.ones(1, dtype=found.dtype) if self.scale is None else self.scale
            unit: Tensor = torch.eye(found.shape[1], dtype=found.dtype) * (2 / scale).sqrt()
            return unit.unsqueeze(2).expand(-1, -1, found.shape[2])
        shares = torch.softmax(found[0], 0)
        unit = torch.eye(found.shape[1], dtype=found.dtype).unsqueeze(2)
        roots: Tensor = (unit - shares) * shares.sqrt().unsqueeze(1)
        return roots

    def _parts(self, num: int) -> list[slice]:
        """The examples in parts; how many depends on the shape and the number of examples alone."""
        num_examples = self.inputs.shape[1]
        together = max(256, _PART_FLOATS // max(self.shape.sizes[1:]) // 8)
        together = max(together, -(-num_examples // _MOST_PARTS))
        return [
            slice(start, min(start + together, num_examples)) for start in range(0, num_examples, together)
        ]

    def forward(self, flat: Float[Tensor, "N D"], part: slice) -> list[Float[Tensor, "N rows part"]]:
        """Inputs, hidden activations with their row of ones, and outputs of some examples."""
        layers = self.shape.layers(flat)
        values = [self.inputs[:, part].expand(flat.shape[0], -1, -1)]
        for weights in layers[:-1]:
            hidden = values[-1].new_ones(flat.shape[0], weights.shape[1] + 1, values[-1].shape[2])
            hidden[:, :-1] = activate(self.shape.activation, torch.bmm(weights, values[-1]))
            values.append(hidden)
        values.append(torch.bmm(layers[-1], values[-1]))
        return values

    def _part(self, flat: Tensor, part: slice) -> tuple[Tensor, Tensor]:
        """The share of some examples in the mean, and in its gradient."""
        values = self.forward(flat, part)
        losses, delta = self._of_outputs(values.pop(), part)
        gradient = torch.empty_like(flat)
        layers, gradients = self.shape.layers(flat), self.shape.layers(gradient)
        for k in range(self.shape.num_layers - 1, -1, -1):
            torch.bmm(delta, values[k].mT, out=gradients[k])
            if k:
                active = values[k][:, :-1]
                delta = torch.bmm(layers[k][:, :, :-1].mT, delta) * slope(self.shape.activation, active)
        return losses, gradient

    def _of_outputs(self, found: Tensor, part: slice) -> tuple[Tensor, Tensor]:
        """The share of some examples in the mean, and its derivative by their outputs."""
        num_examples = self.inputs.shape[1]
        if self.name == "squared":
            off = found - self.targets[:, :, part]
            share = 1 / num_examples if self.scale is None else 1 / (num_examples * self.scale)
            share = torch.as_tensor(share, dtype=found.dtype).expand(found.shape[0])
            losses = (off * off).sum((1, 2), dtype=torch.float64) * share.double()
            return losses, off.mul_(2 * share[:, None, None])
        labels = self.targets[part].expand(found.shape[0], -1).unsqueeze(1)
        log_probabilities = torch.log_softmax(found, 1)
        losses = -log_probabilities.gather(1, labels).sum((1, 2), dtype=torch.float64) / num_examples
        delta = log_probabilities.exp_()
        delta.scatter_add_(1, labels, torch.full_like(labels, -1, dtype=delta.dtype))
        return losses, delta.div_(num_examples)
